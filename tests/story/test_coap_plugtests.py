"""The ETSI CoAP plugtest cases (CoAP#1 to CoAP#4), by their ids: docs/conformance/coap.md tells what each is about.  What the client does and
what it must see.

The test server of the plugtests has fixed resources; here the client puts them there first.  A case that needs a server which
answers late, or loses its observers' interest, is in test_coap_plugtests_late.py.
"""
import re
from pathlib import Path

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


@case("TD_COAP_CORE_18")
def post_that_creates(c, _):
    answer = c.post("r/seg1/seg2/seg3", "x", query=["retain=1"])
    assert (answer.says, answer.all(coap.LOCATION_PATH)) == ("2.01", [b"r", b"seg1", b"seg2", b"seg3"])
    assert c.get("r/seg1/seg2/seg3").payload == b"x"


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


# ---- LINK: what the server offers is described by the application, `offer`

def links(answer):
    assert (answer.says, answer.uint(coap.CONTENT_FORMAT)) == ("2.05", 40), answer
    return [link.partition(">")[0].lstrip("<") for link in answer.payload.decode().split(",") if link and 'rt="core.' not in link]


OFFER = {"one": {"rt": "Type1 Type2", "if_": "If1"}, "two": {"rt": "Type2 Type3", "if_": "If2"}, "three": {"rt": "Type1 Type3", "if_": "foo"},
         "none": {"rt": ""}, "link1": {"sz": 64}, "link2": {}, "link3": {}, "path": {"ct": 40}}
LINK_CASES = {
    "TD_COAP_LINK_01": ([], "/.well-known/core one two three none link1 link2 link3 path"),
    "TD_COAP_LINK_02": (["rt=Type1"], "one three"),
    "TD_COAP_LINK_03": (["rt=*"], "one two three none"),
    "TD_COAP_LINK_04": (["rt=Type2"], "one two"),
    "TD_COAP_LINK_05": (["if=If*"], "one two"),
    "TD_COAP_LINK_06": (["sz=*"], "link1"),
    "TD_COAP_LINK_07": (["href=/r/link1"], "link1"),
    "TD_COAP_LINK_08": (["href=/r/link*"], "link1 link2 link3"),
}


@pytest.fixture
def offer(bridge):
    for name, attributes in OFFER.items():
        if attributes:
            bridge.describe(name, **attributes)
        bridge.publish(name, "x", retain=True)
    return bridge


@pytest.mark.parametrize("id", LINK_CASES)
def test_plugtest_link(offer, id):
    query, found = LINK_CASES[id]
    with Socket(offer.port("coap")) as c:
        assert sorted(links(c.get(".well-known/core", query=query))) == sorted(
            name if name.startswith("/") else "/r/" + name for name in found.split())


def test_plugtest_TD_COAP_LINK_09_links_are_arranged_in_levels(offer):
    offer.publish("path/sub1", "inside", retain=True)
    with Socket(offer.port("coap")) as c:
        c.put("r/path", "</r/path/sub1>", options=[(coap.CONTENT_FORMAT, uint(40))])
        assert links(c.get(".well-known/core", query=["ct=40", "href=/r/*"])) == ["/r/path"]
        [inner] = links(c.get("r/path"))
        assert c.get(inner.lstrip("/")).payload == b"inside"


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
    answer = c.put_all("r/large-create", BODY, 64, method=coap.POST, query=["retain=1"])
    assert (answer.says, answer.all(coap.LOCATION_PATH)) == ("2.01", [b"r", b"large-create"])
    assert answer.block(coap.BLOCK1) == (29, False, 64)
    assert c.get_all("r/large-create", 64) == BODY


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


@case("TD_COAP_OBS_04")
def one_may_register_again_with_the_same_token(c, _):
    c.put("r/obs", "0")
    _, watch = c.observe("r/obs")
    again, watch = c.observe("r/obs", token=watch.token)
    assert again.option(coap.OBSERVE) is not None
    c.put("r/obs", "1")
    assert watch.hear().payload == b"1"
    assert c.silent()                                                # told once
    watch.cancel()


