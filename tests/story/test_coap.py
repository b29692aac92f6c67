"""CoAP as its users meet it: verbs, values, conditions, observers, blocks, discovery; with coap-client and packet by packet."""
import json
import socket

import pytest

from peers import coap
from peers.coap import ACK, CON, NON, Shim, Socket, block, uint
from peers.tools import coap_client, coap_get, coap_observe, coap_put


@pytest.fixture
def client(bridged):
    with Socket(bridged.port("coap")) as it:
        yield it


@pytest.fixture
def url(bridged):
    return bridged.url("coap")


# ---- verbs (RFC 7252 5.8)

def test_a_value_is_put_read_changed_and_removed(client):
    assert client.put("r/temp", "21.5").says == "2.01"
    assert client.put("r/temp", "22").says == "2.04"
    answer = client.get("r/temp")
    assert (answer.says, answer.payload) == ("2.05", b"22")
    assert client.delete("r/temp").says == "2.02"
    assert client.get("r/temp").says == "4.04"
    assert client.delete("r/temp").says == "2.02"                    # RFC 7252 5.8.4: gone is gone


def test_a_post_is_an_event_and_not_kept(client):
    assert client.post("r/button", "pressed").says == "2.04"
    assert client.get("r/button").says == "4.04"


def test_non_confirmable_questions_get_such_answers(client):
    answer = client.put("r/x", "1", type=NON)

    assert (answer.type, answer.says) == (NON, "2.01")
    assert client.get("r/x", type=NON).type == NON


def test_what_is_not_below_the_mount_is_not_there(client):
    for path in ("", "x", "rr/x", "R/x", ".well-known", ".well-known/core/x"):
        assert client.get(path).says == "4.04", path


@pytest.mark.parametrize("path", ["a//b", "/a", "a/", "//", "a b", "50%", "a?b=c", "grün/ß", "&;,", "..", "."])
def test_odd_paths_are_the_same_topics(client, mosquitto, path):
    heard = mosquitto.subscribe("#")

    assert client.put("r/" + path, "x").says == "2.01"

    assert heard.line() == f"{path} x"
    assert client.get("r/" + path).payload == b"x"


def test_queries_do_not_leak_into_the_path(client):
    client.put("r/q", "1", query=["a=b", "qos=1"])

    assert client.get("r/q", query=["whatever"]).payload == b"1"
    assert client.put("r/q", "1", query=["qos=7"]).says == "4.00"
    assert client.post("r/kept", "1", query=["retain=1"]).says == "2.01"
    assert client.get("r/kept").payload == b"1"


def test_bytes_cross_unchanged(client):
    body = bytes(range(256)) * 4

    client.put("r/bytes", body)

    assert client.get("r/bytes").payload == body


def test_an_empty_value_is_a_value(client):
    assert client.put("r/empty").says == "2.01"
    assert client.get("r/empty").says == "2.05"


def test_both_ways_with_mqtt(client, mosquitto):
    heard = mosquitto.subscribe("home/#")
    client.put("r/home/kitchen", "21.5")
    assert heard.line() == "home/kitchen 21.5"

    mosquitto.publish("home/cellar", "12", "-r")

    assert client.get("r/home/cellar").payload == b"12"


# ---- formats

def test_the_format_comes_back_as_it_was_said(client):
    client.put("r/json", '{"a":1}', options=[(coap.CONTENT_FORMAT, uint(50))])
    client.put("r/text", "x", options=[(coap.CONTENT_FORMAT, b"")])
    client.put("r/unsaid", "x")
    client.put("r/exotic", "x", options=[(coap.CONTENT_FORMAT, uint(64999))])

    assert client.get("r/json").uint(coap.CONTENT_FORMAT) == 50
    assert client.get("r/text").uint(coap.CONTENT_FORMAT) == 0
    assert client.get("r/unsaid").option(coap.CONTENT_FORMAT) is None
    assert client.get("r/exotic").uint(coap.CONTENT_FORMAT) == 64999


