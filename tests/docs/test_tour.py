"""docs/tour.md is true: each file and function it names is there, and functions call what it says, in that order."""
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INSIDE = ROOT / "libbridge"
TOUR = (ROOT / "docs" / "tour.md").read_text()
STEPS = re.findall(r"^\| \d+ \| `([\w./]+)` \| `(\w+)` \|", TOUR, re.M)
CALLS = [tuple(part.strip() for part in line.split(":"))
         for line in re.search(r"```calls\n(.*?)```", TOUR, re.S)[1].splitlines()]


def body_of(file, function):
    """The text of a function's body, or None.  Definitions begin in column 0 and end with a brace there."""
    text = (INSIDE / file).read_text()
    found = re.search(
        rf"^[a-z][^\n;={{}}]*\b{function}\([^;{{]*?\)(?: \{{(?P<line>[^\n]*)\}}$|\n\{{\n(?P<body>.*?)^\}})", text, re.M | re.S)
    return re.sub(r"/\*.*?\*/", "", found["line"] or found["body"], flags=re.S) if found else None


def test_the_tour_has_its_steps():
    assert len(STEPS) >= 12 and len(CALLS) >= 10


@pytest.mark.parametrize("file, function", STEPS)
def test_a_step_is_where_it_is_said_to_be(file, function):
    assert (INSIDE / file).exists()
    assert body_of(file, function) is not None, f"{file} has no {function}()"


@pytest.mark.parametrize("file, function, calls", CALLS)
def test_a_function_calls_what_is_said_in_that_order(file, function, calls):
    body = body_of(file, function)
    assert body is not None, f"{file} has no {function}()"
    at = 0
    for called in calls.split():
        found = re.compile(rf"\b{called}\(").search(body, at)
        assert found, f"{function}() in {file} does not call {called}() there"
        at = found.end()


@pytest.mark.parametrize("file", sorted(set(re.findall(r"`((?:[a-z]+/)+\w+\.[ch])`", TOUR))))
def test_files_that_are_named_exist(file):
    assert (INSIDE / file).exists() or (ROOT / file).exists()
