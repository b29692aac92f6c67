"""ACL files hold for devices, too: what a device may tell, and who may read and write it."""
import re

import pytest

from peers.coap import Socket
from peers.lwm2m import heard

ROOM = {(3303, 0, 5700): 21.5, (3311, 0, 5850): False}


@pytest.fixture
def house(make_house, tmp_path):
    (tmp_path / "acl").write_text("topic read lwm2m/+/3303/#\npattern readwrite lwm2m/%c/#\n")
    return make_house(f"lwm2m://127.0.0.1:0?acl_file={tmp_path}/acl&anonymous=allow")


def test_a_device_may_tell_of_itself(house):
    watcher = house.mqtt("lwm2m/+/!registered", "lwm2m/lamp-7/3303/0/5700")
    house.device("lamp-7", dict(ROOM))

    assert {heard(watcher)[0] for _ in range(2)} == {"lwm2m/lamp-7/!registered", "lwm2m/lamp-7/3303/0/5700"}


def test_others_may_not_be_touched(make_house, tmp_path):
    (tmp_path / "acl").write_text("topic read lwm2m/+/3303/#\n")
    (tmp_path / "devices").write_text("pattern readwrite lwm2m/%c/#\n")
    house = make_house(f"lwm2m://127.0.0.1:0?acl_file={tmp_path}/devices&anonymous=allow",
                       f"coap://127.0.0.1:0/guarded?acl_file={tmp_path}/acl&anonymous=allow")
    lamp = house.device("lamp-7", dict(ROOM))
    port = next(int(found[1]) for url in house.bridge.listeners if (found := re.search(r":(\d+)/guarded", url)))
    with Socket(port) as client:
        assert client.get("guarded/lwm2m/lamp-7/3303/0/5700").payload == b"21.5"
        assert client.get("guarded/lwm2m/lamp-7/3311/0/5850").says == "4.01"  # who are you?
        assert client.put("guarded/lwm2m/lamp-7/3311/0/5850", "true").says == "4.01"  # who are you?
    assert lamp.next_request().path == "/3303/0/5700" and lamp.requests.empty()
