"""Nothing mutable is global: two bridges in one process share nothing but code and tables.  The symbol table says so."""
import os
import re
import subprocess
from pathlib import Path

import pytest

from peers.tools import need

BUILD = Path(os.environ.get("LIBBRIDGE_BUILD") or Path(__file__).resolve().parents[2] / "build").resolve()
# Constant tables with pointers in them are written by the loader only (.data.rel.ro).
WRITABLE = re.compile(r"\.(bss|data|sdata|sbss|tbss|tdata)(?!\.rel\.ro)\b.*|\*COM\*")

# What may be written and is global all the same, each with its reason.
ALLOWED: dict[str, str] = {}

# Of the compiler and its run-time, not ours: start-up objects, sanitizers, coverage.
FOREIGN = re.compile(r"completed\.0|__dso_handle|__TMC_END__|_edata|_end|__bss_start|data_start|__data_start|\.L.*"
                     r"|.*(asan|ubsan|tsan|sancov|odr_asan|__llvm).*|\.\.__.*")


def globals_of(library):
    """The writable symbols of a static library: [(object, name)]."""
    text = subprocess.run([need("nm"), "--format=sysv", library], capture_output=True, text=True, check=True).stdout
    member, found = "", []
    for line in text.splitlines():
        if line.startswith("Symbols from "):
            member = re.split(r"[\[/]", line.rstrip(":]"))[-1]
        columns = [column.strip() for column in line.split("|")]
        if len(columns) == 7 and WRITABLE.fullmatch(columns[6]) and columns[3] != "SECTION":
            found.append((member, columns[0]))
    return found


def test_no_object_of_the_library_has_a_mutable_global():
    library = BUILD / "libbridge_all.a"
    if not library.exists():
        pytest.skip(f"no {library}")
    found = [(member, name) for member, name in globals_of(library)
             if not FOREIGN.fullmatch(name) and name.split(".")[0] not in ALLOWED]
    assert not found


def test_a_mutable_global_would_be_seen(tmp_path):
    source = tmp_path / "bad.c"
    source.write_text("static int counter = 3; int seen; static const char *const fixed[] = {\"a\"};\n"
                      "const char *use(void); const char *use(void) { seen += counter++; return fixed[seen & 0]; }\n")
    subprocess.run([need("cc", "gcc", "clang"), "-fPIC", "-c", source, "-o", tmp_path / "bad.o"], check=True)
    assert {name for _, name in globals_of(tmp_path / "bad.o")} == {"counter", "seen"}


def test_what_is_allowed_is_still_there():
    library = BUILD / "libbridge_all.a"
    if not library.exists():
        pytest.skip(f"no {library}")
    assert set(ALLOWED) <= {name.split(".")[0] for _, name in globals_of(library)}
