"""HTTP and the application: resources that answer, errors as statuses, names of one's own, policy, time."""
import threading

import pytest

pytest.importorskip("libbridge.testing")
import libbridge  # noqa: E402

from peers.http import Events, Http, WebSocket  # noqa: E402
from peers.process import PATIENCE, run  # noqa: E402
from peers.served import bridge, http, port  # noqa: E402, F401
from peers.tools import need  # noqa: E402
from peers.web import Web  # noqa: E402


def test_a_function_is_a_resource(bridge, http):
    @bridge.resource("about/{what}")
    def about(request, what):
        return {"what": what, "verb": request.verb, "payload": request.message.payload.decode()}

    assert http.request("GET", "/resources/about/lamps").json == {"what": "lamps", "verb": "GET", "payload": ""}
    assert http.request("POST", "/resources/about/k%C3%BCche", "x").json == {"what": "küche", "verb": "POST", "payload": "x"}
    assert http.request("GET", "/resources/about/x", Accept="application/cbor")["content-type"] == "application/cbor"


@pytest.mark.parametrize("error, status", [
    (libbridge.NotFound, 404), (libbridge.Denied, 403), (ValueError, 400), (libbridge.Timeout, 504), (RuntimeError, 500),
])
def test_what_it_raises_is_the_status(bridge, http, error, status):
    @bridge.resource("broken")
    def broken(request):
        raise error("no")

    answer = http.request("GET", "/resources/broken")

    assert (answer.status, answer["content-type"]) == (status, "application/problem+json")


def test_a_verb_that_is_not_answered_is_405_and_says_what_else_there_is(bridge, http):
    @bridge.resource("sensor", "GET")
    def sensor(request):
        return 21.5

    refused = http.request("PUT", "/resources/sensor", "1")

    assert (refused.status, refused["allow"]) == (405, "OPTIONS, GET, HEAD, POST, PATCH, DELETE")


def test_requests_behind_a_late_answer_wait_their_turn(bridge, port):
    entered, go_on = threading.Event(), threading.Event()

    @bridge.resource("late")
    def late(request):
        entered.set()
        go_on.wait(20)
        return "at last"

    with Http(port) as http:
        http.send(b"GET /resources/late HTTP/1.1\r\nHost: t\r\n\r\nGET /healthz HTTP/1.1\r\nHost: t\r\n\r\n")
        threading.Thread(target=go_on.set).start()

        assert http.answer().text == "at last"
        assert http.answer().text == "ok\n"


def test_who_leaves_before_the_answer_disturbs_nobody(bridge, port):
    @bridge.resource("slow")
    def slow(request):
        return "x"

    for _ in range(20):
        with Http(port) as leaving:
            leaving.ask("GET", "/resources/slow")
    with Http(port) as http:
        assert http.request("GET", "/resources/slow").text == "x"


def test_http_has_names_of_its_own(bridge, port, http):
    bridge.route("http:rooms/{room}", "home/{room}/temperature")
    http.request("PUT", "/resources/rooms/kitchen", "21.5")

    assert bridge.get("home/kitchen/temperature").value == 21.5
    assert http.request("GET", "/resources/rooms/+").json == {"rooms/kitchen": 21.5}
    with Events(port, "/resources/rooms/+") as events:
        assert events.next().json["path"] == "rooms/kitchen"
        bridge.publish("home/hall/temperature", 19)
        assert events.next().json == {"path": "rooms/hall", "value": 19}


def test_policy_says_who_may(bridge, port, http):
    @bridge.allow
    def allow(who, verb, path):
        return not path.startswith("secret")

    assert http.request("PUT", "/resources/secret/a", "x").status in (401, 403)
    assert http.request("GET", "/resources/secret/a").status in (401, 403)
    assert http.request("GET", "/resources/secret/+", Accept="text/event-stream").status in (401, 403)
    assert http.request("PUT", "/resources/open", "x").status == 201


def test_what_somebody_published_does_not_act_in_a_browser(bridge, http):
    bridge.publish("page", b"<script>alert(1)</script>", format="text/html", retain=True)
    bridge.publish("text", "<script>alert(1)</script>", retain=True)

    page, text = http.request("GET", "/resources/page"), http.request("GET", "/resources/text")

    assert (page["content-type"], page["content-security-policy"], page["x-content-type-options"]) == ("text/html", "sandbox", "nosniff")
    assert text["content-type"] == "text/plain;charset=utf-8"


def test_a_media_type_cannot_end_its_header(bridge, http):
    try:
        bridge.publish("v", b"x", format="text/html\r\nEvil: 1", retain=True)
    except ValueError:
        return  # refused where it was said, as well
    answer = http.request("GET", "/resources/v")

    assert answer["content-type"] == "application/octet-stream" and answer["evil"] is None


# ---- time: limits with numbers, docs/limits.md

def test_a_head_that_does_not_end_is_given_ten_seconds(bridge, port):  # slowloris
    with Http(port) as slow, Http(port) as other:
        slow.send(b"GET /resources/a HTTP/1.1\r\nHost: t\r\nX: ")
        other.request("GET", "/healthz")
        bridge.clock.advance(seconds=9)
        slow.send(b"y")
        other.request("GET", "/healthz")
        bridge.clock.advance(seconds=2)

        assert slow.answer().status == 408
        assert slow.is_closed()


def test_a_body_that_does_not_come_is_given_up(bridge, port):
    with Http(port) as slow, Http(port) as other:
        slow.send(b"PUT /resources/a HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\nx")
        other.request("GET", "/healthz")
        bridge.clock.advance(seconds=32)

        assert slow.answer().status == 408


