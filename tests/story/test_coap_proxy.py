"""Forward proxies (RFC 7252 5.7, RFC 8075): Proxy-Uri and Proxy-Scheme over CoAP, /hc/ over HTTP."""
import socket

import pytest

from libbridge import errors
from peers import coap
from peers.coap import ETAG, GET, HOP_LIMIT, MAX_AGE, PROXY_SCHEME, PROXY_URI, URI_HOST, URI_PORT, Socket, code, uint
from peers.coap_site import device  # noqa: F401: a fixture
from peers.tools import coap_client, curl

LONG = 30


@pytest.fixture
def proxy(make_bridge):
    b = make_bridge("coap://127.0.0.1:0?proxy=coap://127.0.0.1:*,coap://localhost:*,http://127.0.0.1:*", clock=None)
    with Socket(int(b.listeners[0].rpartition(":")[2])) as client:
        client.bridge = b
        yield client


def through(client, uri, method=GET, **words):
    options = [(PROXY_URI, uri.encode()), *words.pop("options", ())]
    return client.ask(method, "", options=options, **words)


# ---- CoAP to CoAP

def test_coap_client_goes_through_the_proxy(proxy, device):
    done = coap_client("-P", proxy.bridge.listeners[0], "-m", "get", f"coap://127.0.0.1:{device.port}/temp")

    assert done.stdout.strip() == b"21.5"


def test_proxy_uri_and_proxy_scheme_are_the_same(proxy, device):
    uri = f"coap://127.0.0.1:{device.port}/a%20b/temp?x=1%26&y"
    device.values["a b/temp"] = b"7"

    assert through(proxy, uri).payload == b"7"
    answer = proxy.ask(GET, "a b/temp", query=["x=1&", "y"],
                       options=[(PROXY_SCHEME, b"coap"), (URI_HOST, b"127.0.0.1"), (URI_PORT, uint(device.port)), (MAX_AGE, b"")])

    assert answer.payload == b"7"
    _, path, request = device.request(LONG)
    assert path == "a b/temp" and request.all(coap.URI_QUERY) == [b"x=1&", b"y"]


def test_names_are_looked_up_and_said_as_uri_host(proxy, device):
    assert through(proxy, f"coap://LOCALHOST:{device.port}/temp").payload == b"21.5"
    _, _, request = device.request(LONG)
    assert request.all(URI_HOST) == [b"localhost"]


def test_writes_and_refusals_pass(proxy, device):
    base = f"coap://127.0.0.1:{device.port}/"
    assert through(proxy, base + "new", coap.PUT, payload=b"1").says == "2.01"
    assert device.values["new"] == b"1"
    assert through(proxy, base + "new", coap.DELETE).says == "2.02"
    answer = through(proxy, base + "none")
    assert (answer.says, answer.payload) == ("4.04", b"no such thing")


def test_large_bodies_pass_in_blocks(proxy, device):
    device.values["big"] = big = bytes(range(256)) * 40
    uri = f"coap://127.0.0.1:{device.port}/big".encode()

    assert proxy.get_all("", options=[(PROXY_URI, uri)]) == big


def test_answers_are_kept_while_fresh_and_then_revalidated(proxy, device):
    device.max_age = 60
    uri = f"coap://127.0.0.1:{device.port}/temp"
    first = [through(proxy, uri) for _ in range(3)]
    assert [a.payload for a in first] == [b"21.5"] * 3
    assert all(a.uint(MAX_AGE) <= 60 for a in first)
    assert device.count(GET) == 1

    tag = first[0].option(ETAG)
    assert through(proxy, uri, options=[(ETAG, tag)]).says == "2.03"
    assert through(proxy, uri, coap.PUT, payload=b"22").says == "2.04"        # ends what is kept
    assert through(proxy, uri).payload == b"22"


def test_what_is_stale_is_asked_about_by_etag(proxy, device):
    device.max_age = 0
    uri = f"coap://127.0.0.1:{device.port}/temp"
    assert through(proxy, uri).payload == b"21.5"
    assert through(proxy, uri).payload == b"21.5"

    etags = [device.request(LONG)[2].all(ETAG) for _ in range(2)]
    assert etags == [[], [device.etag("temp")]]
    assert proxy.bridge.stats()["bridge_coap_proxy_revalidated_total"] == 1


