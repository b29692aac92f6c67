"""HTTP as web developers expect it: verbs, statuses, formats, conditions, events, WebSocket."""
import base64
import json
import socket
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from peers.http import Events, Http, WebSocket
from peers.process import run
from peers.tools import need


@pytest.fixture
def port(start_bridged):
    return start_bridged("http://127.0.0.1:0/resources").port("http")


@pytest.fixture
def http(port):
    with Http(port) as connection:
        yield connection


# ---- one value

def test_put_creates_then_changes_and_get_reads(http):
    created = http.request("PUT", "/resources/home/lamp", "on")
    changed = http.request("PUT", "/resources/home/lamp", "off")

    read = http.request("GET", "/resources/home/lamp")

    assert (created.status, created["location"]) == (201, "/resources/home/lamp")
    assert changed.status == 204
    assert (read.status, read.text, read["content-type"]) == (200, "off", "text/plain;charset=utf-8")
    assert read["etag"] and read["last-modified"] and read["cache-control"] == "no-cache"


def test_head_is_get_without_the_body(http):
    http.request("PUT", "/resources/a", "value")

    head, get = http.request("HEAD", "/resources/a"), http.request("GET", "/resources/a")

    drop = lambda answer: [h for h in answer.headers if h[0] != "date"]
    assert (head.status, drop(head)) == (200, drop(get))


def test_delete_removes(http):
    http.request("PUT", "/resources/a", "value")

    assert http.request("DELETE", "/resources/a").status == 204
    assert http.request("GET", "/resources/a").status == 404
    assert http.request("DELETE", "/resources/a").status == 404


def test_post_is_an_event_that_nobody_keeps(http):
    assert http.request("POST", "/resources/a", "now").status == 202
    assert http.request("GET", "/resources/a").status == 404


def test_an_error_is_problem_json(http):  # RFC 9457
    answer = http.request("GET", "/resources/none")

    assert answer["content-type"] == "application/problem+json"
    assert answer.json["status"] == 404 and answer.json["title"] == "Not Found" and answer.json["detail"]


def test_bytes_of_any_kind_cross_unchanged(http):
    data = bytes(range(256)) * 1000
    http.request("PUT", "/resources/blob", data, Content_Type="image/png")

    answer = http.request("GET", "/resources/blob")

    assert (answer.body, answer["content-type"]) == (data, "image/png")


def test_a_value_over_the_limit_is_413_before_it_is_sent(http):
    http.send("PUT /resources/a HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000000\r\nExpect: 100-continue\r\n\r\n")

    assert http.answer().status == 413


def test_a_value_lives_as_long_as_its_max_age(http):
    http.request("PUT", "/resources/a", "x", Cache_Control="max-age=3600")

    assert http.request("GET", "/resources/a")["cache-control"] in ("max-age=3600", "max-age=3599")


# ---- names

@pytest.mark.parametrize("name", ["a//b", "/a", "a/", "a b", "100%", "what?", "k\u00fcche/\U0001f4a1", "a/../b", "./a", "$x/y", "{x}", "a%2Fb", ";,=&:@"])
def test_odd_names_are_lossless(http, name):
    target = "/resources/" + "/".join({".": "%2E", "..": "%2E%2E"}.get(s) or quote(s, safe="") for s in name.split("/"))
    created = http.request("PUT", target, "x")

    assert created.status == 201
    assert http.request("GET", created["location"]).text == "x"
    assert name in http.request("GET", "/resources/%23" if name[0] != "$" else "/resources/$x/%23").json


topic = st.text(st.characters(blacklist_characters="+#\0", blacklist_categories=["Cs"]), min_size=1, max_size=40).filter(lambda t: t[0] != "$")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(topic)
def test_every_topic_comes_back_under_its_own_name(http, name):
    target = "/resources/" + "/".join(quote(s, safe="") for s in name.split("/"))
    assert http.request("PUT", target, "x").status in (201, 204)

    assert list(http.request("GET", "/resources/%23").json) == [name]
    assert http.request("DELETE", target).status == 204


def test_a_query_never_becomes_part_of_the_name(http):
    http.request("PUT", "/resources/a?b=c", "x")

    assert http.request("GET", "/resources/a").text == "x"


# ---- many values

def test_a_wildcard_reads_many(http):
    http.request("PUT", "/resources/home/kitchen/temp", "21.5")
    http.request("PUT", "/resources/home/hall/temp", '{"v": 19}', Content_Type="application/json")
    http.request("PUT", "/resources/home/hall/lamp", b"\xff\x00")

    assert http.request("GET", "/resources/home/+/temp").json == {"home/kitchen/temp": 21.5, "home/hall/temp": {"v": 19}}
    assert http.request("GET", "/resources/home/%2B/lamp").json == {"home/hall/lamp": {"base64": "/wA="}}
    assert http.request("GET", "/resources/none/+").json == {}


