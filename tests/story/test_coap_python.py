"""CoAP where the application is the other side, and time is the bridge's clock."""
import pytest

pytest.importorskip("libbridge.testing")

from peers import coap
from peers.coap import CON, NON, Socket, uint


@pytest.fixture
def client(bridge):
    with Socket(bridge.port("coap")) as it:
        yield it


def test_a_function_answers(bridge, client):
    @bridge.resource("double/{n}")
    def double(request, n):
        if not n.isdigit():
            raise ValueError("a number is wanted")
        return {"twice": 2 * int(n)}

    answer = client.get("r/double/21")
    assert (answer.says, answer.payload, answer.uint(coap.CONTENT_FORMAT)) == ("2.05", b'{"twice":42}', 50)
    assert client.post("r/double/4").payload == b'{"twice":8}'
    assert client.get("r/double/21", options=[(coap.ACCEPT, uint(60))]).payload == b"\xa1etwice\x18\x2a"
    assert client.get("r/double/x").says.startswith("4.")


def test_functions_with_a_plain_path_are_discovered(bridge, client):
    bridge.resource("about")(lambda request: "me")
    bridge.resource("rooms/{name}")(lambda request, name: name)

    assert client.get(".well-known/core", query=["obs", "href=/r/*"]).payload == b"</r/about>;obs"


def test_a_large_answer_of_a_function_comes_from_one_call(bridge, client):
    calls = []

    @bridge.resource("large")
    def large(request):
        calls.append(request.verb)
        return bytes([len(calls)]) * 3000

    assert client.get_all("r/large", 256) == b"\1" * 3000
    assert calls == ["GET"]
    assert client.get_all("r/large", 1024) == b"\2" * 3000


def test_a_function_that_does_not_answer_is_a_gateway_timeout(bridge, client):
    go = bridge.subscribe("never")

    @bridge.resource("stuck")
    def stuck(request):
        return go.get(timeout=0.5)

    client.send(client.request(coap.GET, "r/stuck"))
    assert client.hear().code == 0
    answer = client.hear()
    assert (answer.type, answer.says) == (CON, "5.04")
    client.ack(answer)


def test_policy_is_asked(bridge, client):
    bridge.publish("open", "1", retain=True)
    bridge.publish("secret", "1", retain=True)

    @bridge.allow
    def only_reading(who, verb, path):
        assert who.startswith("coap:127.0.0.1:") or not who.startswith("coap:")
        return False if path == "secret" or verb in ("PUT", "POST") and who.startswith("coap:") else None

    assert client.get("r/open").says == "2.05"
    assert client.get("r/secret").says == "4.01"                       # who might be allowed under a name
    assert client.put("r/open", "2").says == "4.01"
    assert client.observe("r/secret")[0].says == "4.01"
    assert b"secret" not in client.get(".well-known/core").payload


def test_a_nobody_is_refused(make_bridge):
    bridge = make_bridge("coap://127.0.0.1:0/r?anonymous=deny")
    with Socket(bridge.port("coap")) as client:
        assert client.get("r/x").says == "4.01"


def test_the_life_of_a_value_counts_down(bridge, client):
    client.put("r/x", "1", options=[(coap.MAX_AGE, uint(100))])
    bridge.clock.advance(40)
    assert 58 <= client.get("r/x").uint(coap.MAX_AGE) <= 60
    bridge.clock.advance(61)
    assert client.get("r/x").says == "4.04"


def test_once_a_day_an_observer_shows_that_it_lives(bridge, client):       # RFC 7641 4.5
    client.put("r/x", "1")
    _, watch = client.observe("r/x", type=NON)
    bridge.clock.advance(hours=23)
    assert client.silent()

    bridge.clock.advance(hours=1, seconds=1)

    check = watch.hear()
    assert (check.type, check.payload) == (CON, b"1")
    bridge.clock.advance(hours=24, seconds=1)
    client.reset(watch.hear(ack=False))
    client.ping()
    assert bridge.stats()["bridge_coap_observers"] == 0


def test_an_observer_that_died_is_given_up(bridge, client):
    client.observe("r/x")
    bridge.publish("x", "1", qos=1)
    for _ in range(7):
        bridge.clock.advance(50)
    assert bridge.stats()["bridge_coap_observers"] == 0
    assert bridge.stats()["bridge_coap_timeouts_total"] == 1


def test_ten_thousand_observers_hear(bridge):
    sockets = [Socket(bridge.port("coap")) for _ in range(20)]
    for s in sockets:
        for n in range(500):
            s.send(s.request(coap.GET, "r/x", type=NON, token=n.to_bytes(2, "big"), options=[(coap.OBSERVE, b"")]))
            if n % 50 == 49:
                for _ in range(50):
                    s.hear()
    assert bridge.stats()["bridge_coap_observers"] == 10000

    bridge.publish("x", "news")
    bridge.settle()

    assert bridge.stats()["bridge_coap_notifications_total"] == 10000
    for s in sockets:
        assert s.hear().payload == b"news"
        s.close()


def test_a_listener_may_be_closed_while_it_is_watched_and_asked(bridge):
    listener = bridge.listen("coap://127.0.0.1:0/r")
    port = int(listener.url.split(":")[2].split("/")[0])
    with Socket(port) as client:
        client.observe("r/x")

        @bridge.resource("closer")
        def closer(request):
            listener.close()
            return "bye"
        client.send(client.request(coap.GET, "r/closer"))
        while bridge.listeners.count(listener.url):
            pass
    with Socket(bridge.port("coap")) as other:
        assert other.ping()
