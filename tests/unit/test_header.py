"""What an application compiles: bridge.h and its macros without a warning, and meaning what they say."""
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("LIBBRIDGE_BUILD") or ROOT / "build").resolve()
STRICT = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"]
PROGRAM = r"""
#include <bridge/bridge.h>
#include <bridge/sys/adapter.h>
#include <bridge/sys/codec.h>
#include <stdio.h>
#define MINE(...) BRIDGE_FIELDS(.qos = 1, __VA_ARGS__)

static int format_of(const bridge_fields *f)
{
    return f->size == sizeof *f ? (int)f->format : -1;
}

int main(void)
{
    bridge_msg *msg = NULL;
    bridge_fields *f = BRIDGE_FIELDS(.path = "a", .props = (bridge_prop[]){{"x", "y"}}, .prop_count = 1);
    bridge_route *r = BRIDGE_ROUTE(.source = "a", .target = "b", .transform = "scale 2", .max_qos = BRIDGE_QOS(1));
    bridge_options *o = BRIDGE_OPTIONS(.sys_interval = -1, .log_level = BRIDGE_LOG_ERROR);
    bridge *b = NULL;

    if (bridge_new(&b, o, NULL) < 0 || bridge_route_add(b, r, NULL, NULL) < 0) return 1;
    bridge_free(b);
    printf("%d %d %d %d %d %d %d\n", format_of(f), format_of(BRIDGE_FIELDS()), format_of(BRIDGE_FIELDS(.path = "x.format")),
           format_of(BRIDGE_FIELDS(.path = "a", .format = BRIDGE_TEXT)), format_of(BRIDGE_FIELDS(.format=BRIDGE_TEXT)),
           format_of(MINE(.format = BRIDGE_JSON)), format_of(MINE(.format
                          = BRIDGE_TEXT)));
    if (bridge_msg_new(&msg, BRIDGE_FIELDS(.path = "a", .data = "1", .len = 1, .format = BRIDGE_JSON)) < 0) return 1;
    bridge_msg_unref(msg);
    return 0;
}
"""


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("optimize", ["-O0", "-O2"])
def test_the_macros_compile_without_a_warning_and_say_what_was_said(tmp_path, compiler, optimize):
    if not shutil.which(compiler):
        pytest.skip(f"no {compiler}")
    if "asan" in BUILD.name or "tsan" in BUILD.name:
        pytest.skip("the library of a sanitized build wants its run time first")
    (tmp_path / "p.c").write_text(PROGRAM)
    made = subprocess.run([compiler, *STRICT, optimize, f"-I{ROOT}/include", "p.c", "-o", "p", f"-L{BUILD}", "-lbridge",
                           f"-Wl,-rpath,{BUILD}"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert made.returncode == 0, made.stderr
    done = subprocess.run([tmp_path / "p"], capture_output=True, text=True, timeout=60)
    assert done.stdout == "65535 65535 65535 0 0 50 0\n"


def test_the_header_is_good_for_cplusplus(tmp_path):
    compiler = shutil.which("g++") or shutil.which("clang++")
    if not compiler:
        pytest.skip("no C++ compiler")
    (tmp_path / "p.cpp").write_text("#include <bridge/bridge.h>\nint main() { return (int)bridge_version() - BRIDGE_VERSION_NUMBER; }\n")
    made = subprocess.run([compiler, "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{ROOT}/include", "-fsyntax-only", "p.cpp"],
                          cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert made.returncode == 0, made.stderr