def test_many_values_as_one_senml_pack(http):  # RFC 8428
    http.request("PUT", "/resources/home/kitchen/temp", "21.5")
    http.request("PUT", "/resources/home/hall/temp", '[{"bn":"x/","n":"a","u":"Cel","v":1},{"n":"b","vs":"s"}]', Content_Type="application/senml+json")
    http.request("PUT", "/resources/home/raw/temp", b"\xff\x00")

    pack = http.request("GET", "/resources/home/+/temp", Accept="application/senml+json")

    assert pack["content-type"] == "application/senml+json"
    base, found = "", {}
    for record in pack.json:
        base = record.get("bn", base)
        found[base + record.get("n", "")] = next(record[k] for k in ("v", "vs", "vd", "vb") if k in record)
    assert found == {"home/kitchen/temp": 21.5, "home/hall/temp/x/a": 1, "home/hall/temp/x/b": "s", "home/raw/temp": "_wA"}


def test_what_is_there_as_links(http):  # RFC 6690
    http.request("PUT", "/resources/a%20b/c", "1")

    assert http.request("GET", "/resources/%23", Accept="application/link-format").text == "</resources/a%20b/c>;ct=0;obs"
    core = http.request("GET", "/.well-known/core")
    assert (core["content-type"], core.text) == ("application/link-format", "</resources/a%20b/c>;ct=0;obs")


def test_a_part_of_a_value_is_changed(http):
    http.request("PUT", "/resources/a", '{"x":1,"y":2}', Content_Type="application/json")

    assert http.request("PATCH", "/resources/a", '{"x":null,"z":3}', Content_Type="application/merge-patch+json").status == 204
    assert http.request("GET", "/resources/a").json == {"y": 2, "z": 3}
    wrong = http.request("PATCH", "/resources/a", "x", Content_Type="text/plain")
    assert (wrong.status, "merge-patch" in wrong["accept-patch"]) == (415, True)
    assert http.request("PATCH", "/resources/a", '[{"op":"test","path":"/y","value":9}]', Content_Type="application/json-patch+json").status == 409


def test_a_trailing_slash_lists_what_is_below(http):
    for name in ("home/kitchen/temp", "home/hall", "home/hall/lamp", "attic"):
        http.request("PUT", "/resources/" + name, "x")

    assert sorted(http.request("GET", "/resources/").json) == ["attic", "home/"]
    assert sorted(http.request("GET", "/resources/home/").json) == ["hall", "hall/", "kitchen/"]
    assert sorted(http.request("GET", "/resources/home?list").json) == ["hall", "hall/", "kitchen/"]
    assert http.request("GET", "/resources/none/").status == 404


# ---- formats

def test_accept_converts_and_nothing_asked_changes_nothing(http):
    http.request("PUT", "/resources/a", "21.5")

    text, as_json, cbor = (http.request("GET", "/resources/a", Accept=kind)
                           for kind in ("*/*", "application/json", "application/cbor;q=0.9, text/html"))

    assert (text.body, text["content-type"]) == (b"21.5", "text/plain;charset=utf-8")
    assert (as_json.json, as_json["content-type"]) == (21.5, "application/json")
    assert (cbor["content-type"], cbor.body[0] >> 5) == ("application/cbor", 7) or cbor.body[:1] == b"\xc4"
    assert len({text["etag"], as_json["etag"], cbor["etag"]}) == 3 and text["vary"] == "Accept"


@pytest.mark.parametrize("accept, status", [
    ("text/html", 406), ("image/*", 406), ("text/plain;q=0", 406), ("text/*", 200), ("text/html, */*;q=0.1", 200),
    ("TEXT/Plain", 200), ("", 200), ("nonsense", 200),
])
def test_accept_is_read_with_its_weights(http, accept, status):
    http.request("PUT", "/resources/a", "hello there")

    assert http.request("GET", "/resources/a", Accept=accept).status == status


def test_what_a_form_post_of_curl_sends_is_just_text(http):
    http.request("PUT", "/resources/a", "on", Content_Type="application/x-www-form-urlencoded")

    assert http.request("GET", "/resources/a")["content-type"] == "text/plain;charset=utf-8"


def test_an_encoded_body_is_415(http):
    assert http.request("PUT", "/resources/a", "x", Content_Encoding="gzip").status == 415


