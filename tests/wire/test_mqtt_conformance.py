"""docs/conformance/mqtt.md has every statement of both standards, each with a test that is there."""
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/conformance/mqtt.md").read_text()
FILES = {"malformed": "tests/wire/test_mqtt_malformed.py", "session": "tests/wire/test_mqtt_session.py",
         "publish": "tests/wire/test_mqtt_publish.py", "subscribe": "tests/wire/test_mqtt_subscribe.py",
         "limits": "tests/wire/test_mqtt_limits.py", "replay": "tests/wire/test_mqtt_replay.py",
         "table": "tests/wire/test_mqtt_limits_table.py",
         "story": "tests/story/test_mqtt.py", "requests": "tests/story/test_mqtt_requests.py",
         "wire": "tests/unit/test_mqtt_wire.c", "auth": "tests/unit/test_mqtt_auth.c"}

# How many statements each section has, from appendix B of each; without those that have no number 1.
MQTT_5 = """1.5.4:3 1.5.5:1 1.5.7:1 2.1.3:1 2.2.1:6 2.2.2:1 3.1.0:2 3.1.2:30 3.1.3:12 3.1.4:6 3.2.0:2 3.2.2:22 3.3.1:13 3.3.2:20 3.3.4:10
    3.4.2:3 3.5.2:3 3.6.1:1 3.6.2:3 3.7.2:3 3.8.1:1 3.8.3:5 3.8.4:8 3.9.2:2 3.9.3:2 3.10.1:1 3.10.3:2 3.10.4:6 3.11.2:2 3.11.3:2 3.12.4:1
    3.14.0:1 3.14.1:1 3.14.2:4 3.14.4:3 3.15.1:1 3.15.2:3 4.1.0:2 4.2:1 4.3.1:1 4.3.2:5 4.3.3:13 4.4.0:2 4.5.0:2 4.6.0:6 4.7.0:1 4.7.1:2
    4.7.2:1 4.7.3:4 4.8.2:6 4.9.0:3 4.12.0:7 4.12.1:2 4.13.1:1 4.13.2:1 6.0.0:4"""
MQTT_311 = """1.5.3:3 2.2.2:2 2.3.1:7 3.1.0:2 3.1.2:24 3.1.3:11 3.1.4:5 3.2.0:1 3.2.2:6 3.3.1:12 3.3.2:3 3.3.4:1 3.3.5:2 3.6.1:1 3.8.1:1 3.8.3:3
    3.8.4:6 3.9.3:2 3.10.1:1 3.10.3:2 3.10.4:6 3.12.4:1 3.14.1:1 3.14.4:3 4.1.0:2 4.3.1:1 4.3.2:2 4.3.3:2 4.4.0:1 4.5.0:2 4.6.0:6 4.7.1:3
    4.7.2:1 4.7.3:4 4.8.0:2 6.0.0:4 7.0.0:2 7.1.1:1 7.1.2:1"""
# What a server cannot show, or has no occasion to.
WITHOUT_TEST = ("a client's", "none are sent", "none is sent", "retained messages are always available")


def numbered(said, but, also):
    found = {f"{section}-{n}" for section, count in (pair.split(":") for pair in said.split()) for n in range(1, int(count) + 1)}
    return found - but | also


@pytest.mark.parametrize("part, wanted", [("## MQTT 5.0", numbered(MQTT_5, {"2.2.1-1"}, set())),
                                          ("## MQTT 3.1.1 and 3.1", numbered(MQTT_311, set(), {"3-8.3-4"}))])
def test_every_statement_is_there_once_with_its_test(part, wanted):
    section = PAGE.split(part + "\n", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| ([\d.-]+-\d+) \| (.+?) \| (.+) \|$", section, re.M)

    assert sorted(number for number, _, _ in rows) == sorted(wanted)
    for number, what, shown in rows:
        assert re.search(r"`(\w+::\w+|tests/\S+|model)`", shown) or shown in WITHOUT_TEST, f"{number} {what}: {shown}"


def test_every_test_that_the_page_names_is_there():
    named = set(re.findall(r"`(\w+)::(\w+)`", PAGE))
    assert len(named) > 60

    missing = [f"{file}::{name}" for file, name in sorted(named)
               if not re.search(rf"\b{name}\b", (ROOT / FILES[file]).read_text())]

    assert missing == []
    for path in re.findall(r"`(tests/[\w/]+\.(?:py|c))`", PAGE):
        assert (ROOT / path).exists(), path
