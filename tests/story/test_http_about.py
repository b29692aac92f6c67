"""What is asked about the bridge: who is connected, where it listens, its routes; who may ask; and events that say all that is known."""
import base64
import json
import subprocess

import pytest

from peers import coap
from peers.http import Events, Http
from peers.mqtt import Client
from peers.tools import need


@pytest.fixture
def bridged(start_bridged):
    return start_bridged("http://127.0.0.1:0/resources", "mqtt://127.0.0.1:0", "coap://127.0.0.1:0/r")


@pytest.fixture
def http(bridged):
    with Http(bridged.port("http")) as http:
        yield http


def test_who_is_connected(bridged, http):
    with Client(bridged.port("mqtt"), 5).connect("panel") as panel, coap.Socket(bridged.port("coap")) as sensor:
        panel.subscribe(("t", 1))
        sensor.put("r/t", b"1")
        sensor.put("r/t", b"2")
        assert [panel.message().payload for _ in range(2)] == [b"1", b"2"]
        panel.publish("u", b"", qos=1)
        said = http.request("GET", "/api/peers").json
        rows = {row["name"]: row for row in said["peers"]}
        assert said["total"] == len(rows) == 3  # the application itself, and what adapters do inside, are nobody
        row = rows["mqtt:panel"]
        assert (row["scheme"], row["in"], row["out"], row["watches"]) == ("mqtt", 1, 2, 1) and row["address"].startswith("127.0.0.1:")
        row = rows[f"coap:127.0.0.1:{sensor.port}"]
        assert (row["in"], row["out"], row["watches"]) == (2, 0, 0) and row["since"] > 1.6e12


def test_lists_come_in_pages(bridged, http):
    clients = [Client(bridged.port("mqtt")).connect(f"client-{n}") for n in range(5)]
    page = http.request("GET", "/api/peers?q=client-&limit=2").json
    assert [p["name"] for p in page["peers"]] == ["mqtt:client-4", "mqtt:client-3"] and page["total"] == 5
    assert [p["name"] for p in http.request("GET", "/api/peers?q=client-&limit=2&offset=4").json["peers"]] == ["mqtt:client-0"]
    assert http.request("GET", "/api/peers?q=client-&offset=99").json["peers"] == []
    for bad in ("limit=1001", "limit=x", "offset=-1"):
        assert http.request("GET", "/api/peers?" + bad).status == 400
    for client in clients:
        client.drop()


def test_a_session_that_is_away(bridged, http):
    with Client(bridged.port("mqtt"), 5).connect("sleeper", props={"session_expiry": 1000}):
        pass
    def sleeper():
        return http.request("GET", "/api/peers?q=sleeper").json["peers"][0]
    for _ in range(100000):  # the end of the connection is on its way
        if sleeper().get("away"):
            break
    assert sleeper()["away"] and "address" not in sleeper()


def test_listeners_uplinks_and_routes(start_bridged, tmp_path):
    (tmp_path / "bridge.json").write_text(json.dumps({
        "listen": ["http://127.0.0.1:0/resources", "lwm2m://127.0.0.1:0?mount=devices"], "connect": ["mqtt://ann:secret@127.0.0.1:1?out=x/%23"],
        "routes": [{"source": "coap:t/{x}", "target": "home/{x}"}, {"source": "raw/{x}", "target": "cooked/{x}", "transform": "scale 10", "format": "json"}]}))
    bridged = start_bridged(options=["--config", "bridge.json"], listeners=2)
    with Http(bridged.port("http")) as http:
        http.request("PUT", "/resources/raw/a", "1.234")
        assert http.request("GET", "/api/routes").json == {"total": 2, "routes": [
            {"route": "coap:t/{x} -> home/{x}", "names": "coap", "crossed": 0, "both_ways": True},
            {"route": "raw/{x} -> cooked/{x}", "transform": "scale 10", "format": "json", "crossed": 1}]}
        assert http.request("GET", "/api/routes?q=scale").json["total"] == 1
        answer = http.request("GET", "/api/ports")
        rows = {row["scheme"]: row for row in answer.json["ports"]}
        assert b"secret" not in answer.body and b"x/" not in answer.body
        assert rows["uplink"]["uplink"] and not rows["uplink"]["up"] and rows["uplink"]["sent"] == 0
        assert rows["lwm2m"]["mount"] == "devices" and rows["http"]["url"] == f"http://127.0.0.1:{bridged.port('http')}/resources"
        assert http.request("GET", "/api/me").json["mount"] == "/resources"