# ---- conditions

def test_who_has_it_is_told_304(http):
    http.request("PUT", "/resources/a", "x")
    first = http.request("GET", "/resources/a")

    for headers in ({"If-None-Match": first["etag"]}, {"If-None-Match": f'"zz", W/{first["etag"]}'},
                    {"If-None-Match": "*"}, {"If-Modified-Since": first["last-modified"]}):
        again = http.request("GET", "/resources/a", headers=headers)
        assert (again.status, again.body, again["etag"]) == (304, b"", first["etag"]), headers
    http.request("PUT", "/resources/a", "y")
    assert http.request("GET", "/resources/a", If_None_Match=first["etag"]).text == "y"


def test_the_tag_of_one_format_is_not_the_tag_of_another(http):
    http.request("PUT", "/resources/a", "1")
    tag = http.request("GET", "/resources/a", Accept="application/json")["etag"]

    assert http.request("GET", "/resources/a", Accept="application/json", If_None_Match=tag).status == 304
    assert http.request("GET", "/resources/a", Accept="text/plain", If_None_Match=tag).status == 200


def test_a_lost_update_is_412(http):
    http.request("PUT", "/resources/a", "1")
    tag = http.request("GET", "/resources/a")["etag"]

    assert http.request("PUT", "/resources/a", "2", If_Match=tag).status == 204
    assert http.request("PUT", "/resources/a", "3", If_Match=tag).status == 412
    assert http.request("PUT", "/resources/a", "4", If_None_Match="*").status == 412
    assert http.request("PUT", "/resources/b", "5", If_Match="*").status == 412
    assert http.request("PUT", "/resources/b", "6", If_None_Match="*").status == 201
    assert http.request("PUT", "/resources/b", "7", If_None_Match=http.request("GET", "/resources/b")["etag"]).status == 412
    assert http.request("PUT", "/resources/b", "7", If_None_Match='"zz"').status == 204
    assert http.request("DELETE", "/resources/a", If_Match='"zz"').status == 412
    assert http.request("GET", "/resources/a").text == "2"


# ---- ranges

def test_a_part_can_be_read(http):
    http.request("PUT", "/resources/a", "0123456789")
    tag = http.request("GET", "/resources/a")["etag"]

    part = http.request("GET", "/resources/a", Range="bytes=2-4")
    assert (part.status, part.text, part["content-range"]) == (206, "234", "bytes 2-4/10")
    assert http.request("GET", "/resources/a", Range="bytes=-3").text == "789"
    assert http.request("GET", "/resources/a", Range="bytes=2-4", If_Range=tag).status == 206
    assert http.request("GET", "/resources/a", Range="bytes=2-4", If_Range='"old"').status == 200
    beyond = http.request("GET", "/resources/a", Range="bytes=10-")
    assert (beyond.status, beyond["content-range"]) == (416, "bytes */10")


def test_several_ranges_are_several_parts(http):
    http.request("PUT", "/resources/a", "0123456789", Content_Type="text/plain")

    answer = http.request("GET", "/resources/a", Range="bytes=0-1,-2,50-")
    kind, _, boundary = answer["content-type"].partition("; boundary=")
    parts = answer.body.split(b"--" + boundary.encode())

    assert (answer.status, kind) == (206, "multipart/byteranges") and answer["etag"]
    assert parts[0] == b"" and parts[3] == b"--\r\n"
    assert parts[1] == b"\r\nContent-Type: text/plain;charset=utf-8\r\nContent-Range: bytes 0-1/10\r\n\r\n01\r\n"
    assert parts[2] == b"\r\nContent-Type: text/plain;charset=utf-8\r\nContent-Range: bytes 8-9/10\r\n\r\n89\r\n"
    assert http.request("GET", "/resources/a", Range="bytes=0-8,1-9").status == 200  # more than all of it
    assert http.request("GET", "/resources/a", Range="bytes=" + ",".join(["0-0"] * 9)).status == 200


def test_a_reader_may_expect_something_too(http):
    http.request("PUT", "/resources/a", "1")
    there = http.request("GET", "/resources/a")

    assert http.request("GET", "/resources/a", If_Match=there["etag"]).status == 200
    assert http.request("GET", "/resources/a", If_Match="*").status == 200
    assert http.request("GET", "/resources/a", If_Match='"0"').status == 412
    assert http.request("GET", "/resources/a", If_Unmodified_Since=there["last-modified"]).status == 200
    assert http.request("GET", "/resources/a", If_Unmodified_Since="Fri, 01 Jan 2010 00:00:00 GMT").status == 412
    assert http.request("PUT", "/resources/a", "2", If_Unmodified_Since="Fri, 01 Jan 2010 00:00:00 GMT").status == 412
    assert http.request("DELETE", "/resources/a", If_Unmodified_Since="Fri, 01 Jan 2010 00:00:00 GMT").status == 412
    assert http.request("PUT", "/resources/a", "2", If_Unmodified_Since=there["last-modified"]).status == 204
    assert http.request("PUT", "/resources/new", "2", If_Unmodified_Since="Fri, 01 Jan 2010 00:00:00 GMT").status == 201


