"""The OpenAPI description says what is so: each documented answer is had from the bridge, and each target that there is is documented."""
import re
from pathlib import Path

import pytest

pytest.importorskip("libbridge.testing")
import libbridge  # noqa: E402

from peers.http import Http, WebSocket  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
JSON, TEXT, PATCH = {"Content-Type": "application/json"}, {"Content-Type": "text/plain"}, {"Content-Type": "application/json-patch+json"}
AS_A = {"Authorization": "Basic YTpi"}
R = "/resources/"
HAD = {  # (path, verb, status): how to have it.  `v` holds a JSON value, `x` nothing; {tag} is v's
    (R + "{path}", "get"): {200: ("v",), 206: ("v", {"Range": "bytes=0-1"}), 304: ("v", {"If-None-Match": "{tag}"}), 400: ("%zz",), 401: ("secret",), 403: ("secret", AS_A), 404: ("x",),
                            406: ("v", {"Accept": "image/png"}), 416: ("v", {"Range": "bytes=99-"}), 500: ("owned/broken",), 504: ("owned/late",)},
    (R + "{path}", "head"): {200: ("v",), 304: ("v", {"If-None-Match": "{tag}"}), 404: ("x",)},
    (R + "{path}", "put"): {201: ("new", {}, "1"), 204: ("v", JSON, '{"a":1}'), 400: ("%zz", {}, "1"), 401: ("secret", {}, "1"), 403: ("secret", AS_A, "1"), 405: ("+", {}, "1"),
                            412: ("v", {"If-Match": '"zz"'}, "1"), 413: ("v", {"Content-Length": "999999999999"}), 415: ("v", {"Content-Encoding": "gzip"}, "1")},
    (R + "{path}", "post"): {200: ("owned/echo", {}, "1"), 202: ("x", {}, "1"), 204: ("heard", {}, "1"), 405: ("owned/get", {}, "1")},
    (R + "{path}", "patch"): {201: ("fresh", {"Content-Type": "application/merge-patch+json"}, '{"a":1}'), 204: ("v", PATCH, "[]"), 409: ("v", PATCH, '[{"op":"test","path":"","value":9}]'),
                              412: ("v", {**PATCH, "If-Match": '"zz"'}, "[]"), 415: ("v", TEXT, "x"), 422: ("v", PATCH, '[{"op":"remove","path":"/none"}]')},
    (R + "{path}", "delete"): {204: ("new",), 404: ("x",), 405: ("owned/get",), 412: ("v", {"If-Match": '"zz"'})},
    (R + "{path}", "options"): {204: ("v",)},
    (R, "get"): {200: ("",)}, (R, "put"): {405: ("", {}, "1")},
    ("/", "get"): {200: ("",), 101: None, 400: None, 426: None}, ("/", "post"): {405: ("", {}, "1")},
    ("/healthz", "get"): {200: ("",)}, ("/metrics", "get"): {200: ("",)}, ("/api/stats", "get"): {200: ("",)},
    ("/api/explain", "get"): {200: ("?path=a",), 400: ("",)}, ("/api/openapi.json", "get"): {200: ("",)}, ("/.well-known/core", "get"): {200: ("",)},
}


@pytest.fixture
def port(make_bridge):
    bridge = make_bridge()

    @bridge.allow
    def allow(who, verb, path):
        return not path.startswith("secret")

    @bridge.resource("owned/{what}", "GET", "POST")
    def owned(request, what):
        if what == "broken":
            raise RuntimeError("broken")
        if what == "late":
            raise libbridge.Timeout("late")
        if what == "get" and request.verb != "GET":
            raise libbridge.MethodNotAllowed("only GET")
        return "answer"

    with bridge.subscribe("heard"):
        yield bridge.listen("http://127.0.0.1:0/resources").port


def test_what_is_documented_is_what_is_had(port):
    with Http(port) as http:
        http.request("PUT", "/resources/v", '{"a":1}', headers=JSON)
        documented = http.request("GET", "/api/openapi.json").json["paths"]

        said = {(path, verb): {int(status) for status in what["responses"]} for path, verbs in documented.items()
                for verb, what in verbs.items() if verb != "parameters"}
        assert said == {key: set(how) for key, how in HAD.items()}
    for (path, verb), ways in HAD.items():
        for status, how in ways.items():
            if how is None:
                continue
            with Http(port) as http:
                tag = http.request("GET", "/resources/v")["etag"]
                name, headers, body = (*how, {}, None)[:3] if len(how) < 3 else how
                headers = {key: value.replace("{tag}", tag) for key, value in headers.items()}
                answer = http.request(verb.upper(), path.replace("{path}", "") + name, body, headers=headers)
                assert answer.status == status, (verb, path, how, answer)


def test_the_handshakes_that_are_documented(port):
    for status, headers in ((101, {}), (400, {"Sec-WebSocket-Key": "x"}), (426, {"Sec-WebSocket-Version": "8"})):
        with WebSocket(port, headers=headers) as ws:
            assert ws.said.status == status


def test_each_target_of_the_site_is_documented(port):
    there = re.findall(r'\{"(/[^"]*)", serve_', (ROOT / "libbridge/adapter/http/site.c").read_text())

    assert sorted(there) == sorted(path for path, _ in HAD if not path.startswith("/resources") and _ == "get")
