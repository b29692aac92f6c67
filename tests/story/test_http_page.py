"""The page at / in a real browser: what it shows, what can be done with it, and that strangers' words stay words."""
import json

import pytest

from peers.http import Http
from peers.mqtt import Client
from peers.process import wait_until

TREE = "document.querySelector('.tree').textContent"


@pytest.fixture
def bridged(start_bridged):
    return start_bridged("http://127.0.0.1:0/resources", "mqtt://127.0.0.1:0", "coap://127.0.0.1:0/r")


@pytest.fixture
def page(bridged, tab):
    """page.at("#/routes") shows a view."""
    tab.at = lambda view="": tab.open(f"http://127.0.0.1:{bridged.port('http')}/{view}")
    return tab


class Fresh:
    """A connection for each request: between two of them a browser may take longer than a server waits."""

    def __init__(self, port):
        self.port = port

    def request(self, *words, **more):
        with Http(self.port) as http:
            return http.request(*words, **more)


@pytest.fixture
def http(bridged):
    return Fresh(bridged.port("http"))


def put(http, path, value, **more):
    assert http.request("PUT", "/resources/" + path, value, **more).status in (201, 204)


def row(path):
    return f"document.querySelector('[data-path={json.dumps(path)}]')"


def test_the_tree_is_live(page, http):
    put(http, "home/kitchen/temp", "20")
    put(http, "home/lamp", '{"on":true}', headers={"Content-Type": "application/json"})
    page.at()
    page.until(f"{row('home/kitchen/temp')}?.querySelector('.value').textContent === '20'")
    assert page.eval(f"{row('home/lamp')}.querySelector('.value').textContent") == '{"on":true}'

    put(http, "home/kitchen/temp", "21.5")
    page.until(f"{row('home/kitchen/temp')}.querySelector('.value').textContent === '21.5'")
    put(http, "garden/pump", "off")
    page.until(row("garden/pump"))
    http.request("DELETE", "/resources/garden/pump")
    page.until(f"!{row('garden/pump')} && !{row('garden')}")

    page.fill("#filter", "KITCHEN")
    page.until(f"!{row('home/lamp')}?.checkVisibility() && {row('home/kitchen/temp')}")
    page.fill("#filter", '"on":true')  # values are looked into
    page.until(f"{row('home/lamp')}?.checkVisibility() && {TREE}.includes('lamp')")


def test_one_path(page, http, bridged):
    put(http, "home/temp", "20", headers={"Content-Type": "text/plain"})
    page.at("#/values/home%2Ftemp")
    page.until("document.querySelector('#now')?.textContent === '20'")
    assert page.eval("document.querySelector('#path').textContent") == "home/temp"
    known = page.until("document.querySelector('.detail dl')?.innerText")
    assert "http:127.0.0.1" in known and "text/plain" in known
    assert page.eval("document.querySelector('.detail .chips').innerText").split()[:4] == ["kept", "text/plain", "2", "B"]

    for value in ("21.5", "23", "22"):
        put(http, "home/temp", value)
    page.until("document.querySelector('#now').textContent === '22' && document.querySelector('.scale').textContent.includes('max 23')")
    page.fill("#format", "application/senml+json")
    page.until("document.querySelector('#now').textContent.includes('\"v\": 22')")
    page.fill("#format", "hex")
    page.until("document.querySelector('#now').textContent.includes('32 32')")

    with Client(bridged.port("mqtt"), 5).connect("meter") as meter:  # an event, with a property
        meter.publish("home/temp", b"5", props=[("user", ("unit", "<i>Cel</i>"))])
        page.until("document.querySelector('.detail .chips').innerText.startsWith('event')")
        assert "<i>Cel</i>" in page.until("document.querySelector('.detail dl').innerText.includes('unit') && document.querySelector('.detail dl').innerText")


