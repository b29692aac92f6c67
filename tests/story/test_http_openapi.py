"""The OpenAPI description says what is so: each documented answer is had from the bridge, and each target that there is is documented."""
import re
import threading
from pathlib import Path

import pytest

pytest.importorskip("libbridge.testing")
import libbridge  # noqa: E402
from conftest import built_adapters  # noqa: E402

from peers.http import Http, WebSocket  # noqa: E402
from peers.process import PATIENCE  # noqa: E402
from peers.web import Web  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
ADAPTER = ROOT / "libbridge/adapter/http"
JSON, PATCH, MERGE = ({"Content-Type": f"application/{kind}json"} for kind in ("", "json-patch+", "merge-patch+"))
AS_A, AS_C = {"Authorization": "Basic YTpi"}, {"Authorization": "Basic Yzpk"}
LATER = {"Prefer": "respond-async"}
READ, GONE = {200: ("",)}, {204: ("",)}
RAISED = {400: libbridge.Invalid, 401: libbridge.Unauthenticated, 403: libbridge.Denied, 404: libbridge.NotFound, 405: libbridge.MethodNotAllowed,
          406: libbridge.NotAcceptable, 409: libbridge.Conflict, 412: libbridge.PreconditionFailed, 413: libbridge.TooBig, 415: libbridge.UnknownFormat,
          422: libbridge.Unprocessable, 429: libbridge.Busy, 500: libbridge.InternalError, 501: libbridge.Unsupported, 502: libbridge.Unreachable,
          503: libbridge.Canceled, 504: libbridge.Timeout}
OF_OWNERS = {status: (f"owned/{status}", {}, "") for status in RAISED}


def read_only(**statuses):
    """What GET and HEAD of a target that is only read give; the words are name=(status, what follows the target, headers)."""
    said = {status: tuple(how) for status, *how in statuses.values()} or READ
    return {"get": said, "head": {status: how for status, how in said.items() if status != 101}, "options": GONE}


def had(mount, coap):
    """(path, verb) -> {status: (what follows, headers, body)}.  `v` holds a JSON value, `x` nothing; {tag} is v's; None: see the test of its own."""
    late, echo, round = ("owned/echo", LATER, "1"), ("owned/echo", {}, "1"), ("v", {**MERGE, "Bridge-Via": ",".join("abcdefghijklmnopq")}, "{}")
    device, owned = f"coap://127.0.0.1:{coap}/r/v", f"coap://127.0.0.1:{coap}/r/owned/"
    refused = {400: ("nonsense",), 403: ("coap://192.0.2.1/",), 502: (owned + "502",)}
    found = {
        f"{mount}/{{path}}": {
            "get": {**OF_OWNERS, 200: ("v",), 202: late, 206: ("v", {"Range": "bytes=0-1"}), 304: ("v", {"If-None-Match": "{tag}"}), 416: ("v", {"Range": "bytes=99-"})},
            "head": {**OF_OWNERS, 200: ("v",), 202: late, 304: ("v", {"If-None-Match": "{tag}"})},
            "put": {**OF_OWNERS, 508: round, 200: echo, 201: ("new", {}, "1"), 202: late, 204: ("v", JSON, '{"a":1}')},
            "post": {**OF_OWNERS, 508: round, 200: echo, 201: ("owned/made", {}, "1"), 202: ("x", {}, "1"), 204: ("heard", {}, "1")},
            "patch": {**OF_OWNERS, 508: round, 200: echo, 201: ("fresh", MERGE, '{"a":1}'), 202: late, 204: ("v", PATCH, "[]")},
            "delete": {**OF_OWNERS, 508: round, 200: echo, 202: late, 204: ("new",)},
            "options": {204: ("v",)},
        },
        "/hc/{uri}": {
            "get": {**refused, 200: (device,), 304: (device, {"If-None-Match": "{coap tag}"}), 404: (device + "/none",), 504: (owned + "504",)},
            "head": {**refused, 200: (device,), 304: (device, {"If-None-Match": "{coap tag}"}), 404: (device + "/none",)},
            "put": {**refused, 201: (device + "/new", {}, "1"), 204: (device, JSON, '{"a":1}')},
            "post": {**refused, 200: (owned + "echo", {}, "1"), 204: (device, {}, "1")},
            "patch": {**refused, 204: (device, MERGE, "{}")}, "delete": {**refused, 204: (device + "/new",)}, "options": GONE,
        },
        "/": {"get": {200: ("",), 101: None, 400: None, 426: None}, "head": {200: ("",), 400: None, 426: None}, "options": GONE},
        "/healthz": read_only(), "/api/openapi.json": read_only(),
        "/metrics": read_only(yes=(200, "", AS_C), who=(401, ""), no=(403, "", AS_A)),
        "/api/stats": read_only(yes=(200, "", AS_C), who=(401, ""), no=(403, "", AS_A)),
        "/api/me": read_only(yes=(200, ""), who=(401, "", {"Authorization": "Basic ?"})),
        **{f"/api/{rows}": read_only(yes=(200, "?limit=2&offset=1", AS_C), none=(400, "?limit=no", AS_C), who=(401, ""), no=(403, "", AS_A)) for rows in ("peers", "ports", "routes")},
        "/api/routes/{id}": {"delete": {204: ("{by hand}", AS_C), 401: ("1",), 403: ("1", AS_A), 404: ("1", AS_C)}, "options": {204: ("1",)}},
        "/api/explain": read_only(yes=(200, "?path=a", AS_C), none=(400, "", AS_C), who=(401, "?path=a"), no=(403, "?path=a", AS_A)),
        "/api/requests/{id}": {**read_only(then=(200, "{done}"), soon=(202, "{under way}"), none=(404, "x")), "delete": {204: ("{done}",), 404: ("x",)}},
        "/history/{path}": read_only(yes=(200, "v", AS_C), wrong=(400, "v?from=x", AS_C), who=(401, "v"), no=(403, "v", AS_A), none=(404, "x", AS_C)),
        "/.well-known/core": read_only(yes=(200, ""), who=(401, "", {"Authorization": "Basic ?"})),
    }
    route = '{"source":"a/{x}","target":"b/{x}"}'
    found["/api/routes"]["post"] = {200: ("?try", AS_C, route), 201: ("", AS_C, route), 400: ("", AS_C, "{}"), 401: ("", {}, route), 403: ("", AS_A, route),
                                    409: ("", AS_C, route)}
    if mount:
        found[mount + "/"] = {**read_only(yes=(200, ""), who=(401, "", {"Authorization": "Basic ?"})), **dict.fromkeys(("put", "post", "patch", "delete"), {405: ("", {}, "1")})}
    return found


