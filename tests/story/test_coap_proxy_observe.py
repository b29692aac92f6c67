"""Observations through a forward proxy (RFC 7641 5, RFC 7252 5.7): one upstream for all who want the same."""
import pytest

from peers import coap
from peers.coap import CONTENT_FORMAT, ETAG, FETCH, GET, MAX_AGE, OBSERVE, PROXY_URI, Socket, uint
from peers.coap_device import Device
from peers.tools import coap_observe

LONG = 30


@pytest.fixture
def device():
    with Device(max_age=60) as it:
        it.values["temp"] = b"21.5"
        it.uri = f"coap://127.0.0.1:{it.port}/temp"
        yield it


@pytest.fixture
def proxy(make_bridge):
    b = make_bridge("coap://127.0.0.1:0?proxy=coap://127.0.0.1:*,http://127.0.0.1:*", clock=None)
    with Socket(int(b.listeners[0].rpartition(":")[2])) as client:
        client.bridge = b
        yield client


@pytest.fixture
def other(proxy):
    with Socket(int(proxy.bridge.listeners[0].rpartition(":")[2])) as client:
        yield client


def observe(client, uri, *options):
    answer, it = client.observe("", options=[(PROXY_URI, uri.encode()), *options])
    it.uri = uri
    return answer, it


def cancel(it):
    return it.socket.ask(GET, "", token=it.token, options=[(PROXY_URI, it.uri.encode()), (OBSERVE, b"\x01")])


def test_news_come_through_until_it_is_canceled(proxy, device):
    first, it = observe(proxy, device.uri)
    assert (first.says, first.payload) == ("2.05", b"21.5")
    assert first.option(OBSERVE) is not None and first.uint(MAX_AGE) <= 60

    last = first.uint(OBSERVE)
    for value in (b"22", b"23"):
        assert device.notify("temp", value) == 1
        news = it.hear(LONG)
        assert (news.says, news.payload, news.option(ETAG)) == ("2.05", value, device.etag("temp"))
        assert 0 < (news.uint(OBSERVE) - last) % (1 << 24) < 1 << 23
        last = news.uint(OBSERVE)

    assert cancel(it).option(OBSERVE) is None
    assert device.canceled.get(timeout=LONG) == "temp"
    assert proxy.bridge.stats()["bridge_coap_proxy_observations"] == 0


def test_all_share_one_upstream_and_the_last_one_ends_it(proxy, other, device):
    _, one = observe(proxy, device.uri)
    late, two = observe(other, device.uri)
    assert (late.says, late.payload) == ("2.05", b"21.5") and late.option(OBSERVE) is not None
    _, three = observe(other, device.uri)                                  # another token
    assert device.count(GET, "temp") == 1

    assert device.notify("temp", b"22") == 1
    assert [it.hear(LONG).payload for it in (one, two, three)] == [b"22"] * 3

    cancel(one)
    two.socket.reset(_news(device, two, b"23"))                            # a reset is an end, too
    assert three.hear(LONG).payload == b"23"
    assert other.ping() and device.canceled.empty()
    cancel(three)
    assert device.canceled.get(timeout=LONG) == "temp"


def _news(device, it, value):
    device.notify("temp", value)
    return it.hear(LONG, ack=False)


def test_the_same_token_again_is_the_same_observation(proxy, device):
    _, it = observe(proxy, device.uri)
    again = proxy.ask(GET, "", token=it.token, options=[(PROXY_URI, device.uri.encode()), (OBSERVE, b"")])
    assert again.option(OBSERVE) is not None and again.payload == b"21.5"

    device.notify("temp", b"22")
    assert it.hear(LONG).payload == b"22"
    assert proxy.silent()
    cancel(it)
    assert device.canceled.get(timeout=LONG) == "temp"


def test_formats_are_observed_apart(proxy, device):
    device.formats["temp"] = 0
    observe(proxy, device.uri)
    refused, _ = observe(proxy, device.uri, (coap.ACCEPT, b"\x32"))

    assert refused.says == "4.06" and refused.option(OBSERVE) is None


def test_an_error_is_the_last_one(proxy, device):
    _, it = observe(proxy, device.uri)
    device.notify("temp", says="4.04")
    gone = it.hear(LONG)

    assert gone.says == "4.04" and gone.option(OBSERVE) is None
    del device.values["temp"]
    answer, _ = observe(proxy, device.uri)
    assert answer.says == "4.04" and answer.option(OBSERVE) is None


