"""The life of names as peers meet it: each limit over each protocol, in its own words; docs/config.md."""
import re

import pytest

pytest.importorskip("libbridge.testing")
from libbridge import Bridge, Clock  # noqa: E402
from peers.coap import MAX_AGE, Socket  # noqa: E402
from peers.http import Http, Tunnel  # noqa: E402
from peers.mqtt import Client  # noqa: E402

LONG = 30.0


class Mqtt:
    """Each of them: a stranger's own connection, with a name that it makes up."""

    scheme, refusal = "mqtt", 0x97

    def __init__(self, port, name):
        self.client = Client(port, 5, **self.over(port)).connect(name)

    def over(self, port):
        return {}

    def put(self, path, value="1"):
        answer = self.client.publish(path, value.encode(), qos=1, retain=True)
        return answer.reason, answer.props.get("reason_string", "")

    def get(self, path):
        self.client.subscribe(path)
        self.client.ping()
        found = self.client.message() if self.client.kept else None
        self.client.kept.clear()
        self.client.unsubscribe(path)
        return found and (found.payload.decode(), found.props.get("message_expiry"))


class Web(Mqtt):
    """MQTT within WebSocket."""

    scheme = "http"

    def over(self, port):
        return {"sock": Tunnel(port)}


class HttpPeer:
    scheme, refusal = "http", 429

    def __init__(self, port, name):
        self.http = Http(port)

    def put(self, path, value="1"):
        answer = self.http.request("PUT", f"/resources/{path}", value)
        if answer.status == self.refusal:
            assert answer["retry-after"] and answer["content-type"] == "application/problem+json"
        return (0, "") if answer.status in (201, 204) else (answer.status, answer.json["detail"])

    def get(self, path):
        answer = self.http.request("GET", f"/resources/{path}")
        assert answer.status in (200, 404)
        return (answer.text, None) if answer.status == 200 else None


class CoapPeer:
    scheme, refusal = "coap", "4.29"

    def __init__(self, port, name):
        self.coap = Socket(port)

    def put(self, path, value="1"):
        answer = self.coap.put(f"r/{path}", value.encode())
        if answer.says == self.refusal:
            assert answer.option(MAX_AGE) is not None  # RFC 8516 3
        return (0, "") if answer.says in ("2.01", "2.04") else (answer.says, answer.payload.decode())

    def get(self, path):
        answer = self.coap.get(f"r/{path}")
        assert answer.says in ("2.05", "4.04")
        return (answer.payload.decode(), int.from_bytes(answer.option(MAX_AGE) or b"", "big")) if answer.says == "2.05" else None


PEERS = {"mqtt": Mqtt, "websocket": Web, "http": HttpPeer, "coap": CoapPeer}
each_protocol = pytest.mark.parametrize("peer", PEERS.values(), ids=PEERS)


@pytest.fixture
def clock():
    return Clock(frozen=True)


@pytest.fixture
def place(clock):
    """A bridge with a config, and strangers at it."""
    made = []

    class Place:
        def __init__(self, **config):
            self.bridge = Bridge("mqtt://127.0.0.1:0", "http://127.0.0.1:0/resources", "coap://127.0.0.1:0/r", clock=clock, patience=LONG, config=config)
            self.ports = {url.partition(":")[0]: int(re.search(r":(\d+)", url[8:] if "//127" not in url else url.split("127.0.0.1")[1])[1])
                          for url in self.bridge.listeners}
            made.append(self.bridge)

        def peer(self, kind, name="stranger"):
            return kind(self.ports[kind.scheme], name)

        def counter(self, name):
            """As it stands under $SYS, when the next round of numbers has been said."""
            heard = self.bridge.subscribe(f"$SYS/bridge/hub/{name}")
            clock.advance(10)
            return next(heard).value

    yield Place
    for bridge in made:
        bridge.close()


@each_protocol
def test_only_so_many_names_stand_next_to_each_other(place, peer):
    at = place(life=[{"pattern": "dev/#", "max_children": 2}])
    them = at.peer(peer)
    assert [them.put(f"dev/{n}/t")[0] for n in (0, 1)] == [0, 0]

    code, words = them.put("dev/2/t")

    assert code == peer.refusal and "2 names there at most" in words
    assert them.put("dev/1/t", "2")[0] == 0  # it is there
    assert them.put("else", "2")[0] == 0
    assert at.counter("names_refused_total") == 1


@each_protocol
def test_an_identity_has_only_so_many_names_however_it_calls_itself(place, peer):
    at = place(limits={"max_client_names": 2})
    assert [at.peer(peer, f"stranger {n}").put(f"x/{n}")[0] for n in (0, 1)] == [0, 0]

    code, words = at.peer(peer, "stranger 2").put("x/2")

    assert code == peer.refusal and "2 values of one client at most" in words
    assert at.peer(peer, "stranger 3").put("x/0", "2")[0] == 0
    assert at.counter("names_refused_total") == 1


@each_protocol
def test_a_value_is_good_for_so_long(place, peer, clock):
    at = place(life=[{"pattern": "dev/#", "value_ttl": "1h"}])
    them = at.peer(peer)
    them.put("dev/a", "21")

    value, left = them.get("dev/a")
    assert value == "21" and left in (None, 3600)  # Message Expiry, Max-Age
    clock.advance(3601)

    assert at.peer(peer, "another").get("dev/a") is None


@each_protocol
def test_a_name_that_nobody_uses_goes(place, peer, clock):
    at = place(life=[{"pattern": "dev/#", "unused": "1d"}])
    them = at.peer(peer)
    them.put("dev/a", "21")
    gone = at.bridge.subscribe("$SYS/bridge/hub/names_unused_total")

    for _ in range(8):
        clock.advance(6 * 3600)
    while next(gone).value != 1:
        clock.advance(10)

    assert at.peer(peer, "another").get("dev/a") is None


def test_a_user_is_counted_by_the_name_that_was_proved(place):
    at = place(limits={"max_client_names": 1})

    @at.bridge.login
    def login(client, user, password):
        return True

    def put(name, user, path):
        with Client(at.ports["mqtt"], 5) as c:
            c.connect(name, user=user)
            return c.publish(path, b"1", qos=1, retain=True).reason

    assert put("one", "alice", "x/1") == 0
    assert put("two", "alice", "x/2") == 0x97
    assert put("one more", "bob", "x/3") == 0