def test_hops_are_counted(proxy, device):
    uri = f"coap://127.0.0.1:{device.port}/temp"
    assert through(proxy, uri, options=[(HOP_LIMIT, b"\x01")]).says == "5.08"
    assert through(proxy, uri, options=[(HOP_LIMIT, b"\x00")]).says == "4.00"
    assert through(proxy, uri, options=[(HOP_LIMIT, b"\x05")]).says == "2.05"
    assert device.request(LONG)[2].uint(HOP_LIMIT) == 4


def test_a_proxy_that_asks_itself_ends(proxy):
    port = int(proxy.bridge.listeners[0].rpartition(":")[2])
    uri = f"coap://127.0.0.1:{port}/x"

    assert through(proxy, uri).says == "4.04"                          # a path of ours, over the network


def test_a_server_that_is_not_there_is_a_gateway_timeout(proxy):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as place:
        place.bind(("127.0.0.1", 0))
        port = place.getsockname()[1]
    assert through(proxy, f"coap://127.0.0.1:{port}/x").says == "5.04"


# ---- CoAP to HTTP

@pytest.fixture
def web():
    """An HTTP server that tells what it was asked."""
    import http.server
    import threading

    class Handler(http.server.BaseHTTPRequestHandler):
        asked, value = [], [b"hello"]

        def do(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.asked.append((self.command, self.path, dict(self.headers.items()), body))
            tag = self.headers.get("If-None-Match")
            status = {"/none": 404, "/busy": 503, "/moved": 302, "/made": 201}.get(self.path, 200)
            if status == 200 and self.command == "GET" and tag == '"ab12"':
                status = 304
            out = self.value[0] if status == 200 and self.command == "GET" else b""
            self.send_response(status)
            for line in (("ETag", '"ab12"'), ("Content-Type", "text/plain"), ("Cache-Control", "max-age=30"), ("Retry-After", "9"), ("Location", "/made/1"),
                         ("Content-Length", str(len(out)))):
                self.send_header(*line)
            self.end_headers()
            self.wfile.write(out)

        do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = do

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    server.asked, server.value = Handler.asked, Handler.value
    server.url = f"http://127.0.0.1:{server.server_port}"
    yield server
    server.shutdown()
    thread.join(LONG)
    server.server_close()


def test_http_servers_are_asked_for_coap_clients(proxy, web):
    answer = through(proxy, web.url + "/a%20b?x=1", options=[(coap.ACCEPT, b"")])

    assert (answer.says, answer.payload) == ("2.05", b"hello")
    assert (answer.uint(coap.CONTENT_FORMAT), answer.uint(MAX_AGE), answer.option(ETAG)) == (0, 30, b"\xab\x12")
    method, path, said, _ = web.asked[-1]
    assert (method, path) == ("GET", "/a%20b?x=1") and said["Accept"].startswith("text/plain")
    assert through(proxy, web.url + "/", options=[(ETAG, b"\xab\x12")]).says == "2.03"


def test_methods_and_statuses_of_http_become_coaps(proxy, web):
    answer = through(proxy, web.url + "/made", coap.POST, payload=b"{}", options=[(coap.CONTENT_FORMAT, b"\x32")])
    assert answer.says == "2.01" and answer.all(coap.LOCATION_PATH) == [b"made", b"1"]
    assert web.asked[-1][3] == b"{}" and web.asked[-1][2]["Content-Type"] == "application/json"
    assert through(proxy, web.url + "/x", coap.PUT, payload=b"1").says == "2.04"
    assert through(proxy, web.url + "/none").says == "4.04"
    assert through(proxy, web.url + "/none", coap.DELETE).says == "2.02"
    assert through(proxy, web.url + "/moved").says == "5.02"
    busy = through(proxy, web.url + "/busy")
    assert (busy.says, busy.uint(MAX_AGE)) == ("5.03", 9)
    assert through(proxy, web.url + "/x", coap.FETCH, payload=b"1").says == "5.05"


def test_an_http_server_that_is_not_there_is_a_gateway_timeout(proxy):
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port = place.getsockname()[1]
    assert through(proxy, f"http://127.0.0.1:{port}/x").says == "5.04"


# ---- who may be asked

@pytest.mark.parametrize("uri", ["coap://10.0.0.1/x", "coap://127.0.0.2/x", "coap://example.com/x", "coaps://127.0.0.1/x", "https://127.0.0.1/"])
def test_what_is_not_allowed_is_refused(proxy, uri):
    assert through(proxy, uri).says == "5.05"


@pytest.mark.parametrize("uri", ["x", "coap:", "coap://", "coap://a@127.0.0.1/", "coap://127.0.0.1:0/", "coap://127.0.0.1:99999/", "ftp://127.0.0.1/",
                                 "coap://127.0.0.1/#x", "coap://[::1/", "coap://127.0.0.1/a b"])
def test_what_is_no_uri_is_a_bad_option(proxy, uri):
    assert through(proxy, uri).says == "4.02"


def test_without_an_allow_list_it_is_no_proxy(make_bridge, device):
    b = make_bridge("coap://127.0.0.1:0")
    with Socket(int(b.listeners[0].rpartition(":")[2])) as client:
        assert through(client, f"coap://127.0.0.1:{device.port}/temp").says == "5.05"


def test_every_host_means_public_ones(make_bridge, device):
    b = make_bridge("coap://127.0.0.1:0?proxy=*:*", clock=None)
    with Socket(int(b.listeners[0].rpartition(":")[2])) as client:
        for host in ("127.0.0.1", "localhost", "2130706433", "10.1.2.3", "[::1]", "0.0.0.0"):
            assert through(client, f"coap://{host}:{device.port}/temp").says == "5.04"
    assert device.count() == 0


def test_a_network_may_be_allowed(make_bridge, device):
    b = make_bridge("coap://127.0.0.1:0?proxy=127.0.0.0/8:*", clock=None)
    with Socket(int(b.listeners[0].rpartition(":")[2])) as client:
        assert through(client, f"coap://127.0.0.1:{device.port}/temp").says == "2.05"
        assert through(client, f"coap://localhost:{device.port}/temp").says == "5.05"


@pytest.mark.parametrize("text", ["ftp://x", "coap://", "a b", "10.0.0.0/40", "x:0", "x,,y", "*x"])
def test_a_bad_list_is_refused_in_words(make_bridge, text):
    b = make_bridge()
    with pytest.raises(errors.Invalid, match="is no target"):
        b.listen("coap://127.0.0.1:0?proxy=" + text.replace(" ", "%20"))


# ---- HTTP to CoAP: /hc/

@pytest.fixture
def hc(make_bridge):
    b = make_bridge("http://127.0.0.1:0/resources?hc=coap://127.0.0.1:*", clock=None)
    return b.listeners[0].removesuffix("/resources") + "/hc/"


def headers(url, *options):
    _, whole = curl("-i", url, *options)
    head, _, body = whole.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    return int(lines[0].split()[1]), {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}, body


def test_a_uri_below_hc_is_asked(hc, device):
    device.formats["temp"] = 0
    status, head, body = headers(f"{hc}coap://127.0.0.1:{device.port}/temp?x=1%262&y")

    assert (status, body, head["content-type"]) == (200, b"21.5", "text/plain; charset=utf-8".replace("; ", ";"))
    assert head["etag"] == f'"{device.etag("temp").hex()}"'
    assert head["cache-control"] == "max-age=60"
    _, path, request = device.request(LONG)
    assert path == "temp" and request.all(coap.URI_QUERY) == [b"x=1&2", b"y"]


def test_it_may_be_escaped_or_a_parameter(hc, device):
    escaped = f"coap%3A%2F%2F127.0.0.1%3A{device.port}%2Ftemp"

    assert curl(hc + escaped) == (200, b"21.5")
    assert curl(hc + "?target_uri=" + escaped) == curl(hc.removesuffix("/") + "?target_uri=" + escaped) == (200, b"21.5")
    assert curl(hc.removesuffix("/"))[0] == curl(hc)[0] == 400


def test_the_enhanced_template(hc, device):
    device.answer["list"] = lambda *_: coap.Message(code=code("2.01"), options=[(coap.LOCATION_PATH, b"list"), (coap.LOCATION_PATH, b"1")])
    base = f"{hc}coap/127.0.0.1:{device.port}"

    assert curl(base + "/temp?x=1") == (200, b"21.5")
    _, path, request = device.request(LONG)
    assert path == "temp" and request.all(coap.URI_QUERY) == [b"x=1"]
    assert base.endswith(headers(base + "/list", "-X", "POST", "-d", "1")[1]["location"].removesuffix("/list/1"))
    plain = f"coap%3A%2F%2F127.0.0.1%3A{device.port}%2Flist"
    for other in (hc + plain, hc + "?target_uri=" + plain):
        assert headers(other, "-X", "POST", "-d", "1")[1]["location"] == f"/hc/coap://127.0.0.1:{device.port}/list/1"
    assert curl(f"{hc}coap/127.0.0.2/temp")[0] == 403 and curl(f"{hc}http/127.0.0.1/temp")[0] == 400


def test_the_proxy_is_announced(hc, make_bridge):
    core = hc.removesuffix("hc/") + ".well-known/core"
    simple, enhanced = b'</hc/>;rt="core.hc";hct="{+tu}"', b'</hc/>;rt="core.hc";hct="{+s}/{+hp}{+p}{+qq}"'
    parameter = b'</hc>;rt="core.hc";hct="?target_uri={tu}"'

    assert curl(core + "?rt=core.hc") == (200, b",".join([simple, enhanced, parameter]))
    assert curl(core + "?rt=core.hc&hct=%7B%2Bs%7D*") == (200, enhanced)
    assert curl(core + "?rt=nothing") == (200, b"")
    b = make_bridge("http://127.0.0.1:0/resources")                    # without hc=
    b.describe("one", rt="Type1 Type2")
    b.publish("one", "x", retain=True)
    b.publish("two", "x", retain=True)
    core = b.listeners[0].removesuffix("/resources") + "/.well-known/core"
    assert b"core.hc" not in curl(core)[1]
    assert curl(core + "?rt=Type2")[1].startswith(b"</resources/one>;rt=") and b"two" not in curl(core + "?rt=Type2")[1]


def test_the_proxy_is_announced_over_coap(make_bridge):                 # RFC 8075 5.5
    bridge = make_bridge("http://127.0.0.1:0/?hc=10.0.0.1", "coap://127.0.0.1:0/r")
    anywhere = bridge.listen("http://0.0.0.0:0/?hc=10.0.0.1&anonymous=allow").url.rsplit(":", 1)[1].rstrip("/")
    place = bridge.listeners[0].rstrip("/")
    with coap.Socket(int(bridge.listeners[1].rsplit(":", 1)[1].split("/")[0])) as client:
        told = client.get(".well-known/core", query=["rt=core.hc"], options=[(coap.URI_HOST, b"gate.example")]).payload.decode()
        assert f'<{place}/hc/>;rt="core.hc";hct="{{+tu}}"' in told and f"<http://gate.example:{anywhere}/hc/>;" in told
        assert told.count("<") == 6
        assert client.get(".well-known/core", query=["hct=?target_uri*"]).payload.count(b"<") == 2
        assert b"core.hc" in client.get(".well-known/core").payload and b"core.hc" not in client.get("r").payload


def test_methods_and_types_cross(hc, device):
    url = f"{hc}coap://127.0.0.1:{device.port}/x"
    assert curl("-X", "PUT", "-d", '{"a":1}', "-H", "Content-Type: application/json", url)[0] == 201
    assert device.values["x"] == b'{"a":1}' and device.formats["x"] == 50
    assert curl("-X", "PUT", "-d", "1", "-H", "Content-Type: text/plain", url)[0] == 204
    assert curl("-X", "DELETE", url)[0] == 204
    assert curl("-X", "PUT", "-d", "1", "-H", "Content-Type: image/x-none", url)[0] == 415
    assert curl("-X", "PURGE", url)[0] == 501
    assert curl("-I", f"{hc}coap://127.0.0.1:{device.port}/temp")[0] == 200


def test_formats_without_a_name_are_coap_payloads(hc, device):
    device.formats["temp"] = 65000

    assert headers(f"{hc}coap://127.0.0.1:{device.port}/temp")[1]["content-type"] == "application/coap-payload;cf=65000"


def test_accept_is_said_and_not_acceptable_comes_back(hc, device):
    device.formats["temp"] = 50
    url = f"{hc}coap://127.0.0.1:{device.port}/temp"

    assert curl(url, "-H", "Accept: text/html;q=0.1, application/json")[0] == 200
    assert curl(url, "-H", "Accept: application/cbor")[0] == 406


def test_conditions_and_the_cache(hc, device):
    device.max_age = 60
    url = f"{hc}coap://127.0.0.1:{device.port}/temp"
    tag = headers(url)[1]["etag"]

    assert curl(url, "-H", f"If-None-Match: {tag}")[0] == 304
    assert curl(url)[0] == 200
    assert device.count(GET) == 1
    assert curl("-X", "PUT", "-d", "2", url, "-H", 'If-Match: "00112233"')[0] == 412
    assert curl("-X", "PUT", "-d", "2", url, "-H", f"If-Match: {tag}")[0] == 204
    assert curl("-X", "PUT", "-d", "2", url, "-H", 'If-Match: "not of CoAP"')[0] == 412
    assert curl(url) == (200, b"2")


@pytest.mark.parametrize("says, status", [("4.00", 400), ("4.01", 403), ("4.02", 500), ("4.03", 403), ("4.04", 404), ("4.05", 400), ("4.06", 406),
                                          ("4.08", 502), ("4.09", 409), ("4.12", 412), ("4.13", 413), ("4.15", 415), ("4.22", 422), ("4.29", 429),
                                          ("4.31", 400), ("5.00", 500), ("5.01", 501), ("5.02", 502), ("5.03", 503), ("5.04", 504), ("5.05", 502),
                                          ("5.08", 502), ("5.31", 500), ("2.31", 502)])
def test_codes_become_statuses_as_rfc_8075_says(hc, device, says, status):
    device.answer["odd"] = lambda *_: coap.Message(code=code(says), options=[(MAX_AGE, uint(7))], payload=b"because")

    got, head, body = headers(f"{hc}coap://127.0.0.1:{device.port}/odd")

    assert got == status
    assert b"because" in body
    if status in (503, 429):
        assert head["retry-after"] == "7"


def test_a_location_leads_through_the_proxy(hc, device):
    device.answer["list"] = lambda *_: coap.Message(code=code("2.01"), options=[(coap.LOCATION_PATH, b"list"), (coap.LOCATION_PATH, b"a b")])
    base = f"{hc}coap://127.0.0.1:{device.port}"

    status, head, _ = headers(base + "/list", "-X", "POST", "-d", "1")

    assert status == 201
    assert base.endswith(head["location"].removesuffix("/list/a%20b")) and head["location"].endswith("/list/a%20b")


def test_big_bodies_cross_in_blocks(hc, device):
    device.values["big"] = bytes(range(256)) * 256

    assert curl(f"{hc}coap://127.0.0.1:{device.port}/big")[1] == device.values["big"]


def test_a_client_that_leaves_takes_its_question_back(hc, device):
    device.answer["slow"] = lambda *_: None
    host, port = hc.split("/")[2].split(":")
    with socket.create_connection((host, int(port))) as s:
        s.sendall(f"GET /hc/coap://127.0.0.1:{device.port}/slow HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        device.request(LONG)
    assert curl(f"{hc}coap://127.0.0.1:{device.port}/temp")[0] == 200


@pytest.mark.parametrize("uri, status", [("coap://127.0.0.2/x", 403), ("http://127.0.0.1/x", 403), ("coaps://127.0.0.1/", 403), ("x", 400), ("", 400),
                                         ("coap://a@127.0.0.1/", 400), ("coap://127.0.0.1/%zz", 400)])
def test_hc_asks_only_whom_it_may(hc, uri, status):
    assert curl("--path-as-is", hc + uri)[0] == status


def test_without_hc_it_is_not_there(make_bridge, device):
    b = make_bridge("http://127.0.0.1:0/resources")
    assert curl(b.listeners[0].removesuffix("/resources") + f"/hc/coap://127.0.0.1:{device.port}/temp")[0] == 404
