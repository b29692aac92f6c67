"""The README's first command: it starts, says where it listens and what to try, what it says to try works, Ctrl-C ends it."""
import re
import signal
import subprocess
from pathlib import Path

import pytest

from peers.process import PATIENCE, Program
from peers.tools import need

ROOT = Path(__file__).resolve().parents[2]
FREE = ("mqtt://127.0.0.1:0", "http://127.0.0.1:0/resources", "coap://127.0.0.1:0/r")


def test_the_two_commands_are_there():
    text = (ROOT / "README.md").read_text()
    assert re.search(r"^\./run  +#", text, re.M) and re.search(r"^\./run test +#", text, re.M)
    assert (ROOT / "run").stat().st_mode & 0o111


def test_what_the_bridge_says_to_try_works():
    """The shell script's own work is the CI's to test: here a test would build what is being tested."""
    bridged = ROOT / "build" / "examples" / "bridged" / "bridged"
    if not bridged.exists():
        pytest.skip("no build/ of the README's own command")
    program = Program(bridged, *FREE)
    program.wait_for("try, in another terminal")
    subscribe, put, get = (line.strip() for line in program.lines(3))
    try:
        need("mosquitto_sub"), need("curl"), need("coap-client", "coap-client-notls")
        subprocess.run(["sh", "-c", put], check=True, timeout=PATIENCE)
        read = subprocess.run(["sh", "-c", get], check=True, timeout=PATIENCE, capture_output=True, text=True)
        heard = subprocess.run(["sh", "-c", subscribe + " -C 1"], check=True, timeout=PATIENCE, capture_output=True, text=True)
        assert read.stdout.strip() == "21.5"
        assert heard.stdout.strip() == "home/kitchen/temperature 21.5"
    finally:
        program.process.send_signal(signal.SIGINT)
        assert program.process.wait(PATIENCE) == 0