def test_publishing_and_deleting(page, http):
    put(http, "a", "1")
    page.at("#/messages")
    page.fill("#pattern", "garden/#")
    page.click("#listen")
    page.until("document.querySelector('#listen').textContent === 'Stop' && document.querySelector('.pill.on')")
    page.fill("#to", "garden/p\u00fcmp 1")
    page.fill("#payload", "go")
    page.fill("#qos", "2")
    page.click("#send")
    page.until("document.querySelector('#said').textContent === 'created'")
    page.until("document.querySelector('#log').innerText.includes('QoS 2')")
    assert http.request("GET", "/resources/garden/p%C3%BCmp%201").text == "go"
    page.until("document.querySelector('#log').innerText.includes('garden/p\u00fcmp 1')")
    page.eval("document.querySelector('#keep').checked = false")
    page.fill("#payload", "event!")
    page.click("#send")
    page.until("document.querySelector('#log').innerText.includes('event!')")
    assert http.request("GET", "/resources/garden/p%C3%BCmp%201").text == "go"

    page.eval("location.hash = '#/values/a'")
    page.click("#remove")
    page.until("document.querySelector('dialog[open]')")
    page.click("dialog button[type=button]")  # no
    page.until("!document.querySelector('dialog')")
    assert http.request("GET", "/resources/a").status == 200
    page.click("#remove")
    page.click("dialog button.danger")
    page.until(f"!{row('a')}")
    assert http.request("GET", "/resources/a").status == 404


def test_by_keyboard(page, http):
    put(http, "a/b", "1")
    put(http, "c", "2")
    page.at()
    page.until(row("a/b"))
    page.eval("document.querySelector('.tree').focus()")
    page.key("ArrowDown")
    page.until(f"{row('a')}.getAttribute('aria-selected') === 'true'")
    page.key("ArrowDown")
    page.until("document.querySelector('#path')?.textContent === 'a/b'")
    page.eval("document.activeElement.blur()")
    page.key("3")
    page.until("document.querySelector('nav [aria-current]').dataset.view === 'routes'")


def test_thousands_of_paths(page, http):
    many = [f"many/{n // 100}/{n}" for n in range(3000)]
    with Http(http.port) as pipe:
        pipe.send(b"".join(f"PUT /resources/{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1".encode() for path in many))
        for _ in many:
            assert pipe.answer().status == 201
    page.at()
    page.until("document.querySelector('.foot').textContent.startsWith('3000 paths')")
    page.eval("document.querySelector('[data-path=many]').click()")
    page.until("document.querySelectorAll('.leaf').length >= 1")
    page.fill("#filter", "many/")
    page.until("document.querySelector('.spacer').offsetHeight > 3000 * 30")
    assert page.eval("document.querySelectorAll('.leaf').length") < 200  # only what is seen is there
    page.fill("#filter", "29/2999")
    page.until(row("many/29/2999"))


def test_routes_and_why(start_bridged, tab, tmp_path):
    config = tmp_path / "bridge.json"
    config.write_text(json.dumps({"listen": ["http://127.0.0.1:0/resources", "coap://127.0.0.1:0/r"], "routes": [
        {"source": "raw/{x}", "target": "cooked/{x}"}, {"source": "coap:t/{x}", "target": "raw/{x}"}]}))
    port = start_bridged(options=["--config", str(config)], listeners=2).port("http")
    http = Fresh(port)
    for n in range(3):
        http.request("PUT", "/resources/raw/a", str(n))
    tab.open(f"http://127.0.0.1:{port}/#/routes")
    copied = "[...document.querySelectorAll('tbody tr')].find(r => r.textContent.includes('cooked/{x}'))"
    tab.until(f"{copied}?.children[2].textContent === '3'")
    http.request("PUT", "/resources/raw/a", "4")
    tab.until(f"{copied}.children[2].textContent === '4' && {copied}.children[3].textContent.includes('/s')")
    tab.fill("#why", "raw/a")
    tab.click("#explain")
    words = tab.until("document.querySelector('#words').innerText.includes('cooked/a') && document.querySelector('#words').innerText")
    assert "coap calls it t/a" in words and "watches it by # at" in words


