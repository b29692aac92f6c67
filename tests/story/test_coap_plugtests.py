"""The ETSI CoAP plugtest cases (TD_COAP_*), each as one row: what the client does and what it must see.

The test server of the plugtests has fixed resources; here the client puts them there first.  A case that needs a server which
answers late, or loses its observers' interest, has its own function below the table.
"""
import pytest

from peers import coap
from peers.coap import ACK, CON, NON, Shim, Socket, block, uint

CASES = {}


def case(*ids):
    def keep(fn):
        for id in ids:
            CASES[id] = fn
        return fn
    return keep


@pytest.fixture(scope="module")
def client(coap_port):
    with Socket(coap_port) as it:
        yield it


@pytest.fixture(autouse=True)
def clean(client):
    for name in ("test", "validate", "create1", "large", "large-create", "obs", "seg1/seg2/seg3", "query", "multi"):
        client.delete("r/" + name)
    client.aside.clear()


# ---- CORE

@case("TD_COAP_CORE_01", "TD_COAP_CORE_05")
def get(c, type):
    c.put("r/test", "hello", options=[(coap.CONTENT_FORMAT, b"")])
    answer = c.get("r/test", type=type)
    assert (answer.says, answer.payload, answer.uint(coap.CONTENT_FORMAT)) == ("2.05", b"hello", 0)
    assert answer.type == (ACK if type == CON else NON)


@case("TD_COAP_CORE_02", "TD_COAP_CORE_06")
def delete(c, type):
    c.put("r/test", "x")
    assert c.delete("r/test", type=type).says == "2.02"
    assert c.get("r/test").says == "4.04"


@case("TD_COAP_CORE_03", "TD_COAP_CORE_07")
def put(c, type):
    assert c.put("r/test", "x", type=type, options=[(coap.CONTENT_FORMAT, b"")]).says in ("2.01", "2.04")


@case("TD_COAP_CORE_04", "TD_COAP_CORE_08")
def post(c, type):
    assert c.post("r/test", "x", type=type, options=[(coap.CONTENT_FORMAT, b"")]).says in ("2.01", "2.04")


@case("TD_COAP_CORE_10")
def get_with_a_token(c, _):
    c.put("r/test", "x")
    for length in (1, 8):
        token = b"12345678"[:length]
        assert c.get("r/test", token=token).token == token


@case("TD_COAP_CORE_12")
def get_without_a_token(c, _):
    c.put("r/test", "x")
    message = c.request(coap.GET, "r/test", token=b"")
    c.send(message)
    answer = c.hear()
    assert (answer.type, answer.id, answer.token, answer.says) == (ACK, message.id, b"", "2.05")


@case("TD_COAP_CORE_13")
def several_uri_path_options(c, _):
    c.put("r/seg1/seg2/seg3", "deep")
    assert c.get("r/seg1/seg2/seg3").payload == b"deep"


@case("TD_COAP_CORE_14")
def several_uri_query_options(c, _):
    c.put("r/query", "x")
    assert c.get("r/query", query=["first=1", "second=2", "third=3"]).says == "2.05"


@case("TD_COAP_CORE_15")
def piggybacked_over_loss(c, _):
    c.put("r/test", "x")
    with Shim(c.socket.getpeername()[1], loss=0.3, seed=5) as shim, Socket(shim.port) as far:
        for _ in range(5):
            message = far.request(coap.GET, "r/test")
            for _ in range(100):
                far.send(message)
                try:
                    answer = coap.Message.parse(far.hear_bytes(0.05))
                except TimeoutError:
                    continue
                if answer.id == message.id:
                    break
            assert (answer.says, answer.payload) == ("2.05", b"x")


@case("TD_COAP_CORE_20")
def accept(c, _):
    c.put("r/multi", '{"a":1}', options=[(coap.CONTENT_FORMAT, uint(50))])
    assert c.get("r/multi", options=[(coap.ACCEPT, uint(50))]).uint(coap.CONTENT_FORMAT) == 50
    assert c.get("r/multi", options=[(coap.ACCEPT, uint(60))]).uint(coap.CONTENT_FORMAT) == 60
    assert c.get("r/multi", options=[(coap.ACCEPT, uint(47))]).says == "4.06"