def test_accept_converts_or_says_no(client):
    client.put("r/n", '{"a":1}', options=[(coap.CONTENT_FORMAT, uint(50))])

    cbor = client.get("r/n", options=[(coap.ACCEPT, uint(60))])
    assert (cbor.says, cbor.payload, cbor.uint(coap.CONTENT_FORMAT)) == ("2.05", b"\xa1aa\x01", 60)
    assert client.get("r/n", options=[(coap.ACCEPT, uint(50))]).payload == b'{"a":1}'
    assert client.get("r/n", options=[(coap.ACCEPT, uint(47))]).says == "4.06"


def test_patches_change_a_part(client):                              # RFC 8132
    client.put("r/x", '{"a":1,"b":2}', options=[(coap.CONTENT_FORMAT, uint(50))])

    for method in (coap.PATCH, coap.IPATCH):
        assert client.ask(method, "r/x", payload='{"b":null,"c":3}', options=[(coap.CONTENT_FORMAT, uint(52))]).says == "2.04"

    assert client.get("r/x").payload == b'{"a":1,"c":3}'
    assert client.ask(coap.PATCH, "r/x", payload="x", options=[(coap.CONTENT_FORMAT, uint(0))]).says == "4.15"
    assert client.ask(coap.FETCH, "r/x").says == "4.00"


# ---- many paths at once

def test_wildcards_read_many_paths(client):
    for room, value in (("kitchen", "21.5"), ("cellar", "12")):
        client.put(f"r/home/{room}/temp", value)
    client.put("r/home/kitchen/light", '{"on":true}', options=[(coap.CONTENT_FORMAT, uint(50))])

    answer = client.get("r/home/+/temp")
    assert (answer.says, answer.uint(coap.CONTENT_FORMAT)) == ("2.05", 50)
    assert json.loads(answer.payload) == {"home/kitchen/temp": 21.5, "home/cellar/temp": 12}
    assert len(json.loads(client.get("r/#").payload)) == 3
    assert client.get("r/nothing/#").payload == b"{}"
    assert client.put("r/home/+/temp", "1").says == "4.00"
    assert client.get("r/#", options=[(coap.ACCEPT, uint(0))]).says == "4.06"


def test_wildcards_are_watched_as_one_state(client):
    client.put("r/a/x", "1")
    first, watch = client.observe("r/+/x", type=NON)
    assert json.loads(first.payload) == {"a/x": 1}

    client.put("r/b/x", "2")
    assert json.loads(watch.hear().payload) == {"a/x": 1, "b/x": 2}
    client.delete("r/a/x")
    assert json.loads(watch.hear().payload) == {"b/x": 2}
    watch.cancel()
    client.put("r/b/x", "3")
    assert client.silent()


# ---- conditions (RFC 7252 5.10.6, 5.10.8)

def test_an_etag_saves_the_body(client):
    client.put("r/x", "one")
    tag = client.get("r/x").option(coap.ETAG)
    assert 1 <= len(tag) <= 8

    again = client.get("r/x", options=[(coap.ETAG, b"other"), (coap.ETAG, tag)])
    assert (again.says, again.payload, again.option(coap.ETAG)) == ("2.03", b"", tag)
    client.put("r/x", "two")
    assert client.get("r/x", options=[(coap.ETAG, tag)]).payload == b"two"


def test_representations_have_tags_of_their_own(client):
    client.put("r/x", '{"a":1}', options=[(coap.CONTENT_FORMAT, uint(50))])
    plain = client.get("r/x").option(coap.ETAG)
    cbor = client.get("r/x", options=[(coap.ACCEPT, uint(60))]).option(coap.ETAG)

    assert plain != cbor
    assert client.get("r/x", options=[(coap.ETAG, plain), (coap.ACCEPT, uint(60))]).says == "2.05"
    assert client.put("r/x", "[]", options=[(coap.IF_MATCH, cbor)]).says == "2.04"


def test_if_match_and_if_none_match_guard_a_change(client):
    assert client.put("r/x", "1", options=[(coap.IF_MATCH, b"")]).says == "4.12"
    assert client.put("r/x", "1", options=[(coap.IF_NONE_MATCH, b"")]).says == "2.01"
    assert client.put("r/x", "2", options=[(coap.IF_NONE_MATCH, b"")]).says == "4.12"
    tag = client.get("r/x").option(coap.ETAG)
    assert client.put("r/x", "2", options=[(coap.IF_MATCH, b"wrong"), (coap.IF_MATCH, tag)]).says == "2.04"
    assert client.put("r/x", "3", options=[(coap.IF_MATCH, tag)]).says == "4.12"
    assert client.delete("r/x", options=[(coap.IF_MATCH, tag)]).says == "4.12"
    assert client.put("r/x", "3", options=[(coap.IF_MATCH, b"")]).says == "2.04"
    assert client.get("r/x").payload == b"3"


