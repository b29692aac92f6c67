"""bridge.devices: a device as an object, in Python that blocks and in asyncio."""
import asyncio

import pytest

pytest.importorskip("libbridge.testing")
from libbridge import Clock, NotFound, Timeout, aio  # noqa: E402
from libbridge.devices import parse_links  # noqa: E402
from peers import lwm2m  # noqa: E402

LAMP = {(3, 0, 0): "ACME", (3, 0, 9): 97, (3303, 0, 5700): 21.5, (3303, 0, 5701): "Cel", (3311, 0, 5850): False, (3311, 0, 5851): 50}


@pytest.fixture
def lamp(devices):
    with lwm2m.Device(devices.port, "lamp-7", dict(LAMP)) as device:
        device.register()
        yield device


def test_links_are_read_as_rfc_6690_says():
    assert parse_links('</3/0>,</3303/0>;ver=1.1;title="a, \\"b\\";c",<x>;obs') == {
        "/3/0": {}, "/3303/0": {"ver": "1.1", "title": 'a, "b";c'}, "x": {"obs": ""}}


def test_read_write_update_execute(devices, lamp):
    it = devices["lamp-7"]
    pressed = []
    lamp.resources[(3, 0, 4)] = lambda arguments: pressed.append(arguments)

    assert it.read("/3303/0/5700") == 21.5
    assert it.read("/3303/0") == {"5700": 21.5, "5701": "Cel"}
    it.write("/3311/0/5851", 70)
    assert lamp.resources[(3311, 0, 5851)] == 70
    it.update("/3311/0", {"5850": True})
    assert (lamp.resources[(3311, 0, 5850)], lamp.resources[(3311, 0, 5851)]) == (True, 70)
    it.execute("/3/0/4", "0='now'")
    assert len(pressed) == 1
    assert it.info()["ep"] == "lamp-7"
    with pytest.raises(NotFound):
        it.read("/3303/9/5700")


def test_discover_create_delete(devices, lamp):
    it = devices["lamp-7"]

    assert set(it.discover("/3311")) >= {"/3311/0", "/3311/0/5850"}
    it.create("/3311/2", {"5850": True, "5851": 10})
    assert it.read("/3311/2/5851") == 10
    it.delete("/3311/2")
    with pytest.raises(NotFound):
        it.read("/3311/2/5851")


def test_several_resources_in_one_request(devices, lamp):
    it = devices["lamp-7"]

    assert it.read_many("/3/0/0", "3303/0/5700", "/9/9/9") == {"/3/0/0": "ACME", "3303/0/5700": 21.5, "/9/9/9": None}
    it.write_many({"/3311/0/5850": True, "/3311/0/5851": 33})
    assert (lamp.resources[(3311, 0, 5850)], lamp.resources[(3311, 0, 5851)]) == (True, 33)


def test_what_it_reports(devices, lamp):
    with devices["lamp-7"].observe("/3303/0/5700") as reports:
        assert next(reports).value == 21.5
        lamp.notify("/3303/0/5700", 22.5)
        assert next(reports).value == 22.5


def test_one_waits_for_a_device_and_for_what_it_says(devices):
    with lwm2m.Device(devices.port, "late", dict(LAMP)) as device:
        assert "late" not in devices
        device.register()
        it = devices.wait("late")
        assert "late" in devices
        assert [each.endpoint for each in devices] == ["late"]
        assert it.expect("/3303/0/5700", 21.5) == 21.5
        with pytest.raises(Timeout, match="is 21.5 after"):
            it.expect("/3303/0/5700", lambda value: value > 100, timeout=0.3)
        device.deregister()
        assert len(devices) == 0


def test_events(devices):
    it = devices["sensor"]
    with it.events() as events, lwm2m.Device(devices.port, "sensor", dict(LAMP)) as device:
        device.register()
        device.update()
        device.deregister()
        assert [it.event(next(events)) for _ in range(3)] == ["registered", "updated", "deregistered"]


def test_in_asyncio():
    async def story():
        async with aio.Bridge("lwm2m://127.0.0.1:0", clock=Clock()) as bridge:
            loop = asyncio.get_running_loop()
            with lwm2m.Device(bridge.devices.port, "lamp-7", dict(LAMP)) as device:
                arrival = asyncio.ensure_future(bridge.devices.wait("lamp-7"))
                await loop.run_in_executor(None, device.register)
                it = await asyncio.wait_for(arrival, 20)
                assert await it.read("/3303/0/5700") == 21.5
                await it.write("/3311/0/5851", 70)
                assert device.resources[(3311, 0, 5851)] == 70
                assert [each.endpoint for each in await bridge.devices.list()] == ["lamp-7"]
    asyncio.run(story())
