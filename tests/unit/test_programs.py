"""The unit tests in C: each program of tests/unit is one test here, so that one command runs everything.

A sanitizer's report makes the program fail, so this is also what runs them under sanitizers (LIBBRIDGE_BUILD=build-asan).
"""
import os
import re
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
BUILD = Path(os.environ.get("LIBBRIDGE_BUILD") or HERE.parents[1] / "build").resolve()
PATIENCE = 300  # seconds; under sanitizers on a busy machine the models take a while


@pytest.mark.parametrize("name", sorted(file.stem for file in HERE.glob("test_*.c")))
def test_program(name):
    program = BUILD / "tests" / "unit" / name
    if not program.exists():
        pytest.skip(f"{name} is not in this build")
    done = subprocess.run([program], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                          timeout=PATIENCE)
    said = (done.stdout + done.stderr)[-8000:]
    assert done.returncode == 0, said
    assert not re.search(r"(Address|Leak|Thread)Sanitizer|runtime error:", said), said
