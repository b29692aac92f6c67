"""docs/conformance/mqtt.md names tests; they exist."""
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILES = {"malformed": "tests/wire/test_mqtt_malformed.py", "session": "tests/wire/test_mqtt_session.py",
         "publish": "tests/wire/test_mqtt_publish.py", "subscribe": "tests/wire/test_mqtt_subscribe.py",
         "limits": "tests/wire/test_mqtt_limits.py", "replay": "tests/wire/test_mqtt_replay.py",
         "story": "tests/story/test_mqtt.py", "requests": "tests/story/test_mqtt_requests.py",
         "wire": "tests/unit/test_mqtt_wire.c", "auth": "tests/unit/test_mqtt_auth.c"}


def test_every_test_that_the_page_names_is_there():
    page = (ROOT / "docs/conformance/mqtt.md").read_text()
    named = set(re.findall(r"`(\w+)::(\w+)`", page))
    assert len(named) > 60

    missing = [f"{file}::{name}" for file, name in sorted(named)
               if not re.search(rf"\b{name}\b", (ROOT / FILES[file]).read_text())]

    assert missing == []
    for path in re.findall(r"`(tests/[\w/]+\.(?:py|c))`", page):
        assert (ROOT / path).exists(), path