def test_max_age_says_what_is_left(client):
    client.put("r/short", "x", options=[(coap.MAX_AGE, uint(100))])
    client.put("r/long", "x")

    assert 98 <= client.get("r/short").uint(coap.MAX_AGE) <= 100
    assert client.get("r/long").option(coap.MAX_AGE) is None


# ---- messages

def test_a_repeated_put_is_done_once(client, mosquitto):
    heard = mosquitto.subscribe("#")
    message = client.request(coap.PUT, "r/once", payload="x")

    for _ in range(3):
        client.send(message)
        answer = client.hear()
        assert (answer.says, answer.id) == ("2.01", message.id)
    client.put("r/end", "x")

    assert heard.lines(2) == ["once x", "end x"]


def test_no_response_is_obeyed(client):                              # RFC 7967
    client.send(client.request(coap.PUT, "r/quiet", type=NON, payload="x", options=[(coap.NO_RESPONSE, uint(26))]))
    assert client.silent()
    assert client.get("r/quiet").payload == b"x"

    client.send(client.request(coap.GET, "r/none", type=NON, options=[(coap.NO_RESPONSE, uint(2))]))
    assert client.hear().says == "4.04"


def test_errors_say_why(client):
    answer = client.get("r/none")

    assert answer.payload.decode() == "no such resource"
    assert answer.option(coap.CONTENT_FORMAT) is None                # RFC 7252 5.5.2


# ---- observe (RFC 7641)

def test_an_observer_sees_what_was_and_what_comes(client, mosquitto):
    client.put("r/x", "one")
    first, watch = client.observe("r/x")
    assert (first.says, first.payload) == ("2.05", b"one")
    assert first.option(coap.OBSERVE) is not None

    last = first.uint(coap.OBSERVE)
    for n in range(5):
        mosquitto.publish("x", f"m{n}", "-r")
        news = watch.hear()
        assert (news.type, news.says, news.payload) == (NON, "2.05", b"m%d" % n)
        assert 0 < (news.uint(coap.OBSERVE) - last) % (1 << 24) < 1 << 23
        last = news.uint(coap.OBSERVE)


def test_confirmable_changes_are_told_confirmably_to_who_asked_so(client):
    _, by_con = client.observe("r/x")
    client.put("r/x", "1")                                           # CON counts as QoS 1
    assert by_con.hear().type == CON
    client.put("r/x", "2", type=NON)
    assert by_con.hear().type == NON

    by_con.cancel()
    _, by_non = client.observe("r/x", type=NON)
    client.put("r/x", "3")
    assert by_non.hear().type == NON


def test_one_may_watch_what_is_yet_to_come(client):
    first, watch = client.observe("r/later")
    assert (first.says, first.payload) == ("2.05", b"") and first.option(coap.OBSERVE) is not None
    assert client.get("r/later").says == "4.04"

    client.put("r/later", "now")

    assert watch.hear().payload == b"now"


def test_a_removed_value_ends_the_observation(client):
    client.put("r/x", "1")
    _, watch = client.observe("r/x")

    client.delete("r/x")

    last = watch.hear()
    assert last.says == "4.04" and last.option(coap.OBSERVE) is None
    client.put("r/x", "2")
    assert client.silent()


@pytest.mark.parametrize("how", ["observe 1", "reset", "reset of an older one"])
def test_an_observer_may_leave(client, how):
    _, watch = client.observe("r/x", type=NON)
    client.put("r/x", "1")
    first = watch.hear()
    client.put("r/x", "2")
    second = watch.hear()

    if how == "observe 1":
        assert watch.cancel().payload == b"2"
    else:
        client.reset(first if "older" in how else second)

    client.put("r/x", "3")
    assert client.silent()


