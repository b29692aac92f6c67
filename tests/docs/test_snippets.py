"""What README.md and docs/ show is true: every block is run as it is printed, only ports become free ones."""
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from snippets import ROOT, RUN, Snippet, snippets  # noqa: E402

from peers.process import PATIENCE, Program, python_environment  # noqa: E402
from peers.tools import need  # noqa: E402

BUILD = Path(os.environ.get("LIBBRIDGE_BUILD") or ROOT / "build").resolve()
PORTS = {"mqtt": "1883", "http": "3000", "coap": "5683"}


def each(*languages):
    return pytest.mark.parametrize("snippet", [x for x in snippets(*languages) if not x.how.startswith("skip")], ids=str)


def free_ports(text):
    return re.sub(r"(\w+://[\w.\[\]:]*?):(1883|3000|5683|8883|8080|5684)\b", r"\1:0", text)


def finish(argv, snippet, cwd, env=None):
    """Runs a program in the way that its snippet says."""
    said = re.match(r'(until|prints) "(.*)"$', snippet.how)
    if said and said[1] == "until":
        program = Program(*argv, cwd=cwd, env=env)
        program.wait_for(said[2])
        program.process.send_signal(signal.SIGINT)
        assert program.process.wait(PATIENCE) in (0, -signal.SIGINT, 130), program.seen
        return
    done = subprocess.run([str(a) for a in argv], cwd=cwd, env=env, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    if said:
        assert said[2] in done.stdout


@each("python")
def test_python(snippet, tmp_path):
    pytest.importorskip("libbridge.testing")
    text = free_ports(snippet.text)
    if snippet.how == "asyncio":
        text = "import asyncio\nasync def main():\n" + "".join(f"    {line}\n" for line in text.splitlines()) + "asyncio.run(main())\n"
    file = tmp_path / "snippet.py"
    file.write_text(text)
    env = python_environment(PYTHONPATH=str(BUILD / "bindings" / "python"), PYTHONUNBUFFERED="1")
    finish([sys.executable, file], snippet, tmp_path, env)


@each("c")
def test_c(snippet, tmp_path):
    compiler = need("cc", "gcc", "clang")
    text = free_ports(snippet.text)
    file = tmp_path / "snippet.c"
    whole = "int main(" in text
    if not re.search(r"#include [<\"]bridge/", text):
        text = "#include <bridge/bridge.h>\n#include <stdio.h>\n#include <string.h>\n" + text
    file.write_text(text)
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function", f"-I{ROOT / 'include'}", f"-I{ROOT / 'libbridge'}"]
    if not whole:
        subprocess.run([compiler, *flags, "-fsyntax-only", file], check=True, timeout=PATIENCE)
        return
    if "-fsanitize" in (BUILD / "build.ninja").read_text():
        pytest.skip("not with a sanitized library")
    subprocess.run([compiler, *flags, file, "-o", tmp_path / "snippet", f"-L{BUILD}", "-lbridge", f"-Wl,-rpath,{BUILD}", "-lpthread"],
                   check=True, timeout=PATIENCE)
    finish([tmp_path / "snippet"], snippet, tmp_path)


@each("json")
def test_json_is_a_config(snippet, tmp_path, bridged_program):
    file = tmp_path / "bridge.json"
    file.write_text(snippet.text)
    code, said, errors = bridged_program("-c", file, "--check-config")
    assert code == 0, said + errors


@each("sh")
def test_sh(snippet, request, tmp_path):
    assert snippet.how == "with bridged", f"{snippet}: say how this is tested, or why not"
    bridged = request.getfixturevalue("bridged")
    text = snippet.text
    for scheme, port in PORTS.items():
        text = re.sub(rf"(?<=[: ]){port}\b", str(bridged.port(scheme)), text)
    for line in text.replace("\\\n", " ").splitlines():
        command, _, wanted = line.partition("  # ")
        if not command.strip() or command.startswith("#"):
            continue
        need(shlex.split(command)[0])
        done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        if wanted:
            assert wanted.strip() in done.stdout, command


def test_what_is_not_run_says_why():
    for snippet in snippets(*RUN):
        assert not snippet.how.startswith("skip") or re.match(r"skip; \w+", snippet.how), f"{snippet}: skip; why?"


def test_each_kind_of_block_is_known():
    others = [snippet for snippet in snippets("bash", "shell", "C", "py", "jsonc", "console")]
    assert not others, f"write one of {RUN}: {[str(x) for x in others]}"
    assert all(isinstance(x, Snippet) for x in snippets(*RUN)) and snippets(*RUN)