# ---- events

def test_a_path_is_watched_with_server_sent_events(port, http):
    http.request("PUT", "/resources/a", "1")
    with Events(port, "/resources/a") as events:
        assert events.head_said["content-type"] == "text/event-stream"
        assert events.next().data == "1"

        http.request("PUT", "/resources/a", "two\nlines")
        http.request("PUT", "/resources/a", b"\xff\x00")
        http.request("DELETE", "/resources/a")

        assert events.next().data == "two\nlines"
        binary, gone = events.next(), events.next()
        assert (binary.event, base64.b64decode(binary.json["base64"])) == ("bytes", b"\xff\x00")
        assert (gone.event, gone.json["path"]) == ("gone", "a")


def test_a_pattern_is_watched_with_paths_and_values(port, http):
    with Events(port, "/resources/home/+/temp") as events:
        http.request("PUT", "/resources/home/kitchen/temp", "21.5")
        http.request("POST", "/resources/home/hall/temp", '{"v":1}', Content_Type="application/json")

        assert events.next().json == {"path": "home/kitchen/temp", "value": 21.5}
        assert events.next().json == {"path": "home/hall/temp", "value": {"v": 1}}


def test_a_query_word_asks_for_events_too(port, http):
    with Events(port, "/resources/a?observe", {"Accept": "*/*"}) as events:
        http.request("PUT", "/resources/a", "1")
        assert events.next().data == "1"


def test_who_comes_back_is_not_told_again_what_it_knows(port, http):
    http.request("PUT", "/resources/x/a", "1")
    http.request("PUT", "/resources/x/b", "1")
    with Events(port, "/resources/x/+") as events:
        last = max(events.next().id, events.next().id, key=lambda i: int(i, 16))
    http.request("PUT", "/resources/x/b", "2")

    with Events(port, "/resources/x/+", {"Last-Event-ID": last}) as events:
        http.request("PUT", "/resources/x/c", "3")

        assert [events.next().json["path"] for _ in range(2)] == ["x/b", "x/c"]


def test_a_slow_watcher_gets_the_newest_and_disturbs_nobody(port, http):
    value = "x" * 50000
    with Events(port, "/resources/+") as slow, Events(port, "/resources/fast") as fast:
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        for i in range(400):
            assert http.request("PUT", "/resources/big", f"{i:04}{value}").status in (201, 204)
        http.request("PUT", "/resources/fast", "done")
        assert fast.next().data == "done"

        seen = [slow.next().json]
        while seen[-1]["path"] != "fast":
            seen.append(slow.next().json)

    numbers = [int(event["value"][:4]) for event in seen[:-1]]
    assert numbers == sorted(numbers) and numbers[-1] == 399 and len(numbers) < 400


# ---- long polls

def test_a_long_poll_waits_for_the_next_value(port, http):  # RFC 7240 4.3
    http.request("PUT", "/resources/a", "1")
    tag = http.request("GET", "/resources/a", Prefer="wait=20")["etag"]  # one is there: no waiting
    with Http(port) as waiting:
        waiting.ask("GET", "/resources/a", headers={"Prefer": "wait=20", "If-None-Match": tag})
        assert http.request("GET", "/healthz").status == 200

        http.request("PUT", "/resources/a", "2")

        answer = waiting.answer()
        assert (answer.status, answer.text) == (200, "2")
        assert waiting.request("GET", "/resources/a", headers={"Prefer": "wait=1", "If-None-Match": answer["etag"]}).status == 304


def test_a_long_poll_for_nothing_yet(port, http):
    with Http(port) as waiting:
        waiting.ask("GET", "/resources/new", headers={"Prefer": "wait=20"})
        waiting.ask("GET", "/healthz")
        while http.request("GET", "/resources/new").status == 404:
            http.request("PUT", "/resources/new", "here")

        assert waiting.answer().text == "here"
        assert waiting.answer().text == "ok\n"


# ---- JSON on WebSocket