def test_twenty_tokens_are_twenty_observers(bridged):                # RFC 7641 4.1: endpoint and token
    sockets = [Socket(bridged.port("coap")) for _ in range(4)]
    watches = [s.observe("r/x", type=NON)[1] for s in sockets for _ in range(5)]

    sockets[0].send(sockets[0].request(coap.PUT, "r/x", type=NON, payload="news", options=[(coap.NO_RESPONSE, uint(2))]))

    heard = {(s.port, m.token) for s in sockets for m in [s.hear() for _ in range(5)]}
    assert heard == {(w.socket.port, w.token) for w in watches}
    for s in sockets:
        s.close()


def test_the_same_token_again_is_the_same_observation(client):
    _, watch = client.observe("r/x", type=NON)
    client.observe("r/x", type=NON, token=watch.token)

    client.put("r/x", "1", token=b"put")

    assert watch.hear().payload == b"1"
    assert client.silent()


def test_a_slow_observer_skips_to_the_newest(make_bridge, still):    # for whom nothing is sent twice while the clock stands
    port = make_bridge("coap://127.0.0.1:0/r", clock=still).port("coap")
    with Socket(port) as client, Socket(port) as writer:
        _, watch = client.observe("r/x")
        for n in range(10):
            writer.put("r/x", str(n))

        first = watch.hear(ack=False)
        assert first.payload == b"0"
        client.ack(first)

        assert watch.hear().payload == b"9"
        assert client.silent()


def test_observe_with_blocks_follows_with_a_fresh_token(client):     # RFC 7959 3.4
    body = bytes(range(256)) * 10
    _, watch = client.observe("r/big", type=NON)

    client.put_all("r/big", body)
    news = watch.hear()

    assert news.block(coap.BLOCK2) == (0, True, 1024) and news.payload == body[:1024]
    rest = client.get("r/big", options=[(coap.BLOCK2, block(1, False, 1024))])
    last = client.get("r/big", options=[(coap.BLOCK2, block(2, False, 1024))])
    assert news.payload + rest.payload + last.payload == body
    assert rest.option(coap.ETAG) == last.option(coap.ETAG) == news.option(coap.ETAG)
    assert rest.option(coap.OBSERVE) is None


def test_an_observer_may_want_another_format(client):
    client.put("r/x", '{"a":1}', options=[(coap.CONTENT_FORMAT, uint(50))])
    first, watch = client.observe("r/x", type=NON, options=[(coap.ACCEPT, uint(60))])
    assert first.payload == b"\xa1aa\x01"

    client.put("r/x", '{"a":2}', options=[(coap.CONTENT_FORMAT, uint(50))])
    assert watch.hear().payload == b"\xa1aa\x02"
    client.put("r/x", '{"a":', options=[(coap.CONTENT_FORMAT, uint(50))])
    assert watch.hear().says == "4.06"                               # RFC 7641 4.2


# ---- blocks (RFC 7959)

@pytest.mark.parametrize("size1", [False, True], ids=["without Size1", "with Size1"])
@pytest.mark.parametrize("size", [16, 64, 1024])
def test_large_bodies_go_in_and_out(client, size, size1):
    body = bytes(i * 7 % 256 for i in range(size * 5 + 3))

    assert client.put_all("r/big", body, size, size1=size1).says == "2.01"

    for out in (16, 128, 1024):
        assert client.get_all("r/big", out) == body


def test_a_large_body_comes_in_blocks_unasked(client):
    client.put_all("r/big", b"x" * 3000)

    answer = client.get("r/big")

    assert answer.block(coap.BLOCK2) == (0, True, 1024) and answer.uint(coap.SIZE2) == 3000


def test_blocks_come_from_one_representation(client, bridged):
    client.put_all("r/big", b"a" * 3000)
    first = client.get("r/big")
    with Socket(bridged.port("coap")) as other:
        other.put_all("r/big", b"b" * 3000)

    later = client.get("r/big", options=[(coap.BLOCK2, block(2, False, 1024))])

    assert later.payload == b"a" * 952 and later.option(coap.ETAG) == first.option(coap.ETAG)
    assert client.get("r/big").payload == b"b" * 1024