@case("TD_COAP_OBS_06")
def a_client_that_resets_is_forgotten(c, _):
    _, watch = c.observe("r/obs")
    c.put("r/obs", "1")
    c.reset(watch.hear(ack=False))
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
def another_format_ends_it(c, _):
    c.put("r/obs", "0", options=[(coap.CONTENT_FORMAT, b"")])
    first, watch = c.observe("r/obs")
    assert first.uint(coap.CONTENT_FORMAT) == 0
    c.put("r/obs", b"\xff\xd8", options=[(coap.CONTENT_FORMAT, uint(22))])
    last = watch.hear()
    assert (last.type, last.says, last.option(coap.OBSERVE)) == (CON, "4.06", None)
    c.put("r/obs", "1", options=[(coap.CONTENT_FORMAT, b"")])
    assert c.silent()


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


@case("TD_COAP_OBS_11")
def one_notification_at_a_time_over_loss(c, _):
    with Shim(c.socket.getpeername()[1], loss=0.15, seed=3) as shim, Socket(shim.port) as far:
        question = far.request(coap.GET, "r/obs", options=[(coap.OBSERVE, b"")], token=b"lossy")
        for _ in range(200):
            far.send(question)
            try:
                if coap.Message.parse(far.hear_bytes(0.05)).id == question.id:
                    break
            except TimeoutError:
                continue
        for value in range(2):
            c.put("r/obs", str(value))
        open_, values = None, []
        while not values or values[-1] != b"1":
            news = far.hear_new()
            if news.type != CON:
                continue
            assert open_ in (None, news.id)                          # the same again, until it is acknowledged
            open_ = news.id
            far.ack(news)
            if not values or values[-1] != news.payload:
                values.append(news.payload)
            open_ = None
        assert values == sorted(values)


@case("TD_COAP_OBS_12")
def observe_1_ends_it(c, _):
    c.put("r/obs", "0")
    _, watch = c.observe("r/obs")
    answer = watch.cancel()
    assert (answer.type, answer.says, answer.option(coap.OBSERVE)) == (ACK, "2.05", None)
    c.put("r/obs", "2")
    assert c.silent()


def whole(c, path, first):
    """A notification, and the blocks that follow it."""
    body, (num, more, size) = first.payload, first.block(coap.BLOCK2)
    while more:
        num += 1
        answer = c.get(path, options=[(coap.BLOCK2, block(num, False, size))])
        body, more = body + answer.payload, answer.block(coap.BLOCK2)[1]
    return body


@case("TD_COAP_OBS_13")
def observe_what_is_large(c, _):
    c.put_all("r/obs", BODY)
    first, watch = c.observe("r/obs", options=[(coap.BLOCK2, block(0, False, 64))])
    assert whole(c, "r/obs", first) == BODY
    c.put_all("r/obs", BODY[::-1])
    assert whole(c, "r/obs", watch.hear()) == BODY[::-1]
    watch.cancel()


@case("TD_COAP_OBS_14")
def observe_what_grows_and_shrinks(c, _):
    c.put_all("r/obs", BODY)
    _, watch = c.observe("r/obs", options=[(coap.BLOCK2, block(0, False, 64))])
    for size in (500, 64, 1000):
        c.put_all("r/obs", BODY[:size])
        news = watch.hear()
        assert (whole(c, "r/obs", news) if news.block(coap.BLOCK2) else news.payload) == BODY[:size]
    watch.cancel()


NON_CASES = {"TD_COAP_CORE_05", "TD_COAP_CORE_06", "TD_COAP_CORE_07", "TD_COAP_CORE_08"}


@pytest.mark.parametrize("id", sorted(CASES))
def test_plugtest(client, id):
    CASES[id](client, NON if id in NON_CASES else CON)


# ---- the page

def test_the_page_tells_of_each_case():
    page = (Path(__file__).resolve().parents[2] / "docs/conformance/coap.md").read_text()
    told = re.findall(r"^\| `(TD_COAP_\w+)` \|.*\| run \|$", page, re.M)
    run = {*CASES, *LINK_CASES, *re.findall(r"TD_COAP_[A-Z]+_\d\d", Path(__file__).read_text() + Path(__file__).with_name("test_coap_plugtests_late.py").read_text())}
    assert set(told) == run and len(told) == len(set(told))