def test_a_server_that_knows_no_observe_answers_once(proxy, device):
    device.observe = False
    answer, _ = observe(proxy, device.uri)

    assert (answer.says, answer.payload) == ("2.05", b"21.5") and answer.option(OBSERVE) is None
    assert proxy.bridge.stats()["bridge_coap_proxy_observations"] == 0


def test_an_etag_of_ours_is_answered_valid(proxy, device):
    answer, it = observe(proxy, device.uri, (ETAG, device.etag("temp")))
    assert answer.says == "2.03" and answer.option(OBSERVE) is not None
    device.notify("temp", b"22")
    assert it.hear(LONG).payload == b"22"


def test_large_news_come_in_blocks(proxy, device):
    _, it = observe(proxy, device.uri)
    big = bytes(range(256)) * 12
    device.notify("temp", big)

    news = it.hear(LONG)
    assert news.block(coap.BLOCK2) == (0, True, 1024)
    rest, num, more = news.payload, 1, True
    while more:
        part = proxy.ask(GET, "", options=[(PROXY_URI, device.uri.encode()), (coap.BLOCK2, coap.block(num, False, 1024))])
        rest, more, num = rest + part.payload, part.block(coap.BLOCK2)[1], num + 1
    assert rest == big


def test_a_bridge_that_ends_takes_all_back(make_bridge, device):
    b = make_bridge("coap://127.0.0.1:0?proxy=coap://127.0.0.1:*", clock=None)
    with Socket(int(b.listeners[0].rpartition(":")[2])) as client:
        observe(client, device.uri)
        b.close()


def test_a_question_under_way_is_shared_and_a_silent_server_ends_all(proxy, other, device):
    heard = []
    device.answer["temp"] = lambda d, m, peer: heard.append((m, peer))     # says nothing yet
    for client in (proxy, other):
        client.first = client.request(GET, "", options=[(PROXY_URI, device.uri.encode()), (OBSERVE, b"")])
        client.send(client.first)
        assert client.ping()
    device.request(LONG)
    m, peer = heard[0]
    with device.lock:
        del device.answer["temp"]
        device.observers[(peer, m.token)] = "temp"
        answer = device._content("temp", m)
        answer.type, answer.id, answer.token = coap.ACK, m.id, m.token
        answer.options.append((OBSERVE, b"\x02"))
        device.socket.sendto(bytes(answer), peer)
    assert [c.answer_to(c.first).payload for c in (proxy, other)] == [b"21.5"] * 2


def test_coap_client_observes_through_the_proxy(proxy, device):
    device.values["temp"] = b"21.5\n"
    peer = coap_observe(device.uri, "-P", proxy.bridge.listeners[0])
    try:
        assert peer.line() == "21.5"
        assert device.notify("temp", b"22.5\n") == 1
        assert peer.line() == "22.5"
    finally:
        peer.stop()


ETCH = [(CONTENT_FORMAT, uint(320))]


def test_a_fetch_is_observed_through_it(proxy, other, make_bridge):       # RFC 8132 2.4
    b = make_bridge("coap://127.0.0.1:0", clock=None)
    uri = b.listeners[0] + "/room"
    temperature, light = b'[{"n":"t"}]', b'[{"n":"l"}]'

    def say(t, l):
        with Socket(int(b.listeners[0].rpartition(":")[2])) as device:
            body = '[{"n":"t","v":%d},{"n":"l","v":%d}]' % (t, l)
            assert device.put("room", body, options=[(CONTENT_FORMAT, uint(110))]).says in ("2.01", "2.04")

    say(1, 2)
    ask = [(PROXY_URI, uri.encode()), *ETCH]
    one, warm = proxy.observe_fetch("", temperature, options=ask)
    two, same = other.observe_fetch("", temperature, options=ask)
    three, bright = other.observe_fetch("", light, options=ask)
    assert one.option(OBSERVE) is not None and one.payload == two.payload and b"1" in one.payload and b"2" in three.payload
    assert b.stats()["bridge_coap_observers"] == proxy.bridge.stats()["bridge_coap_proxy_observations"] == 2

    say(3, 4)
    assert b"3" in warm.hear(LONG).payload and b"3" in same.hear(LONG).payload and b"4" in bright.hear(LONG).payload
    large = b'[{"n":"%s"}]' % (b"x" * 1100)
    assert proxy.put_all("", large, size=512, method=FETCH, options=[*ask, (OBSERVE, b"")]).option(OBSERVE) is None
