"""docs/conformance/lwm2m.md names tests that are there."""
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_case_is_shown_by_a_test_that_exists():
    text = (ROOT / "docs" / "conformance" / "lwm2m.md").read_text()
    named = re.findall(r"`(\w+)::(test_\w+)`", text)
    assert len(named) > 40
    for file, test in named:
        assert f"\ndef {test}(" in (ROOT / "tests" / "lwm2m" / f"test_{file}.py").read_text(), f"{file}::{test}"