def test_a_lost_block_is_told(client):
    def put(num, body, more=True):
        return client.put("r/big", body, options=[(coap.BLOCK1, block(num, more, 64))]).says

    assert put(0, b"x" * 64) == "2.31"
    assert put(2, b"z", more=False) == "4.08"
    assert put(100, b"y" * 64) == "4.08"                             # far ahead
    assert put(1, b"y" * 64) == "2.31"
    assert put(2, b"z", more=False) == "2.01"
    assert client.get("r/big").payload == b"x" * 64 + b"y" * 64 + b"z"


def test_blocks_may_come_out_of_order(client):
    parts = [bytes([65 + n]) * 64 for n in range(9)]
    for num in (0, 3, 2, 7, 1, 1, 5, 4, 3, 6):
        assert client.put("r/big", parts[num], options=[(coap.BLOCK1, block(num, True, 64))]).says == "2.31", num
    assert client.put("r/big", parts[8], options=[(coap.BLOCK1, block(8, False, 64))]).says == "2.01"
    assert client.get("r/big").payload == b"".join(parts)


def test_request_tags_keep_bodies_apart(client):                     # RFC 9175 3
    for num in range(3):
        for tag in (b"1", b"2"):
            says = client.put("r/" + "big", tag * 64, options=[(coap.BLOCK1, block(num, num < 2, 64)), (coap.REQUEST_TAG, tag)]).says
            assert says == ("2.31" if num < 2 else "2.01" if tag == b"1" else "2.04")
    assert client.get("r/big").payload == b"2" * 192


def test_two_clients_send_blocks_at_once(bridged):
    with Socket(bridged.port("coap")) as a, Socket(bridged.port("coap")) as b:
        for num in range(4):
            for s, letter in ((a, b"a"), (b, b"b")):
                s.put("r/both", letter * 16, options=[(coap.BLOCK1, block(num, num < 3, 16))])
                assert s.ping()

        assert a.get("r/both").payload == b"b" * 64


def test_it_is_done_over_a_network_that_loses_doubles_and_reorders(bridged):
    body = bytes(range(256)) * 40
    with Shim(bridged.port("coap"), loss=0.1, doubling=0.1, reorder=0.1, seed=3) as shim:
        with Socket(shim.port) as client:
            put_over_loss(client, "r/lossy", body)
        assert shim.lost > 0
    with Socket(bridged.port("coap")) as direct:
        assert direct.get_all("r/lossy") == body