def test_routes_by_hand(start_bridged, tmp_path):
    def start():
        return start_bridged("http://127.0.0.1:0/resources?routes=write", "http://127.0.0.1:0/r", "coap://127.0.0.1:0/r", options=["--store", f"sqlite:{tmp_path}/b.db"])
    bridged = start()
    with Http(bridged.port("http")) as http:
        def post(body, query="", **headers):
            return http.request("POST", "/api/routes" + query, json.dumps(body), headers=headers)
        copy, name = {"source": "raw/{x}", "target": "cooked/{x}", "transform": "scale 10", "qos": 1}, {"source": "coap:t/{x}", "target": "raw/{x}"}
        http.request("PUT", "/resources/raw/a", "1.5")
        told = post(copy, "?try").json["text"].split("\n")
        assert told[:4] == ["what is published at raw/{x} is copied to cooked/{x}", "on the way: scale 10", "raw/a would be copied to cooked/a",
                            "it is kept in the store, and there again at the next start"]
        assert "raw/a would be called t/a" in post(name, "?try").json["text"]
        assert http.request("GET", "/api/routes").json == {"routes": [], "total": 0, "change": True}

        made = post(copy)
        assert made.status == 201 and post(name).status == 201
        assert [post(copy).status, post(copy, "?try").status] == [409, 409]
        http.request("PUT", "/resources/raw/a", "2.5")
        assert http.request("GET", "/resources/cooked/a").text == "25"
        for wrong in ({"source": "a"}, {"source": "a", "target": "b/{x}"}, [], {"source": 1, "target": "b"}, {**copy, "qos": 3}, {**copy, "sauce": 1}, {**copy, "ways": "none"}):
            assert post(wrong).status == 400, wrong
        assert post({"source": "x", "target": "y"}, Origin="http://evil.example").status == 403
        rows = http.request("GET", "/api/routes").json["routes"]
        assert [row["route"] for row in rows] == ["raw/{x} -> cooked/{x}", "coap:t/{x} -> raw/{x}"] and made["location"] == "/api/routes/" + rows[0]["id"]
        assert http.request("OPTIONS", made["location"])["allow"] == "DELETE, OPTIONS"
        assert [http.request("DELETE", made["location"]).status for _ in range(2)] == [204, 404]
        assert http.request("GET", made["location"]).status == 405
    with Http(int(bridged.urls[1].split(":")[2].split("/")[0])) as reader:  # the other listener only tells
        assert reader.request("POST", "/api/routes", "{}").status == 403 and "change" not in reader.request("GET", "/api/routes").json
        assert reader.request("OPTIONS", "/api/routes")["allow"] == "GET, HEAD, OPTIONS"

    bridged.end()
    with Http(start().port("http")) as http:  # it has lasted, and may be taken away
        row, = http.request("GET", "/api/routes").json["routes"]
        assert row["route"] == "coap:t/{x} -> raw/{x}"
        assert http.request("DELETE", "/api/routes/" + row["id"]).status == 204
        assert http.request("GET", "/api/routes").json["total"] == 0


def test_what_is_refused_says_what_is_allowed(start_bridged):
    """RFC 9110 15.5.6: every 405 has the Allow that OPTIONS has there, and the method is not in it."""
    both = start_bridged("http://127.0.0.1:0/resources?routes=write", "http://127.0.0.1:0/resources")
    for url in both.urls:
        with Http(int(url.split(":")[2].split("/")[0])) as http:
            http.request("PUT", "/resources/v", "1")
            writes, refused = url == both.urls[0], 0
            for target in ("/", "/page/app.js", "/healthz", "/metrics", "/api/me", "/api/peers", "/api/ports", "/api/routes", "/api/routes/1", "/api/stats", "/api/explain",
                           "/api/openapi.json", "/.well-known/core", "/history/v", "/resources/", "/resources/+", "/resources/a/%23"):
                allowed = http.request("OPTIONS", target)["allow"].split(", ")
                for method in ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"):
                    answer = http.request(method, target, "x" if method in ("PUT", "POST", "PATCH") else None)
                    assert answer.status != 501
                    if answer.status == 405:
                        refused += 1
                        assert answer["allow"].split(", ") == allowed and method not in allowed, (target, method)
                    elif answer.status != 403:
                        assert method in allowed, (target, method, answer.status)
            assert refused > 50
            assert http.request("PUT", "/api/routes", "{}")["allow"] == ("GET, HEAD, POST, OPTIONS" if writes else "GET, HEAD, OPTIONS")