def test_routes_by_hand(start_bridged, tab):
    bridged = start_bridged("http://127.0.0.1:0/resources?routes=write", "http://127.0.0.1:0/resources", "coap://127.0.0.1:0/r")
    http = Fresh(bridged.port("http"))
    put(http, "raw/a", "20")
    tab.open(f"http://127.0.0.1:{bridged.port('http')}/#/routes")
    tab.until("!document.querySelector('#adding').hidden")
    tab.fill("#source", "raw/{x}")
    tab.fill("#target", "cooked/{y}")
    tab.click("#try")
    tab.until("document.querySelector('#would .bad')?.textContent.includes('wants y')")
    tab.fill("#target", "cooked/{x}")
    tab.fill("#transform", "scale 2")
    tab.click("#try")
    tab.until("document.querySelector('#would').innerText.includes('raw/a would be copied to cooked/a')")
    tab.click("#add")
    tab.until("document.querySelector('tbody tr')?.innerText.includes('scale 2')")
    put(http, "raw/a", "21")
    assert http.request("GET", "/resources/cooked/a").text == "42"

    tab.click("tbody button.danger")
    tab.click("dialog button.danger")
    tab.until("!document.querySelector('tbody tr')")
    put(http, "raw/a", "22")
    assert http.request("GET", "/resources/cooked/a").text == "42"
    tab.open(bridged.urls[1].removesuffix("/resources") + "/#/routes")  # who may only see
    tab.until("document.querySelector('main').textContent.includes('There are no routes')")
    assert tab.eval("document.querySelector('#adding').hidden")


def test_a_tab_that_is_not_seen_holds_no_connection(page, http):
    """Six connections are all that a browser has for the tabs of one host."""
    def watchers():
        return next(s["value"] for s in http.request("GET", "/api/stats").json if s["name"] == "bridge_http_watchers")
    put(http, "home/temp", "20")
    page.at("#/messages")
    page.click("#listen")
    page.until("document.querySelector('#log').textContent.includes('home/temp') && document.querySelector('#live').textContent === 'live'")
    assert watchers() == 2
    page.hide()
    wait_until(lambda: watchers() == 0)
    others = [page.another() for _ in range(7)]
    for tab in others:
        tab.open(page.eval("location.origin") + "/")
        tab.until(f"{row('home/temp')}?.querySelector('.value').textContent === '20'")
        tab.hide()
    put(http, "home/temp", "21")
    page.hide(False)
    page.until("document.querySelector('#log').textContent.includes('the tab was hidden') && "
               "[...document.querySelectorAll('#log .value')].some(e => e.textContent.includes('21'))")  # the hour may be 21, too
    page.until("document.querySelector('#live').textContent === 'live'")
    assert page.eval("document.querySelectorAll('#log .value').length") == 2  # nothing twice
    assert [tab.complaints for tab in others] == [[]] * len(others)


def test_who_is_connected(page, bridged):
    with Client(bridged.port("mqtt"), 5).connect("<b>panel</b>") as client:
        client.subscribe(("#", 0))
        page.at("#/peers")
        named = "[...document.querySelectorAll('#peers tr')].find(r => r.children[0].textContent === '<b>panel</b>')"
        page.until(f"{named}?.children[1].textContent === 'mqtt' && {named}.children[3].textContent.startsWith('127.0.0.1:') && {named}.children[5].textContent === '1'")
        assert page.eval("[...document.querySelectorAll('#ports .mono')].map(e => e.textContent.split(':')[0]).sort()") == ["coap", "http", "mqtt"]
        page.fill("#filter", "panel")
        page.until("document.querySelectorAll('#peers tr').length === 1")
    page.until("document.querySelectorAll('#peers tr').length === 0")