def test_an_idle_connection_is_closed_and_a_busy_one_is_not(bridge, port):
    with Http(port) as idle, Http(port) as busy:
        idle.request("GET", "/healthz")
        busy.request("GET", "/healthz")
        for _ in range(4):
            bridge.clock.advance(seconds=20)
            assert busy.request("GET", "/healthz").status == 200
        assert idle.is_closed()


def test_a_quiet_event_stream_beats(bridge, port):
    with Events(port, "/resources/a") as events:
        events.until(b"\n\n")  # retry
        bridge.clock.advance(seconds=15)
        bridge.clock.advance(seconds=15)
        assert events.until(b"\n\n") == b":"


def test_a_long_poll_ends_when_its_time_is_over(bridge, port, http):
    http.request("PUT", "/resources/a", "1")
    tag = http.request("GET", "/resources/a")["etag"]
    with Http(port) as waiting, Http(port) as nothing:
        waiting.ask("GET", "/resources/a", headers={"Prefer": "wait=100", "If-None-Match": tag})
        nothing.ask("GET", "/resources/none", headers={"Prefer": "wait=100"})
        while bridge.stats()["bridge_http_watchers"] < 2:
            pass
        bridge.clock.advance(seconds=101)

        assert waiting.answer().status == 304
        assert nothing.answer().status == 404


def test_connections_are_limited(bridge):
    port = bridge.listen("http://127.0.0.1:0/?max_connections=3").port
    three = [Http(port) for _ in range(3)]
    for http in three:
        assert http.request("GET", "/healthz").status == 200
    with Http(port) as fourth:
        assert fourth.answer().status == 503
    three.pop().close()
    while True:
        with Http(port) as again:
            again.ask("GET", "/healthz")
            if again.answer().status == 200:
                break
    for http in three:
        http.close()


def test_closing_a_listener_ends_everything_on_it(make_bridge):
    bridge = make_bridge()
    listener = bridge.listen("http://127.0.0.1:0/resources")
    with Http(listener.port) as http, Events(listener.port, "/resources/a") as events, WebSocket(listener.port) as ws:
        http.request("GET", "/healthz")
        listener.close()
        assert http.is_closed() and events.is_closed() and ws.is_closed()
    with pytest.raises(ConnectionRefusedError):
        Http(listener.port)


def test_a_password_file_asks_who_it_is(make_bridge, tmp_path):
    (tmp_path / "passwords").touch()
    run(need("mosquitto_passwd"), "-b", tmp_path / "passwords", "alice", "secret:1")
    bridge = make_bridge()
    port = bridge.listen(f"http://127.0.0.1:0/?password_file={tmp_path}/passwords").port
    with Http(port) as http:
        refused = http.request("GET", "/a")
        assert refused.status == 401 and refused["www-authenticate"].startswith("Basic ")
        assert http.request("PUT", "/a", "x", Authorization="Basic YWxpY2U6c2VjcmV0OjE=").status == 201
        assert http.request("GET", "/a", Authorization="Basic YWxpY2U6c2VjcmV0OjE=").text == "x"
        assert http.request("GET", "/a", Authorization="Basic YWxpY2U6d3Jvbmc=").status == 401
        assert http.request("GET", "/a", Authorization="Basic %%%").status == 401
        assert http.request("GET", "/a").status == 401


# ---- who does not want to wait (RFC 7240)

def test_an_answer_may_be_fetched_later(bridge, port):
    go = threading.Event()
    with Web(lambda asked: go.wait(PATIENCE) and (200, {"Content-Type": "application/json"}, '{"was":"slow"}')) as web, Http(port) as http:
        bridge.connect(f"{web.url}/?as=slow/{{path...}}")
        with Http(port) as other:  # who asks may go
            taken = other.request("POST", "/resources/slow/x", "1", Prefer="respond-async")
        place = taken["location"]
        assert (taken.status, taken["preference-applied"]) == (202, "respond-async")
        assert http.request("GET", place).status == 202
        go.set()
        while (answer := http.request("GET", place)).status == 202:
            pass

        assert (answer.status, answer.json) == (200, {"was": "slow"})
        assert http.request("GET", place, Accept="application/cbor")["content-type"] == "application/cbor"
        assert http.request("PUT", place, "1").status == 405
        assert http.request("DELETE", place).status == 204
        assert http.request("GET", place).status == 404


def test_a_later_answer_is_not_kept_for_ever(bridge, port):
    with Web(lambda asked: 404) as web, Http(port) as http:
        bridge.connect(f"{web.url}/?as=slow/{{path...}}")
        place = http.request("GET", "/resources/slow/x", Prefer="respond-async")["location"]
        while (answer := http.request("GET", place)).status == 202:
            pass
        assert answer.status == 404 and answer.json["detail"].endswith("answered 404")
        bridge.clock.advance(seconds=301)
        http.close()
        with Http(port) as again:
            assert again.request("GET", place).json["detail"].startswith("No such request")


def test_what_is_known_at_once_is_not_put_off(http):
    assert http.request("PUT", "/resources/a", "1", Prefer="respond-async").status == 201
    assert http.request("GET", "/resources/a", Prefer="respond-async").text == "1"


def test_who_asks_says_how_long_it_waits(bridge, port):
    end = threading.Event()
    with Web(lambda asked: end.wait(PATIENCE) and 200) as web, Http(port) as http:
        bridge.connect(f"{web.url}/?as=slow/{{path...}}")
        http.ask("PUT", "/resources/slow/x", "1", Prefer="wait=60")
        with Http(port) as other:
            while not bridge.stats()["bridge_http_requests_total"]:
                other.request("GET", "/healthz")
            other.request("GET", "/healthz")
        bridge.clock.advance(seconds=50)
        end.set()
        assert http.answer().status in (200, 204)
