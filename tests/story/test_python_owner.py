"""A resource of one's own that can be watched: it is told who looks on, and may be asked only when it must."""
import queue

import pytest
from peers import mqtt as packets
from peers.http import Events, Http
from peers.process import PATIENCE

libbridge = pytest.importorskip("libbridge.testing") and __import__("libbridge")


def test_a_resource_is_told_once_who_watches_it_over_whatever_protocol(make_bridge):
    bridge = make_bridge()
    told = queue.Queue()

    def watched(path, wanted):
        told.put((path, wanted))
        if wanted:
            bridge.publish(path, 21.5, retain=True, ttl=60)

    @bridge.resource("modbus/{unit}/{register}", watched=watched)
    def read(request, unit, register):
        return {"asked": request.query}

    phone = packets.Client(bridge.listen("mqtt://127.0.0.1:0").port).connect("phone")
    web = bridge.listen("http://127.0.0.1:0/resources").port
    phone.subscribe("modbus/7/40001")
    assert told.get(timeout=PATIENCE) == ("modbus/7/40001", True)
    assert phone.expect(packets.PUBLISH).payload == b"21.5"

    browser = Events(web, "/resources/modbus/7/40001")
    assert browser.next().data == "21.5"
    with bridge.subscribe("modbus/7/40001") as mine:
        assert next(mine).value == 21.5
    with Http(web) as http:
        assert http.request("GET", "/resources/modbus/7/40001").text == "21.5"  # it is fresh: nobody asks
        assert http.request("GET", "/resources/modbus/7/40001?unit=K").json == {"asked": "unit=K"}
    phone.unsubscribe("modbus/7/40001")
    browser.close()

    assert told.get(timeout=PATIENCE) == ("modbus/7/40001", False)
    assert told.empty()


def test_a_coroutine_is_told_too():
    import asyncio

    from libbridge import aio

    async def story():
        async with aio.Bridge() as bridge:
            told = asyncio.Queue()

            @bridge.resource("modbus/{register}", watched=lambda path, wanted: told.put_nowait((path, wanted)))
            async def read(request, register):
                return request.timeout

            watcher = bridge.subscribe("modbus/1")
            assert await asyncio.wait_for(told.get(), PATIENCE) == ("modbus/1", True)
            assert 0 < (await bridge.get("modbus/2", timeout=3)).value <= 3
            watcher.close()
            assert await asyncio.wait_for(told.get(), PATIENCE) == ("modbus/1", False)
    asyncio.run(story())


def test_an_answer_that_cannot_be_made_is_an_error_at_once(make_bridge):
    bridge = make_bridge()

    @bridge.resource("broken")
    def broken(request):
        return libbridge.Reply(object(), format="json")

    with pytest.raises(libbridge.Invalid):
        bridge.get("broken", timeout=20)
