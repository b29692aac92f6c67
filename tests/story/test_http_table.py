"""Every status with its headers, over HTTP/1.1 and over HTTP/2: each row is a request and what the answer must say; both say the same."""
import re

import pytest

pytest.importorskip("libbridge.testing")
import libbridge  # noqa: E402

from peers.process import PATIENCE, run  # noqa: E402
from peers.tools import need  # noqa: E402

DATE = r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"
TAG, TAG_AS_JSON = r'"[0-9a-f]+"', r'"[0-9a-f]+-50"'
ALL, READING = "GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS", "GET, HEAD, OPTIONS"
TEXT, JSON, SENML, LINKS = "text/plain;charset=utf-8", "application/json", "application/senml+json", "application/link-format"
VALUE = {"Content-Type": TEXT, "ETag": TAG, "Last-Modified": DATE, "Cache-Control": "no-cache", "Vary": "Accept", "Accept-Ranges": "bytes",
         "Link": re.escape('<./>;rel="collection up", <?observe>;rel="monitor"'), "Preference-Applied": None}
MANY = {"Cache-Control": "no-cache", "ETag": None, "Last-Modified": None}
NOTHING = {"Content-Type": None, "Content-Length": "0"}
NO_CONTENT = {"Content-Type": None, "Content-Length": None}
MERGE, PATCH = ({"Content-Type": f"application/{kind}+json"} for kind in ("merge-patch", "json-patch"))
PATCHES = r".*merge-patch\+json, application/json-patch\+json.*"