def test_who_may_ask(start_bridged, tmp_path):
    passwords, rules = tmp_path / "passwords", tmp_path / "acl"
    for name, create in (("root", ["-c"]), ("viewer", []), ("guest", [])):
        subprocess.run([need("mosquitto_passwd"), *create, "-b", passwords, name, "p"], check=True)
    rules.write_text("user root\ntopic readwrite $SYS/#\ntopic readwrite #\nuser viewer\ntopic read $SYS/#\nuser guest\ntopic read home/#\n")
    port = start_bridged(f"http://127.0.0.1:0/resources?password_file={passwords}&acl_file={rules}&anonymous=deny&routes=write").port("http")

    def status(target, name, method="GET"):
        with Http(port) as http:
            return http.request(method, target, headers={"Authorization": "Basic " + base64.b64encode(f"{name}:p".encode()).decode()} if name else {}).status
    for target in ("/api/peers", "/api/ports", "/api/routes", "/api/stats", "/api/explain?path=a"):
        assert [status(target, who) for who in ("root", "guest", None)] == [200, 403, 401], target
    for method, target, then in (("POST", "/api/routes", 400), ("DELETE", "/api/routes/1", 404)):  # who may see may not change
        assert [status(target, who, method) for who in ("root", "viewer", "guest", None)] == [then, 403, 403, 401], target
    assert [status("/api/me", who) for who in ("root", "guest", None)] == [200, 200, 401]
    assert [status(file, None) for file in ("/", "/page/app.js", "/page/style.css", "/page/none.js")] == [200, 200, 200, 404]


def test_the_files_are_known_by_their_tags(http):
    said = http.request("GET", "/page/app.js")
    assert said["content-type"].startswith("text/javascript") and said["x-content-type-options"] == "nosniff" and "script-src 'self'" in said["content-security-policy"]
    for known in (said["etag"], f'"other", W/{said["etag"]}', "*"):
        assert http.request("GET", "/page/app.js", headers={"If-None-Match": known}).status == 304
    assert http.request("GET", "/page/app.js", headers={"If-None-Match": '"other"'}).status == 200
    assert http.request("POST", "/page/app.js", "x").status == 405


def test_events_that_say_all(bridged, http):
    http.request("PUT", "/resources/t", "21.5", headers={"Content-Type": "text/plain", "Cache-Control": "max-age=1000"})
    http.request("PUT", "/resources/long", "x" * 20000)
    with Events(bridged.port("http"), "/resources/t?observe&about") as one, Events(bridged.port("http"), "/resources/%23?observe&about") as many:
        said = one.next().json
        assert (said["path"], said["value"], said["len"], said["kept"], said["type"]) == ("t", 21.5, 4, True, "text/plain;charset=utf-8")
        assert said["origin"].startswith("http:127.0.0.1") and said["expires"] - said["time"] == 1000000 and "guess" not in said
        known = {event["path"]: event for event in (many.next().json, many.next().json)}
        assert known["long"]["long"] and "value" not in known["long"] and known["long"]["len"] == 20000
        with Client(bridged.port("mqtt"), 5).connect("meter") as meter:
            meter.publish("t", b"\xff\0", qos=1, props=[("user", ("unit", "<i>")), ("user", ("unit", "two"))])
        said = one.next().json
        assert said["base64"] == "/wA=" and not said["kept"] and said["qos"] == 1 and said["properties"] == [["unit", "<i>"], ["unit", "two"]]