def test_json_on_a_websocket(port, http):
    http.request("PUT", "/resources/home/lamp", "on")
    with WebSocket(port, protocol="bridge.json") as ws:
        assert ws.said["sec-websocket-protocol"] == "bridge.json"

        ws.say(id=1, get="home/lamp")
        ws.say(id="two", put="home/temp", value=21.5)
        ws.say(id=3, put="home/obj", value={"a": [1, None]})
        ws.say(id=4, put="home/raw", base64="/wA=")
        ws.say(id=5, get="none")
        ws.say(id=6, subscribe="home/te+")
        answers = [ws.hear() for _ in range(6)]

        assert answers[0]["value"] == "on" and answers[0]["path"] == "home/lamp"
        assert [(a["id"], a["status"]) for a in answers] == [(1, 200), ("two", 201), (3, 201), (4, 201), (5, 404), (6, 400)]
    assert http.request("GET", "/resources/home/temp").text == "21.5"
    assert http.request("GET", "/resources/home/obj").json == {"a": [1, None]}
    assert http.request("GET", "/resources/home/raw").body == b"\xff\0"


def test_subscriptions_on_a_websocket(port, http):
    http.request("PUT", "/resources/a/b", "1")
    with WebSocket(port) as ws:
        ws.say(id=1, subscribe="a/+")
        first, second = ws.hear(), ws.hear()
        assert {"id": 1, "status": 200} in (first, second)
        event = first if "path" in first else second
        assert (event["path"], event["value"], event["retained"]) == ("a/b", 1, True)

        http.request("POST", "/resources/a/c", "x")
        assert ws.hear()["value"] == "x"
        http.request("DELETE", "/resources/a/b")
        assert ws.hear()["gone"] is True
        ws.say(id=2, unsubscribe="a/+")
        assert ws.hear() == {"id": 2, "status": 204}
        http.request("POST", "/resources/a/c", "y")
        ws.say(id=3, get="a/b")
        assert ws.hear()["id"] == 3


@pytest.mark.parametrize("text", ["", "{", "[]", "1", '{"get":1}', '{"put":"a","base64":"%%"}', '{"put":"a+b","value":1}', '{"nonsense":"a"}',
                                  '{"put":"a","value":1,"format":"soup"}', '{"subscribe":"#/a"}', '{"get":"a\\u0000b"}'])
def test_a_message_that_makes_no_sense_gets_an_error(port, text):
    with WebSocket(port) as ws:
        ws.frame(ws.TEXT, text)

        answer = ws.hear()

        assert answer["status"] in (400, 415) and answer["error"]


def test_a_websocket_message_may_come_in_parts(port):
    with WebSocket(port) as ws:
        ws.frame(ws.TEXT, '{"id":1,"put":"a",', fin=False)
        ws.frame(ws.PING, b"in between")
        ws.frame(0, '"value":"x"}')

        assert ws.read() == (ws.PONG, b"in between")
        assert ws.hear() == {"id": 1, "status": 201}


# ---- about the bridge

def test_health_page_numbers_and_explain(http):
    assert http.request("GET", "/healthz").text == "ok\n"
    page = http.request("GET", "/")
    assert page["content-type"].startswith("text/html") and b"<title>" in page.body and page["x-bridge-mount"] == "/resources"
    assert "http" not in page.text.replace("http://www.w3.org", "").replace("HTTP/s", "").split("<script>")[0]  # works offline
    assert any(row["name"] == "bridge_http_requests_total" for row in http.request("GET", "/api/stats").json)
    assert "bridge_http_requests_total" in http.request("GET", "/metrics").text
    explained = http.request("GET", "/api/explain?path=home%2Flamp").json
    assert explained["path"] == "home/lamp" and explained["text"]


# ---- curl, as a person types it

def test_the_words_of_the_readme_with_curl(port):
    url = f"http://127.0.0.1:{port}/resources/home/lamp"
    curl = need("curl")

    run(curl, "-sf", "-X", "PUT", "-d", "on", url)
    assert run(curl, "-sf", url).stdout == b"on"
    assert run(curl, "-sf", "-H", "Accept: application/json", url).stdout == b'"on"'
    assert json.loads(run(curl, "-sf", f"http://127.0.0.1:{port}/resources/home/+").stdout) == {"home/lamp": "on"}
    run(curl, "-sf", "-X", "PUT", "-T", "-", url, stdin=b"x" * 300000)
    assert len(run(curl, "-sf", url).stdout) == 300000
    run(curl, "-sf", "-X", "DELETE", url)
    assert run(curl, "-s", "-o", "/dev/null", "-w", "%{http_code}", url).stdout == b"404"