@pytest.fixture
def bridge(make_bridge, tmp_path):
    made = make_bridge(store=f"sqlite:{tmp_path}/s.db", clock=None)
    made.record_history("v")

    @made.access
    def access(ask):
        return ask.user == "c" or not ask.path.startswith(("$history", "$SYS/bridge/"))

    @made.resource("owned/{what}")
    def owned(request, what):
        if what.isdigit():
            raise RAISED[int(what)]("as the test says")
        return libbridge.Reply(created=True) if what == "made" else "answer"

    with made.subscribe("heard"):
        yield made


@pytest.fixture(params=["/resources", "", "/a/b"])
def served(request, bridge):
    """(mount, port, port of CoAP) of a bridge that has all there is."""
    coap = bridge.listen("coap://127.0.0.1:0/r").port if "coap" in built_adapters() else None
    port = bridge.listen(f"http://127.0.0.1:0{request.param or '/'}?hc=coap://127.0.0.1:*&routes=write").port
    with Http(port) as http:
        assert http.request("PUT", f"{request.param}/v", '{"a":1}', headers=JSON).status in (201, 204)
    return request.param, port, coap


def later(port, mount, what):
    """The place where the answer of a late owner will be."""
    with Http(port) as http:
        place = http.request("GET", f"{mount}/{what}", headers=LATER)["location"]
        while what == "owned/echo" and http.request("GET", place).status == 202:
            pass
    return place.removeprefix("/api/requests/")


def fill(words, port, mount, coap):
    """What stands in braces, in the name and in the headers."""
    with Http(port) as http:
        if "{tag}" in words:
            return words.replace("{tag}", http.request("GET", f"{mount}/v")["etag"])
        if "{coap tag}" in words:
            return words.replace("{coap tag}", http.request("GET", f"/hc/coap://127.0.0.1:{coap}/r/v")["etag"])
        if "{by hand}" in words:
            made = http.request("POST", "/api/routes", '{"source":"c/{x}","target":"d/{x}"}', headers=AS_C)
            return words.replace("{by hand}", made["location"].rpartition("/")[2])
    if "{done}" in words:
        return words.replace("{done}", later(port, mount, "owned/echo"))
    return words.replace("{under way}", later(port, mount, "slow/x")) if "{under way}" in words else words