def put_over_loss(client, path, body, size=512):
    """A client that sends again what was not answered within 50 ms."""
    for num in range(-(-len(body) // size)):
        more = (num + 1) * size < len(body)
        message = client.request(coap.PUT, path, payload=body[num * size:(num + 1) * size],
                                 options=[(coap.BLOCK1, block(num, more, size))])
        for _ in range(50):
            client.send(message)
            try:
                while (answer := coap.Message.parse(client.hear_bytes(0.05))).id != message.id:
                    pass
                break
            except TimeoutError:
                continue
        assert answer.says == ("2.31" if more else "2.01")


# ---- discovery (RFC 6690)

def links(answer):
    assert answer.uint(coap.CONTENT_FORMAT) == 40
    return ours(answer.payload.decode())


def ours(text):
    """Without what is there anyway."""
    return [link for link in text.split(",") if link and 'rt="core.' not in link]


def test_well_known_core_lists_what_there_is(client):
    client.put("r/b", '{"a":1}', options=[(coap.CONTENT_FORMAT, uint(50))])
    client.put("r/a b/ü", "x")

    assert sorted(links(client.get(".well-known/core"))) == [
        "</.well-known/core>;ct=40", "</r/a%20b/%C3%BC>;obs", "</r/b>;ct=50;obs"]
    assert links(client.get(".well-known/core", query=["href=/r/b"])) == ["</r/b>;ct=50;obs"]
    assert len(links(client.get(".well-known/core", query=["href=/r/*"]))) == 2
    assert links(client.get(".well-known/core", query=["ct=50"])) == ["</r/b>;ct=50;obs"]
    assert links(client.get(".well-known/core", query=["rt=none"])) == []
    assert client.get(".well-known/core", options=[(coap.ACCEPT, uint(50))]).says == "4.06"
    assert client.put(".well-known/core", "x").says == "4.05"
    assert sorted(links(client.get("r"))) == ["</r/a%20b/%C3%BC>;obs", "</r/b>;ct=50;obs"]


def test_well_known_core_comes_in_blocks(client):
    for n in range(200):
        client.put(f"r/device/{n}/temperature", "x", type=NON)

    listed = ours(client.get_all(".well-known/core", 64).decode())

    assert len(listed) == 201 and len(set(listed)) == 201


# ---- with libcoap's client

def test_coap_client_is_content(url, tmp_path):
    coap_put(url + "/x", "21.5")
    assert coap_get(url + "/x").strip() == b"21.5"
    body = bytes(range(33, 127)) * 100
    (tmp_path / "body").write_bytes(body)
    coap_client("-m", "put", "-f", tmp_path / "body", url + "/big")
    assert coap_get(url + "/big").strip() == body
    assert coap_get(url + "/big", "-b", "64").strip() == body
    coap_client("-m", "delete", url + "/x")
    assert b"4.04" in coap_client("-m", "get", url + "/x").stderr


def test_coap_client_observes(url):
    coap_put(url + "/x", "zero\n")
    watch = coap_observe(url + "/x")
    assert watch.line() == "zero"

    for word in ("one", "two", "three"):
        coap_put(url + "/x", word + "\n")
        assert watch.line() == word
    watch.stop()


# ---- listeners

def test_ipv6_and_another_mount(start_bridged):
    program = start_bridged("coap://[::1]:0/deep/mount")
    with Socket(program.port("coap"), host="::1") as client:
        assert client.put("deep/mount/x", "1").says == "2.01"
        assert client.get("deep/mount/x").payload == b"1"
        assert links(client.get(".well-known/core"))[1:] == ["</deep/mount/x>;obs"]


def test_without_a_mount_all_paths_are_served(start_bridged):
    program = start_bridged("coap://127.0.0.1:0")
    with Socket(program.port("coap")) as client:
        assert client.put("x/y", "1").says == "2.01"
        assert links(client.get("")) == ["</x/y>;obs"]


def test_answers_leave_from_the_address_they_came_to(start_bridged):
    program = start_bridged("coap://:0/r?anonymous=allow")
    for host in ("127.0.0.1", "127.0.0.2", "::1"):
        with Socket(program.port("coap"), host=host) as client:     # connected: hears from that address only
            assert client.put("r/" + host.replace(":", "x"), "1").says == "2.01"


def test_a_multicast_question_is_answered_at_leisure(start_bridged):  # RFC 7252 8
    program = start_bridged("coap://:0/r?anonymous=allow&multicast=lo")
    port = program.port("coap")
    with Socket(port) as client, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        client.put("r/x", "1")
        asker.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        asker.settimeout(8)
        for question in (client.request(coap.GET, "r/x", type=NON), client.request(coap.GET, "none", type=NON),
                         client.request(coap.GET, ".well-known/core", type=CON),
                         client.request(coap.GET, ".well-known/core", type=NON, query=["href=/none"]),
                         client.request(coap.GET, ".well-known/core", type=NON)):
            asker.sendto(bytes(question), ("224.0.1.187", port))

        data, sender = asker.recvfrom(2000)
        answer = coap.Message.parse(data)
        assert sender[1] == port and answer.token == question.token and answer.type == NON
        assert answer.payload.endswith(b"</r/x>;obs")


def test_block_size_can_be_said(start_bridged):
    program = start_bridged("coap://127.0.0.1:0/r?block_size=64")
    with Socket(program.port("coap")) as client:
        client.put("r/x", b"x" * 200)
        assert client.get("r/x").block(coap.BLOCK2) == (0, True, 64)
        answer = client.put("r/y", b"x" * 1024, options=[(coap.BLOCK1, block(0, True, 1024))])
        assert answer.says == "2.31" and answer.block(coap.BLOCK1)[2] == 64


def test_many_peers_are_served(bridged):
    sockets = [Socket(bridged.port("coap")) for _ in range(300)]
    for n, s in enumerate(sockets):
        s.send(s.request(coap.PUT, f"r/many/{n}", payload=str(n)))
    for n, s in enumerate(sockets):
        answer = s.hear()
        assert (answer.type, answer.says) == (ACK, "2.01")
        s.close()