def test_what_strangers_say_stays_text(page, bridged, http):
    bad = "<img src=x onerror=window.hacked=1><script>window.hacked=2</script>"
    with Client(bridged.port("mqtt"), 4).connect("<svg onload=window.hacked=3>") as client:
        client.publish(bad.replace("/", "|"), bad.encode(), retain=True)
        client.publish("javascript:window.hacked=4", b"\"><script>window.hacked=5</script>", retain=True)
        for view, words in (("#/values", "window.hacked=1"), ("#/values/" + "javascript%3Awindow.hacked%3D4", "window.hacked=5"), ("#/peers", "svg onload")):
            page.at(view)
            page.until(f"document.querySelector('main').textContent.includes({words!r})")
        page.at("#/messages")
        page.click("#listen")
        page.until("document.querySelector('#log').textContent.includes('window.hacked=2')")
        assert page.eval("window.hacked === undefined && document.querySelectorAll('main img, main script').length === 0")
        page.forgiven = "TrustedScript"
        assert page.eval("(() => { const s = document.createElement('script'); try { s.text = 'window.hacked = 6'; document.body.append(s); } catch (e) { } return window.hacked; })()") is None
    said = http.request("GET", "/")
    assert "unsafe" not in said["content-security-policy"] and "default-src 'none'" in said["content-security-policy"]


def test_who_must_log_in_is_asked(start_bridged, tab, tmp_path):
    import subprocess
    passwords = tmp_path / "passwords"
    from peers.tools import need
    subprocess.run([need("mosquitto_passwd"), "-c", "-b", passwords, "alice", "s\u00e9cret"], check=True)
    (tmp_path / "acl").write_text("user alice\ntopic readwrite home/#\n")
    port = start_bridged(f"http://127.0.0.1:0/resources?password_file={passwords}&acl_file={tmp_path / 'acl'}&anonymous=deny").port("http")
    with Http(port) as http:
        import base64
        login = {"Authorization": "Basic " + base64.b64encode("alice:s\u00e9cret".encode()).decode()}
        assert http.request("PUT", "/resources/home/lamp", "on", headers=login).status == 201
        assert http.request("GET", "/api/peers", headers=login).status == 403  # not hers
    tab.open(f"http://127.0.0.1:{port}/")
    tab.fill("dialog input[name=user]", "alice")
    tab.fill("dialog input[name=password]", "s\u00e9cret")
    tab.click("dialog button.main")
    tab.until("document.querySelector('#who').textContent === 'alice'")
    tab.fill("#scope", "home/#")
    tab.until(f"{row('home/lamp')}?.querySelector('.value').textContent === 'on'")
    tab.eval("location.hash = '#/peers'")
    tab.until("document.querySelector('main').textContent.includes('Not to be seen')")


def test_the_past_of_a_path(start_bridged, tab, tmp_path):
    config = tmp_path / "bridge.json"
    config.write_text(json.dumps({"listen": ["http://127.0.0.1:0/resources"], "store": f"sqlite:{tmp_path}/b.db", "history": {"t": {"keep": "1d"}}}))
    port = start_bridged(options=["--config", str(config)], listeners=1).port("http")
    with Http(port) as http:
        import time
        now = time.time()
        pack = json.dumps([{"n": "", "t": now - 600 + 60 * n, "v": 20 + n} for n in range(10)])
        assert http.request("PUT", "/resources/t", pack, headers={"Content-Type": "application/senml+json"}).status == 201
        http.request("PUT", "/resources/t", "30")
        for _ in range(100000):  # it is written in the background
            if len(http.request("GET", "/history/t").json) == 11:
                break
    tab.open(f"http://127.0.0.1:{port}/#/values/t")
    tab.fill("#span", "1h")
    tab.until("/11 values/.test(document.querySelector('.scale').textContent) && document.querySelector('.scale').textContent.includes('max 30')")
    tab.fill("#aggregate", "max")
    tab.until("document.querySelector('div.line').textContent.includes('one max for each')")
