"""How observers are told: confirmably or not, as they and the listener want it (RFC 7641 4.5); and how often one may ask (RFC 8516)."""
import pytest

from peers import coap
from peers.coap import ACK, CON, NON, Socket


@pytest.mark.parametrize("notify, asked_by, word, at_qos_0, at_qos_1", [
    ("asked", CON, None, NON, CON), ("asked", NON, None, NON, NON),
    ("con", NON, None, CON, CON), ("non", CON, None, NON, NON),
    ("non", CON, "c.con=1", CON, CON), ("con", CON, "c.con=0", NON, NON), ("asked", CON, "c.con=2", NON, CON)])
@pytest.mark.parametrize("path", ["r/x", "r/+"])
def test_an_observer_is_told_as_it_wants_or_else_as_the_listener_says(make_bridge, notify, asked_by, word, at_qos_0, at_qos_1, path):
    bridge = make_bridge(f"coap://127.0.0.1:0/r?notify={notify}")
    with Socket(bridge.port("coap")) as client:
        _, watch = client.observe(path, type=asked_by, query=[word] if word else [])
        for qos, expected in enumerate((at_qos_0, at_qos_1)):
            bridge.publish("x", str(qos), qos=qos, retain=True)
            news = watch.hear()
            assert news.type == expected and str(qos).encode() in news.payload


def test_who_is_told_often_must_acknowledge_now_and_then(make_bridge):      # RFC 7641 4.5.1
    bridge = make_bridge("coap://127.0.0.1:0/r")
    with Socket(bridge.port("coap")) as client:
        _, watch = client.observe("r/x", type=NON)
        assert [told_without_answer(bridge, watch, str(n)).type for n in range(32)] == [NON] * 32
        last = told_without_answer(bridge, watch, "32")
        assert last.type == CON
        for n in range(33, 99):                                             # nothing more until it is acknowledged
            bridge.publish("x", str(n))
        bridge.settle()
        assert client.silent()
        client.ack(last)
        newest = watch.hear()
        assert (newest.type, newest.payload) == (NON, b"98")
        assert bridge.stats()["bridge_coap_skipped_total"] == 65


def told_without_answer(bridge, watch, text):
    bridge.publish("x", text)
    news = watch.hear(ack=False)
    assert news.payload == text.encode()
    return news


def test_too_many_requests_are_refused_with_the_time_to_come_again(make_bridge, still):
    bridge = make_bridge("coap://127.0.0.1:0/r?max_rate=10", clock=still)
    with Socket(bridge.port("coap")) as client, Socket(bridge.port("coap")) as other:
        answers = [client.put("r/x", str(n)) for n in range(20)]
        assert [a.says for a in answers] == ["2.01"] + ["2.04"] * 9 + ["4.29"] * 10
        assert answers[-1].uint(coap.MAX_AGE) == 1 and answers[-1].type == ACK
        client.send(client.request(coap.GET, "r/x"))                        # not answered at all
        assert client.silent()
        assert other.get("r/x").payload == b"9"
        bridge.clock.advance(1)
        assert client.get("r/x").payload == b"9"


@pytest.mark.parametrize("option", ["notify=maybe", "max_rate=many", "max_rate=-1"])
def test_options_are_checked(make_bridge, option):
    with pytest.raises(Exception, match=option.split("=")[0]):
        make_bridge(f"coap://127.0.0.1:0/r?{option}")