@case("TD_COAP_CORE_21")
def etag(c, _):
    c.put("r/validate", "one")
    first = c.get("r/validate")
    tag = first.option(coap.ETAG)
    assert c.get("r/validate", options=[(coap.ETAG, tag)]).says == "2.03"
    c.put("r/validate", "two")
    after = c.get("r/validate", options=[(coap.ETAG, tag)])
    assert after.says == "2.05" and after.option(coap.ETAG) != tag


@case("TD_COAP_CORE_22")
def if_match(c, _):
    c.put("r/validate", "one")
    tag = c.get("r/validate").option(coap.ETAG)
    assert c.put("r/validate", "two", options=[(coap.IF_MATCH, tag)]).says == "2.04"
    assert c.put("r/validate", "three", options=[(coap.IF_MATCH, tag)]).says == "4.12"
    assert c.get("r/validate").payload == b"two"


@case("TD_COAP_CORE_23")
def if_none_match(c, _):
    assert c.put("r/create1", "x", options=[(coap.IF_NONE_MATCH, b"")]).says == "2.01"
    assert c.put("r/create1", "y", options=[(coap.IF_NONE_MATCH, b"")]).says == "4.12"


@case("TD_COAP_CORE_31")
def ping(c, _):
    assert c.ping()


# ---- LINK

@case("TD_COAP_LINK_01")
def well_known(c, _):
    answer = c.get(".well-known/core")
    assert (answer.says, answer.uint(coap.CONTENT_FORMAT)) == ("2.05", 40)


@case("TD_COAP_LINK_05")
def filter_without_a_match(c, _):
    assert c.get(".well-known/core", query=["if=nothing-has-it"]).payload == b""


@case("TD_COAP_LINK_07")
def filter_by_href(c, _):
    c.put("r/test", "x")
    assert c.get(".well-known/core", query=["href=/r/test"]).payload.startswith(b"</r/test>")


@case("TD_COAP_LINK_08")
def filter_by_part_of_href(c, _):
    c.put("r/test", "x")
    assert b"</r/test>" in c.get(".well-known/core", query=["href=/r/te*"]).payload


# ---- BLOCK

BODY = bytes(range(33, 127)) * 20


@case("TD_COAP_BLOCK_01")
def get_with_early_negotiation(c, _):
    c.put_all("r/large", BODY)
    first = c.get("r/large", options=[(coap.BLOCK2, block(0, False, 64))])
    assert first.block(coap.BLOCK2) == (0, True, 64)
    assert c.get_all("r/large", 64) == BODY


@case("TD_COAP_BLOCK_02")
def get_with_late_negotiation(c, _):
    c.put_all("r/large", BODY)
    first = c.get("r/large")
    assert first.block(coap.BLOCK2) == (0, True, 1024)
    rest = b"".join(c.get("r/large", options=[(coap.BLOCK2, block(n, False, 64))]).payload for n in range(16, 30))
    assert first.payload + rest == BODY


@case("TD_COAP_BLOCK_03")
def put_in_blocks(c, _):
    assert c.put_all("r/large", BODY, 64).says == "2.01"
    assert c.get_all("r/large") == BODY


@case("TD_COAP_BLOCK_04")
def post_in_blocks(c, _):
    _, watch = c.observe("r/large-create", type=NON)
    assert c.put_all("r/large-create", BODY, 64, method=coap.POST).says == "2.04"
    assert watch.hear().payload == BODY[:1024]
    watch.cancel()


@case("TD_COAP_BLOCK_06")
def get_in_the_smallest_blocks(c, _):
    c.put_all("r/large", BODY)
    assert c.get("r/large", options=[(coap.BLOCK2, block(0, False, 16))]).block(coap.BLOCK2) == (0, True, 16)
    assert c.get_all("r/large", 16) == BODY


# ---- OBS

@case("TD_COAP_OBS_01")
def observe_confirmably(c, _):
    first, watch = c.observe("r/obs")
    assert first.option(coap.OBSERVE) is not None
    c.put("r/obs", "1")
    news = watch.hear()
    assert (news.type, news.payload) == (CON, b"1") and news.token == watch.token
    watch.cancel()