# what it is, verb, target, headers, body, status, headers of the answer: a pattern, or None where it must not be.  {n} differs for each version
ROWS = [
    ("a value", "GET", "v", {}, None, 200, {**VALUE, "Content-Length": "4"}),
    ("its head", "HEAD", "v", {}, None, 200, {**VALUE, "Content-Length": "4"}),
    ("as JSON", "GET", "v", {"Accept": JSON}, None, 200, {**VALUE, "Content-Type": JSON, "ETag": TAG_AS_JSON}),
    ("at once, of one who would wait", "GET", "v", {"Prefer": "wait=9"}, None, 200, {**VALUE, "Preference-Applied": "wait"}),
    ("that ends", "GET", "mortal", {}, None, 200, {**VALUE, "Cache-Control": r"max-age=\d+"}),
    ("that the asker has", "GET", "v", {"If-None-Match": "*"}, None, 304, {"ETag": TAG, "Cache-Control": "no-cache", "Vary": "Accept", "Content-Length": None}),
    ("that is as old", "GET", "v", {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, None, 304, {"ETag": TAG, "Last-Modified": DATE, "Content-Length": None}),
    ("a head that the asker has", "HEAD", "v", {"If-None-Match": "*"}, None, 304, {"ETag": TAG}),
    ("that is not as expected", "GET", "v", {"If-Match": '"0"'}, None, 412, {}),
    ("that has changed since", "GET", "v", {"If-Unmodified-Since": "Fri, 01 Jan 2010 00:00:00 GMT"}, None, 412, {}),
    ("a part", "GET", "v", {"Range": "bytes=1-2"}, None, 206, {**VALUE, "Content-Range": "bytes 1-2/4", "Content-Length": "2"}),
    ("parts", "GET", "v", {"Range": "bytes=0-0,-1"}, None, 206, {**VALUE, "Content-Type": "multipart/byteranges; boundary=[0-9a-f]{32}", "Content-Range": None}),
    ("a part that is not there", "GET", "v", {"Range": "bytes=9-"}, None, 416, {"Content-Range": r"bytes \*/4"}),
    ("a part of another", "GET", "v", {"Range": "bytes=1-2", "If-Range": '"0"'}, None, 200, {**VALUE, "Content-Range": None, "Content-Length": "4"}),
    ("a part of a head", "HEAD", "v", {"Range": "bytes=1-2"}, None, 200, {"Content-Length": "4", "Content-Range": None}),
    ("in no wanted form", "GET", "v", {"Accept": "image/png"}, None, 406, {}),
    ("no value", "GET", "none", {}, None, 404, {}),
    ("no head", "HEAD", "none", {}, None, 404, {}),
    ("no path", "GET", "%zz", {}, None, 400, {}),
    ("no legal pattern", "GET", "a%23/b", {}, None, 400, {}),
    ("many", "GET", "%2B", {}, None, 200, {**MANY, "Content-Type": JSON}),
    ("many as a pack", "GET", "%2B", {"Accept": SENML}, None, 200, {**MANY, "Content-Type": re.escape(SENML)}),
    ("many as links", "GET", "%23", {"Accept": LINKS}, None, 200, {**MANY, "Content-Type": LINKS}),
    ("names", "GET", "", {}, None, 200, {**MANY, "Content-Type": JSON}),
    ("names of nothing", "GET", "none/", {}, None, 404, {}),

    ("a new value", "PUT", "new{n}", {}, "1", 201, {**NOTHING, "Location": r"/resources/new\d", "ETag": TAG}),
    ("with an odd name", "PUT", "k%C3%BC%20{n}", {}, "1", 201, {**NOTHING, "Location": r"/resources/k%C3%BC%20\d", "ETag": TAG}),
    ("only if new", "PUT", "newer{n}", {"If-None-Match": "*"}, "1", 201, {**NOTHING, "ETag": TAG}),
    ("only if new, and is not", "PUT", "v", {"If-None-Match": "*"}, "1", 412, {"ETag": None}),
    ("another value", "PUT", "w", {}, "1", 204, {**NO_CONTENT, "ETag": TAG, "Location": None}),
    ("another value of a lost update", "PUT", "w", {"If-Match": '"0"'}, "1", 412, {"ETag": None}),
    ("in a coding", "PUT", "w", {"Content-Encoding": "gzip"}, "1", 415, {}),
    ("at a pattern", "PUT", "%2B", {}, "1", 405, {"Allow": READING}),
    ("at the root", "PUT", "", {}, "1", 405, {"Allow": READING}),
    ("too large", "PUT", "w", {}, "x" * 3000, 413, {}),
    ("an event that nobody hears", "POST", "x", {}, "1", 202, {**NOTHING, "Location": None, "ETag": None}),
    ("an event that is heard", "POST", "heard", {}, "1", 204, {**NO_CONTENT, "Location": None, "ETag": None}),
    ("a question", "POST", "owned/echo", {}, "1", 200, {"Content-Type": TEXT, "Content-Length": "6", "Last-Modified": DATE}),
    ("a question that makes something", "POST", "owned/made", {}, "1", 201, {"Location": ".*", **NOTHING}),
    ("a question whose answer comes later", "POST", "owned/echo", {"Prefer": "respond-async"}, "1", 202,
     {"Location": r"/api/requests/[0-9a-f]{32}", "Retry-After": "1", "Preference-Applied": "respond-async", "Cache-Control": "no-store", **NOTHING}),
    ("a patch", "PATCH", "j", MERGE, "{}", 204, {**NO_CONTENT, "ETag": TAG}),
    ("a patch that makes something", "PATCH", "fresh{n}", MERGE, '{"a":1}', 201, {**NOTHING, "Location": r"/resources/fresh\d", "ETag": TAG}),
    ("a patch of no kind", "PATCH", "j", {"Content-Type": "text/plain"}, "x", 415, {"Accept-Patch": PATCHES}),
    ("a patch whose test fails", "PATCH", "j", PATCH, '[{"op":"test","path":"","value":1}]', 409, {}),
    ("a patch that cannot be", "PATCH", "j", PATCH, '[{"op":"remove","path":"/x"}]', 422, {}),
    ("a patch of a lost update", "PATCH", "j", {**MERGE, "If-Match": '"0"'}, "{}", 412, {}),
    ("away with it", "DELETE", "old{n}", {}, None, 204, {**NO_CONTENT, "ETag": None}),
    ("away with nothing", "DELETE", "none", {}, None, 404, {}),
    ("away with what has changed", "DELETE", "v", {"If-Match": '"0"'}, None, 412, {}),
    ("come round", "PUT", "v", {"Bridge-Via": ",".join("abcdefghijklmnopq")}, "1", 508, {}),

    ("what may be done", "OPTIONS", "v", {}, None, 204, {**NO_CONTENT, "Allow": ALL, "Accept-Patch": PATCHES, "Link": '</api/openapi.json>;rel="service-desc"'}),
    ("with a pattern", "OPTIONS", "%2B", {}, None, 204, {"Allow": READING, "Accept-Patch": None}),
    ("with the page", "OPTIONS", "/", {}, None, 204, {"Allow": READING}),
    ("with the past", "OPTIONS", "/history/v", {}, None, 204, {"Allow": READING}),
    ("with an answer", "OPTIONS", "/api/requests/1", {}, None, 204, {"Allow": "GET, HEAD, DELETE, OPTIONS"}),
    ("for a page elsewhere", "OPTIONS", "v", {"Origin": "http://x.example", "Access-Control-Request-Method": "PUT"}, None, 204,
     {"Access-Control-Allow-Origin": r"\*", "Access-Control-Allow-Methods": ALL, "Access-Control-Max-Age": "86400"}),
    ("the page", "GET", "/", {}, None, 200, {"Content-Type": "text/html;charset=utf-8", "Cache-Control": "no-cache"}),
    ("health", "GET", "/healthz", {}, None, 200, {"Content-Type": TEXT, "Content-Length": "3"}),
    ("health is not set", "PUT", "/healthz", {}, "1", 405, {"Allow": READING}),
    ("the past is not set", "PUT", "/history/v", {}, "1", 405, {"Allow": READING}),
    ("an answer is not set", "PUT", "/api/requests/1", {}, "1", 404, {}),
    ("a verb of nobody", "BREW", "v", {}, None, 501, {}),
    ("a verb of nobody at the page", "BREW", "/", {}, None, 501, {}),
    ("a verb of nobody nowhere", "BREW", "/elsewhere", {}, None, 501, {}),
    ("nothing of ours", "GET", "/elsewhere", {}, None, 404, {}),
    ("no name and secret", "GET", "v", {"Authorization": "Basic ?"}, None, 401, {"WWW-Authenticate": 'Basic realm="bridge".*'}),
    *((f"an owner says {error.__name__}", "GET", f"owned/{error.__name__}", {}, None, status, more) for error, status, more in (
        (libbridge.Denied, 403, {}), (libbridge.MethodNotAllowed, 405, {"Allow": "OPTIONS, PUT, POST, PATCH, DELETE"}), (libbridge.Busy, 429, {"Retry-After": "1"}),
        (libbridge.InternalError, 500, {}), (libbridge.Unsupported, 501, {}), (libbridge.Unreachable, 502, {}),
        (libbridge.Closed, 503, {"Retry-After": "1"}), (libbridge.Timeout, 504, {}))),
]
OF_EACH_VERSION = {"date", "etag", "last-modified", "location", "connection", "keep-alive", "transfer-encoding"}


@pytest.fixture(scope="module")
def port():
    with libbridge.Bridge(max_message=2000) as bridge:
        for path, value, more in (("v", "21.5", {}), ("w", "1", {}), ("j", {"a": 1}, {}), ("mortal", "1", {"ttl": 3600}), ("old1", "1", {}), ("old2", "1", {})):
            bridge.put(path, value, **more)

        @bridge.resource("owned/{what}")
        def owned(request, what):
            if what == "made":
                return libbridge.Reply(created=True)
            if what != "echo":
                raise getattr(libbridge, what)("as the row says")
            return "answer"

        with bridge.subscribe("heard"):
            yield bridge.listen("http://127.0.0.1:0/resources").port


def ask(port, version, verb, target, headers, body):
    """(status, {name in lower case: value}, body) by curl."""
    words = ["-I"] if verb == "HEAD" else ["-i", "-X", verb]
    for name, value in headers.items():
        words += ["-H", f"{name}: {value}"]
    if body is not None:
        words += ["--data-binary", "@-"]
        if "Content-Type" not in headers:
            words += ["-H", "Content-Type:"]
    url = f"http://127.0.0.1:{port}" + (target if target.startswith("/") else f"/resources/{target}")
    out = run(need("curl"), "-sS", "--path-as-is", "-g", "--max-time", str(PATIENCE), "-H", "Expect:",
              "--http1.1" if version == 1 else "--http2-prior-knowledge", *words, url, stdin=(body or "").encode()).stdout
    head, _, rest = out.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    assert first.split()[0] == ("HTTP/1.1" if version == 1 else "HTTP/2"), first
    said = {}
    for name, _, value in (line.partition(":") for line in lines):
        name = name.lower()
        said[name] = f"{said[name]}, {value.strip()}" if name in said else value.strip()
    return int(first.split()[1]), said, rest


@pytest.mark.parametrize("verb, target, headers, body, status, wanted", [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_what_is_said(port, verb, target, headers, body, status, wanted):
    both = []
    for version in (1, 2):
        got, said, content = ask(port, version, verb, target.replace("{n}", str(version)), headers, body)
        assert got == status, (version, content)
        problem = {"Content-Type": r"application/problem\+json", "Cache-Control": "no-store"} if status >= 400 else {}
        for name, pattern in {**problem, "Date": DATE, **wanted}.items():
            value = said.get(name.lower())
            assert value is None if pattern is None else value is not None and re.fullmatch(pattern, value), (version, name, value)
        if status >= 400 and verb != "HEAD":
            members = re.findall(rb'"(title|status|detail)":', content)
            assert members[:2] == [b"title", b"status"] and str(status).encode() in content
        if "content-length" in said and verb != "HEAD":
            assert int(said["content-length"]) == len(content)
        both.append({name: re.sub(r"(boundary|max-age)=\w+", r"\1", value) for name, value in said.items() if name not in OF_EACH_VERSION})

    assert both[0] == both[1]
