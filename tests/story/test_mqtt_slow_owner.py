"""Publishes that wait for a slow owner: how many, and who waits with them (docs/limits.md).  On the bridge's clock: no owner is ever too late."""
import pytest

from peers.mqtt import PUBACK, SUBACK, Client, publish, subscribe

libbridge = pytest.importorskip("libbridge")


@pytest.fixture
def port(make_bridge):
    def listen(query):
        bridge = make_bridge(clock=libbridge.Clock(frozen=True))
        listen.clock = bridge.clock
        return bridge.listen(f"mqtt://127.0.0.1:0?{query}").port
    return listen


def owner_of(port, path):
    owner = Client(port, 5).connect("owner")
    owner.send(subscribe(1, (path, 1), props=[("user", ("responder", "true"))], version=5))
    owner.wait_for(SUBACK, 1)
    return owner


def flood(client, count, version):
    client.send(*(publish(f"slow/{n}", b"x", 1, n, version=version) for n in range(1, count + 1)))


def names(questions):
    return [q.topic for q in questions]


def test_of_a_client_that_knows_no_limit_no_more_is_read(port):
    port = port("receive_max=10")
    with owner_of(port, "slow/#") as owner, Client(port, 4).connect("eager") as eager, Client(port, 5).connect("other") as other:
        flood(eager, 40, 4)
        asked = [owner.message() for _ in range(10)]
        assert names(asked) == [f"slow/{n}" for n in range(1, 11)]

        other.send(publish("slow/other", b"x", 1, 1, version=5))

        asked.append(owner.message())
        assert asked[-1].topic == "slow/other"  # and not the eleventh of the eager one
        for n in range(41):
            if n == len(asked):
                asked.append(owner.message())
            owner.publish(asked[n].props["response_topic"], b"", qos=1)
        assert [eager.expect(PUBACK).pid for _ in range(40)] == list(range(1, 41))
        assert names(asked[:10] + asked[11:]) == [f"slow/{n}" for n in range(1, 41)]
        assert other.expect(PUBACK).reason == 0
        eager.ping()


def test_who_is_not_read_is_not_silent(port):
    listen, port = port, port("receive_max=2")
    with owner_of(port, "slow/#") as owner, Client(port, 4).connect("eager", keep_alive=1) as eager:
        flood(eager, 5, 4)
        asked = [owner.message(), owner.message()]
        listen.clock.advance(seconds=4)  # more than one and a half times its keep alive, less than an owner has
        for n in range(5):
            if n == len(asked):
                asked.append(owner.message())
            owner.publish(asked[n].props["response_topic"], b"", qos=1)
        assert [eager.expect(PUBACK).pid for _ in range(5)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("version", [4, 5])
def test_what_waits_for_an_earlier_connection_is_no_fault_of_this_one(port, version):
    port = port("receive_max=2")
    props = {"session_expiry": 1000} if version == 5 else None
    with owner_of(port, "slow/#") as owner:
        first = Client(port, version).connect("again", clean=False, props=props)
        flood(first, 2, version)
        asked = [owner.message(), owner.message()]
        first.drop()
        with Client(port, version).connect("again", clean=False, props=props) as second:
            flood(second, 2, version)
            for n in range(4):
                if n == len(asked):
                    asked.append(owner.message())
                owner.publish(asked[n].props["response_topic"], b"", qos=1)
            assert [second.expect(PUBACK).pid for _ in range(2)] == [1, 2]
            second.ping()