@case("TD_COAP_OBS_02")
def observe_unconfirmably(c, _):
    _, watch = c.observe("r/obs", type=NON)
    c.put("r/obs", "1")
    assert watch.hear().type == NON
    watch.cancel()


@case("TD_COAP_OBS_05")
def a_client_that_resets_is_forgotten(c, _):
    _, watch = c.observe("r/obs")
    c.put("r/obs", "1")
    c.reset(watch.hear(ack=False))
    c.put("r/obs", "2")
    assert c.silent()


@case("TD_COAP_OBS_06")
def explicit_deregistration(c, _):
    _, watch = c.observe("r/obs")
    answer = watch.cancel()
    assert answer.option(coap.OBSERVE) is None
    c.put("r/obs", "2")
    assert c.silent()


@case("TD_COAP_OBS_07")
def delete_ends_it(c, _):
    c.put("r/obs", "1")
    _, watch = c.observe("r/obs")
    c.delete("r/obs")
    assert watch.hear().says == "4.04"
    c.put("r/obs", "2")
    assert c.silent()


@case("TD_COAP_OBS_08")
def a_format_that_cannot_be_kept_ends_it(c, _):
    c.put("r/obs", '{"a":1}', options=[(coap.CONTENT_FORMAT, uint(50))])
    _, watch = c.observe("r/obs", options=[(coap.ACCEPT, uint(60))])
    c.put("r/obs", '{"a":', options=[(coap.CONTENT_FORMAT, uint(50))])
    last = watch.hear()
    assert last.says == "4.06" and last.option(coap.OBSERVE) is None


@case("TD_COAP_OBS_09")
def an_update_by_another_client_is_told(c, _):
    _, watch = c.observe("r/obs")
    with Socket(c.socket.getpeername()[1]) as other:
        other.put("r/obs", "new")
    assert watch.hear().payload == b"new"
    watch.cancel()


@case("TD_COAP_OBS_10")
def a_plain_get_leaves_the_observation(c, _):
    _, watch = c.observe("r/obs", type=NON)
    c.put("r/obs", "1")
    watch.hear()
    assert c.get("r/obs").option(coap.OBSERVE) is None
    c.put("r/obs", "2")
    assert watch.hear().payload == b"2"
    watch.cancel()


NON_CASES = {"TD_COAP_CORE_05", "TD_COAP_CORE_06", "TD_COAP_CORE_07", "TD_COAP_CORE_08"}


@pytest.mark.parametrize("id", sorted(CASES))
def test_plugtest(client, id):
    CASES[id](client, NON if id in NON_CASES else CON)


# ---- a server that answers late: the application is the resource

@pytest.fixture
def late(bridge):
    """A bridge with /r/separate, which answers what is published at "go"."""
    go = bridge.subscribe("go")

    @bridge.resource("separate")
    def separate(request):
        return next(go).payload
    return bridge


@pytest.mark.parametrize("id, type, token", [
    ("TD_COAP_CORE_09", CON, b""), ("TD_COAP_CORE_11", CON, b"tokn"), ("TD_COAP_CORE_17", NON, b"t")])
def test_plugtest_separate(late, id, type, token):
    with Socket(late.port("coap")) as client:
        question = client.request(coap.GET, "r/separate", type=type, token=token)
        client.send(question)
        if type == CON:
            empty = client.hear()
            assert (empty.type, empty.code, empty.id, empty.token) == (ACK, 0, question.id, b"")
        late.publish("go", "late")

        answer = client.hear()
        assert (answer.type, answer.says, answer.payload, answer.token) == (type, "2.05", b"late", token)
        if type == CON:
            again = client.hear()                                    # not acknowledged yet: it comes again
            assert bytes(again) == bytes(answer)
            client.ack(answer)


def test_plugtest_TD_COAP_CORE_16_separate_over_duplicates(late):
    with Socket(late.port("coap")) as client:
        question = client.request(coap.GET, "r/separate")
        client.send(question)
        assert client.hear().code == 0
        client.send(question)                                        # the acknowledgement was lost
        assert client.hear().code == 0
        late.publish("go", "late")
        answer = client.hear()
        client.ack(answer)
        assert (answer.says, answer.payload) == ("2.05", b"late")
        assert client.silent()
