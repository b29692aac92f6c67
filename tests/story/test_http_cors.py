"""Pages of other origins: who may ask, what a preflight is told, who is kept out (Fetch, "CORS protocol")."""
from urllib.parse import quote

import pytest

from peers.http import Http, WebSocket

PAGE, OTHER = "https://page.example", "https://other.example"


@pytest.fixture
def listen(start_bridged):
    """The port of a listener with these options."""
    def start(**options):
        query = "&".join(f"{key}={quote(str(value), safe='')}" for key, value in options.items())
        return start_bridged(f"http://127.0.0.1:0/resources?{query}").port("http")
    return start


def test_any_page_may_ask_by_default(listen):
    with Http(listen()) as http:
        preflight = http.request("OPTIONS", "/resources/a", Origin=PAGE, Access_Control_Request_Method="PUT")
        answer = http.request("GET", "/resources/a", Origin=PAGE)

        assert preflight.status == 204 and "PUT" in preflight["access-control-allow-methods"]
        assert (preflight["access-control-allow-origin"], preflight["access-control-max-age"]) == ("*", "86400")
        assert (answer["access-control-allow-origin"], answer["access-control-expose-headers"], answer["vary"]) == ("*", "*", None)
        assert answer["access-control-allow-credentials"] is None


@pytest.mark.parametrize("cors, allowed, refused", [
    (PAGE, [PAGE, "HTTPS://Page.example"], [OTHER, "http://page.example", PAGE + ":8443", "null", "", PAGE + ".evil.example"]),
    (f"{PAGE}, {OTHER}", [PAGE, OTHER], ["https://third.example"]),
    ("https://*.page.example", ["https://a.page.example", "https://a.b.page.example"], [PAGE, "https://page.example", "https://evilpage.example",
                               "https://evil.example/.page.example", "https://evil.example:1.page.example", "https://.page.example", "http://a.page.example"]),
    ("http://localhost:*", ["http://localhost:3000"], ["http://localhost", "http://localhost:", "http://localhost.evil.example", "http://localhost:1@x"]),
    ("null", ["null"], [PAGE]),
    ("off", [], [PAGE]),
])
def test_who_may(listen, cors, allowed, refused):
    with Http(listen(cors=cors)) as http:
        for origin in allowed + refused:
            said = origin if origin in allowed else None
            for answer in (http.request("GET", "/resources/none", Origin=origin), http.request("OPTIONS", "/resources/a", Origin=origin),
                           http.request("POST", "/resources/a", "x", Origin=origin)):
                assert answer["access-control-allow-origin"] == said, (origin, answer)
                assert answer["vary"] == (None if cors == "off" else "Origin")
                assert (answer["access-control-expose-headers"] is not None) == (said is not None)
            assert answer.status == (202 if said else 403)
        assert http.request("GET", "/healthz")["access-control-allow-origin"] is None  # nobody asked from elsewhere


def test_everything_can_be_said(listen):
    port = listen(cors=PAGE, cors_credentials="yes", cors_methods="GET, PUT", cors_headers="X-Mine,Content-Type", cors_max_age="60", cors_expose="ETag")
    with Http(port) as http:
        preflight = http.request("OPTIONS", "/resources/a", Origin=PAGE, Access_Control_Request_Method="PUT", Access_Control_Request_Headers="x-mine")
        answer = http.request("GET", "/resources/a", Origin=PAGE)

        assert [preflight["access-control-" + name] for name in ("allow-origin", "allow-credentials", "allow-methods", "allow-headers", "max-age")] == \
            [PAGE, "true", "GET, PUT", "X-Mine,Content-Type", "60"]
        assert (answer["access-control-allow-credentials"], answer["access-control-expose-headers"], answer["vary"]) == ("true", "ETag", "Origin")
        stranger = http.request("OPTIONS", "/resources/a", Origin=OTHER, Access_Control_Request_Method="PUT")
        assert [name for name, _ in stranger.headers if name.startswith("access-control-")] == []
        assert (stranger.status, stranger["vary"], "PUT" in stranger["allow"]) == (204, "Origin", True)


def test_with_credentials_names_are_exposed_one_by_one(listen):
    with Http(listen(cors=PAGE, cors_credentials="yes")) as http:
        exposed = http.request("GET", "/resources/a", Origin=PAGE)["access-control-expose-headers"]

        assert "*" not in exposed and {"ETag", "Location"} <= set(exposed.split(", "))


def test_one_connection_may_carry_pages_of_many_origins(listen):
    with Http(listen(cors=f"{PAGE},{OTHER}")) as http:
        for origin in (PAGE, OTHER, "https://third.example", OTHER, None, PAGE):
            headers = {"Origin": origin} if origin else {}
            said = http.request("GET", "/resources/a", headers=headers)["access-control-allow-origin"]
            assert said == (origin if origin in (PAGE, OTHER) else None)


def test_an_answer_that_comes_late_knows_whom_it_is_for(listen):
    port = listen(cors=f"{PAGE},{OTHER}")
    with Http(port) as waiting, Http(port) as http:
        waiting.ask("GET", "/resources/late", headers={"Origin": OTHER, "Prefer": "wait=60"})
        while b"bridge_http_watchers 1" not in http.request("GET", "/metrics").body:
            pass
        http.request("PUT", "/resources/late", "x")

        answer = waiting.answer()
        assert (answer.text, answer["access-control-allow-origin"]) == ("x", OTHER)


@pytest.mark.parametrize("options, why", [
    ("cors=page.example", "an origin"), ("cors=https://page.example/", "path"), ("cors=https://a*.example", "stands for"), ("cors=*,https://a", "an origin"),
    ("cors=https://*.a:*", "enough"), ("cors=%0d%0aX:%20y", "no such characters"), ("cors=https://a%0ab", "no such characters"), ("cors=,", "no origin"),
    ("cors_credentials=yes", "origins"), ("cors=*&cors_credentials=yes", "origins"), ("cors=https://a&cors_methods=GET%0d%0a", "names"),
    ("cors=https://a&cors_headers=a:b", "names"), ("cors=https://a&cors_max_age=x", "cors_max_age"), ("cors=off&cors_expose=a", "cors=off"),
])
def test_what_makes_no_sense_is_said(bridged_program, options, why):
    code, _, said = bridged_program(f"http://127.0.0.1:0/resources?{options}")

    assert code != 0 and why in said


def test_a_page_of_a_stranger_cannot_act_where_cors_is_off(start_bridged):
    port = start_bridged("http://127.0.0.1:0/resources?cors=off").port("http")
    with Http(port) as http:
        stranger, own = {"Origin": "http://page.example"}, {"Origin": f"http://127.0.0.1:{port}", "Host": f"127.0.0.1:{port}"}

        assert http.request("POST", "/resources/a", "x", headers=stranger).status == 403  # no preflight comes before it
        assert http.request("PUT", "/resources/a", "x", headers=own).status == 201
        assert http.request("PUT", "/resources/a", "x").status == 204
    with WebSocket(port, headers=stranger) as ws:
        assert ws.said.status == 403
