"""The Echo option (RFC 9175 2): who is not known to be where it says is asked to come again."""
import pytest

from peers import coap
from peers.coap import Socket
from peers.tools import coap_get, coap_put


def challenged(answer):
    assert answer.says == "4.01" and len(answer.option(coap.ECHO)) == 12, answer
    return [(coap.ECHO, answer.option(coap.ECHO))]


@pytest.fixture
def large(make_bridge):
    bridge = make_bridge("coap://127.0.0.1:0/r?echo=large")
    bridge.publish("small", "x" * 100, retain=True)
    bridge.publish("big", "x" * 500, retain=True)
    return bridge


@pytest.fixture
def client(large):
    with Socket(large.port("coap")) as it:
        yield it


def test_much_is_told_to_who_is_there_only(client):
    assert client.get("r/small").says == "2.05"
    proof = challenged(client.get("r/big"))
    assert client.get("r/big", options=proof).payload == b"x" * 500
    assert client.get("r/big").says == "2.05"                        # known from now on


def test_an_observer_is_somebody_who_is_there(client):
    answer, _ = client.observe("r/small")
    proof = challenged(answer)
    answer, watch = client.observe("r/small", options=proof)
    assert answer.says == "2.05" and answer.option(coap.OBSERVE) is not None


@pytest.mark.parametrize("spoil", [lambda v: b"x" * 12, lambda v: v[:11], lambda v: v[:-1] + bytes([v[-1] ^ 1]), lambda v: bytes([v[0] ^ 1]) + v[1:]])
def test_only_our_own_value_is_a_proof(client, spoil):
    [(number, value)] = challenged(client.get("r/big"))
    challenged(client.get("r/big", options=[(number, spoil(value))]))


def test_a_proof_is_of_one_address(large, client):
    proof = challenged(client.get("r/big"))
    with Socket(large.port("coap")) as other:
        challenged(other.get("r/big", options=proof))


def test_a_proof_grows_old(large, client):
    proof = challenged(client.get("r/big"))
    large.clock.advance(seconds=302)
    challenged(client.get("r/big", options=proof))


def test_changes_may_want_it_too(make_bridge):
    bridge = make_bridge("coap://127.0.0.1:0/r?echo=always")
    with Socket(bridge.port("coap")) as client:
        assert client.get("r/x").says == "4.04"
        proof = challenged(client.put("r/x", "1"))
        assert client.get("r/x").says == "4.04"                      # nothing was done
        assert client.put("r/x", "1", options=proof).says == "2.01"
        bridge.clock.advance(seconds=301)
        challenged(client.delete("r/x"))


def test_a_late_answer_is_not_sent_to_nobody(large, client):
    go = large.subscribe("go")

    @large.resource("late")
    def late(request):
        return next(go).payload

    question = client.request(coap.GET, "r/late")
    client.send(question)
    assert client.hear().code == 0
    large.publish("go", "z" * 800)
    answer = client.hear()
    client.ack(answer)
    challenged(answer)
    assert client.ping() and client.get("r/small").says == "2.05"


def test_coap_client_comes_again(start_bridged):
    url = start_bridged("coap://127.0.0.1:0/r?echo=always").url("coap")
    coap_put(url + "/x", "y" * 600)
    assert coap_get(url + "/x").strip() == b"y" * 600


def test_other_words_are_refused(bridged_program):
    code, _, said = bridged_program("coap://127.0.0.1:0/r?echo=maybe")
    assert code and "no, large or always" in said