def resolve(document, what):
    while "$ref" in what:
        at, what = what["$ref"].removeprefix("#/").split("/"), document
        for key in at:
            what = what[key]
    return what


def check(document, described, answer, where):
    """Is the answer what its description says?"""
    described = resolve(document, described)
    for name in described.get("headers", ()):
        assert answer[name] is not None or (name == "Cache-Control" and where[1] not in ("get", "head")), (where, name, answer)
    if answer.body:
        kinds = described.get("content", {})
        kind = answer["content-type"].partition(";")[0]
        assert kind in kinds or ("*/*" in kinds and answer.status < 400), (where, kind, kinds)
    if answer.status >= 400 and answer.body:
        assert {"title", "status"} <= set(answer.json) and answer.json["status"] == answer.status


def documented(port):
    with Http(port) as http:
        return http.request("GET", "/api/openapi.json").json


VERBS = {"get", "head", "put", "post", "patch", "delete", "options"}


@pytest.mark.skipif("coap" not in built_adapters(), reason="asks CoAP, too")
def test_what_is_documented_is_what_is_had(bridge, served):
    mount, port, coap = served
    document, ways = documented(port), had(mount, coap)
    said = {(path, verb): {status for status in what["responses"]} for path, verbs in document["paths"].items() for verb, what in verbs.items() if verb in VERBS}
    assert said == {(path, verb): {str(status) for status in how} | {"default"} for path, verbs in ways.items() for verb, how in verbs.items()}

    with Web(lambda asked: bridge_is_done.wait(PATIENCE) and 200) as web:
        bridge_is_done = threading.Event()
        bridge.connect(f"{web.url}/?as=slow/{{path...}}")
        for (path, verb), statuses in ((key, document["paths"][key[0]][key[1]]["responses"]) for key in said):
            for status, described in statuses.items():
                how = ways[path][verb].get(int(status)) if status != "default" else None
                if how is None:
                    continue
                name, headers, body = (*how, *({}, None)[len(how) - 1:])
                headers = {key: fill(value, port, mount, coap) for key, value in headers.items()}
                with Http(port) as http:
                    answer = http.request(verb.upper(), re.sub(r"\{.*\}", "", path) + fill(name, port, mount, coap), body, headers=headers)
                assert answer.status == int(status), (verb, path, how, answer)
                check(document, described, answer, (path, verb, status))
        bridge_is_done.set()


def test_what_a_listener_has_not_is_not_documented(bridge):
    paths = documented(bridge.listen("http://127.0.0.1:0/").port)["paths"]

    assert "/{path}" in paths and "/" in paths and not [path for path in paths if path.startswith("/hc/")]


def test_the_handshakes_that_are_documented(served):
    mount, port, _ = served
    for status, headers in ((101, {}), (400, {"Sec-WebSocket-Key": "x"}), (426, {"Sec-WebSocket-Version": "8"})):
        for target in ("/", mount + "/v", "/healthz"):
            with WebSocket(port, target, headers=headers) as ws:
                assert ws.said.status == status


def test_events_are_of_the_type_that_is_documented(served):
    mount, port, _ = served
    kinds = documented(port)["paths"][mount + "/{path}"]["get"]["responses"]["200"]["content"]
    for accept in ("text/event-stream", "application/senml+json", "application/link-format"):
        assert accept in kinds
        with Http(port) as http:
            http.ask("GET", mount + "/v/%23", headers={"Accept": accept})
            assert http.head()["content-type"].partition(";")[0] == accept


def test_each_target_that_there_is_is_documented():
    there = {place for file in ("site.c", "dispatch.c", "later.c", "hc.c") for place in re.findall(r'"(/[a-z.][^": ;]*|/)"', (ADAPTER / file).read_text())}
    stem = {path.partition("{")[0].rstrip("/") or "/" for path in had("", 1)}

    assert {place.rstrip("/") or "/" for place in there} == stem


def test_a_webhook_says_what_is_documented(bridge):
    port = bridge.listen("http://127.0.0.1:0/resources").port
    document = documented(port)
    said = {resolve(document, parameter)["name"].lower() for parameter in document["webhooks"]["message"]["post"]["parameters"]}
    made = {name.lower() for name in re.findall(r'(?:put|put_number|begin)\(f, "([A-Z][\w-]+)"', (ADAPTER / "hook_ask.c").read_text())} - {"content-type"}
    with Web() as web:
        bridge.connect(f"{web.url}/hook?watch=h/%23")
        bridge.put("h/1", "x")
        asked = web.asked()

    assert made == said
    assert {name for name in asked.headers if name.startswith("bridge-")} <= said
