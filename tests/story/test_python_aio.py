"""libbridge.aio.Bridge: inside asyncio, on its one thread."""
import asyncio
import functools
import gc
import threading

import pytest

libbridge = pytest.importorskip("libbridge.testing") and __import__("libbridge")
from libbridge.aio import Bridge  # noqa: E402


def story(fn):
    """Runs a coroutine as a test, with an end."""
    @functools.wraps(fn)
    def run(*args, **kw):
        async def bounded():
            return await asyncio.wait_for(fn(*args, **kw), 60)
        return asyncio.run(bounded())
    return run


@story
async def test_what_is_published_is_heard():
    async with Bridge() as b:
        heard = b.subscribe("home/+/temperature")

        b.publish("home/kitchen/temperature", 21.5)

        message = await heard.get(20)
        assert (message.path, message.value) == ("home/kitchen/temperature", 21.5)


@story
async def test_async_for_ends_with_the_bridge():
    b = await Bridge().open()
    heard = b.subscribe("a")
    got = []

    async def read():
        async for message in heard:
            got.append(message.value)
            if len(got) == 3:
                b.close()
    reader = asyncio.create_task(read())
    for n in range(3):
        b.publish("a", n)
    await reader

    assert got == [0, 1, 2] and b.closed


@story
async def test_a_coroutine_handles_its_messages_in_order():
    async with Bridge() as b:
        got, done = [], asyncio.Event()
        b.publish("factor", 2, retain=True)

        @b.on("n/{name}")
        async def handle(message, name):
            factor = await b.get("factor")
            await asyncio.sleep(0)
            got.append((name, int(message) * factor.value))
            if len(got) == 100:
                done.set()
        for n in range(100):
            b.publish("n/x", n)
        await asyncio.wait_for(done.wait(), 20)

        assert got == [("x", 2 * n) for n in range(100)]


@story
async def test_everything_happens_on_one_thread():
    async with Bridge() as b:
        threads, done = set(), asyncio.Event()

        @b.resource("r")
        def answer(request):
            threads.add(threading.get_ident())
            return 1

        @b.on("n")
        def heard(message):
            threads.add(threading.get_ident())
            done.set()
        await b.get("r")
        b.publish("n", 1)
        await asyncio.wait_for(done.wait(), 20)

        assert threads == {threading.get_ident()}


@story
async def test_a_resource_may_be_a_coroutine_and_many_run_at_once():
    async with Bridge() as b:
        waiting, go = 0, asyncio.Event()

        @b.resource("r/{n}", "GET")
        async def answer(request, n):
            nonlocal waiting
            waiting += 1
            if waiting == 10:
                go.set()
            await go.wait()
            if n == "3":
                raise PermissionError("not 3")
            return int(n)
        results = await asyncio.gather(*(b.get(f"r/{n}") for n in range(10)), return_exceptions=True)

        assert [r.value for n, r in enumerate(results) if n != 3] == [0, 1, 2, 4, 5, 6, 7, 8, 9]
        assert isinstance(results[3], libbridge.Denied) and str(results[3]) == "not 3"
        with pytest.raises(libbridge.MethodNotAllowed):
            await b.put("r/1", 1)


@story
async def test_errors_are_natural():
    async with Bridge() as b:
        with pytest.raises(LookupError):
            await b.get("nothing")
        with pytest.raises(ValueError):
            b.publish("a/#", 1)
        with pytest.raises(TimeoutError):
            await b.subscribe("a").get(0.05)


@story
async def test_a_request_may_be_given_up():
    async with Bridge() as b:
        asked = asyncio.Event()

        @b.resource("slow")
        async def slow(request):
            asked.set()
            await asyncio.sleep(3600)
        request = asyncio.create_task(b.get("slow", timeout=1000))
        await asked.wait()
        request.cancel()

        with pytest.raises(asyncio.CancelledError):
            await request


@story
async def test_the_end_cancels_what_is_open():
    b = await Bridge().open()

    @b.resource("slow")
    async def slow(request):
        await asyncio.sleep(3600)
    request = asyncio.create_task(b.get("slow", timeout=1000))
    await asyncio.sleep(0)
    await b.aclose()

    with pytest.raises(libbridge.Canceled):
        await request


@story
async def test_time_can_be_moved():
    clock = libbridge.Clock(frozen=True)
    async with Bridge(clock=clock) as b:
        asked = asyncio.Event()

        @b.resource("slow")
        async def slow(request):
            asked.set()
            await asyncio.sleep(3600)
        request = asyncio.create_task(b.get("slow", timeout=3600))
        await asked.wait()

        clock.advance(hours=2)

        with pytest.raises(TimeoutError):
            await request


def test_not_open_yet_and_closed_already():
    b = Bridge()
    with pytest.raises(libbridge.Closed, match="async with"):
        b.publish("a", 1)

    @story
    async def use():
        async with b:
            b.publish("a", 1)
        with pytest.raises(libbridge.Closed):
            b.publish("a", 1)
        with pytest.raises(libbridge.Closed):
            await b.get("a")
    use()


@story
async def test_a_hundred_bridges_in_one_loop():
    for _ in range(10):
        bridges = [await Bridge().open() for _ in range(10)]
        for n, b in enumerate(bridges):
            b.publish("n", n, retain=True)
        assert [(await b.get("n")).value for b in bridges] == list(range(10))
        for b in bridges:
            await b.aclose()
    gc.collect()


@story
async def test_a_closed_subscription_lets_its_reader_go():
    async with Bridge() as b:
        heard = b.subscribe("a")
        reader = asyncio.create_task(heard.__anext__())
        await asyncio.sleep(0)

        heard.close()

        with pytest.raises(StopAsyncIteration):
            await reader


@story
async def test_an_uplink_is_waited_for():
    async with Bridge("mqtt://127.0.0.1:0") as cloud, Bridge() as site:
        heard = cloud.subscribe("up/#")
        uplink = site.connect(f"{cloud.listeners[0]}?name=cloud&retry_min=20&retry_max=200")
        site.route("{p...}", "uplink.cloud:up/{p...}")

        await uplink.wait_up(30)
        site.publish("a", 1, qos=1)

        assert (await heard.get(30)).path == "up/a"
        assert uplink.state == "up"


@story
async def test_an_uplink_that_does_not_come_is_a_timeout():
    async with Bridge() as site:
        uplink = site.connect("mqtt://127.0.0.1:1?name=cloud")
        with pytest.raises(libbridge.Timeout):
            await uplink.wait_up(0.05)
