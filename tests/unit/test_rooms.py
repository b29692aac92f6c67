"""Rooms have doors that open one way: a file includes from its own room and from lower ones, by the room's name."""
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INSIDE = ROOT / "libbridge"
ROOMS = ["base", "core", "codec", "transform", "loop", "store", "auth", "hub", "adapter", "api", "config"]  # low to high
SIDEWAYS = {("lwm2m", "coap"), ("mqttsn", "mqtt"), ("uplink", "mqtt")}  # an adapter that speaks through another one
ONLY = {"config": {"config", "base", "core", "api"}}  # it does what a program could do, and knows nothing of the hub


def refused(includer, included):
    """Why this include is not right, or None.  Both are paths below libbridge/, like "hub/submit.c"."""
    here, there = includer.split("/"), included.split("/")
    if included.startswith("bridge/"):
        return None if (ROOT / "include" / included).exists() else "there is no such public header"
    if len(there) < 2 or there[0] not in ROOMS:
        return "spell it with its room"
    if not (INSIDE / included).exists():
        return "there is no such file"
    if here[0] == there[0] == "adapter":
        same = here[1] == there[1] or (here[1], there[1]) in SIDEWAYS
        return None if same else "adapters do not know each other"
    if there[0] not in ONLY.get(here[0], ROOMS):
        return f"{here[0]} does not know {there[0]}"
    return None if ROOMS.index(there[0]) <= ROOMS.index(here[0]) else f"{there[0]} is above {here[0]}"


def test_every_file_includes_only_from_its_own_room_or_from_lower_ones():
    wrong = []
    for file in sorted(INSIDE.rglob("*.[ch]")):
        name = str(file.relative_to(INSIDE))
        for number, line in enumerate(file.read_text().splitlines(), 1):
            found = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if found and (why := refused(name, found[1])):
                wrong.append(f"libbridge/{name}:{number}: #include \"{found[1]}\": {why}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("includer, included, why", [
    ("core/path.c", "hub/hub.h", "hub is above core"),
    ("hub/hub.c", "core/path.h", None),
    ("adapter/http/http.c", "adapter/mqtt/session.h", "adapters do not know each other"),
    ("core/path.c", "path.h", "spell it with its room"),
    ("core/path.c", "core/nothing.h", "there is no such file"),
    ("config/config.c", "hub/hub.h", "config does not know hub"),
])
def test_the_doors(includer, included, why):
    assert refused(includer, included) == why


@pytest.mark.parametrize("folder", ["libbridge", "include", "examples", "bindings"])
def test_files_are_of_a_size_to_read(folder):
    long = {str(file.relative_to(ROOT)): lines for file in sorted((ROOT / folder).rglob("*.[ch]"))
            if (lines := file.read_text().count("\n")) > 600}
    assert not long
