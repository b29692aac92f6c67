"""Foreign CoAP servers as part of the tree: connect("coap://device?as=plant/{path...}")."""
import hashlib
import json
import time
from contextlib import closing

import pytest

from libbridge import errors
from peers import coap
from peers.coap import GET, NON, Shim, Socket, code
from peers.coap_site import device, heard, join, listener, port_of, site  # noqa: F401: fixtures, too
from peers.tools import Mosquitto, curl

LONG = 30


# ---- questions pass through

def test_get_reaches_the_device_from_every_protocol(site, device):
    join(site, device, "&max_age=0")

    assert site.get("plant/temp").payload == b"21.5"
    assert curl(listener(site, "http") + "/plant/temp") == (200, b"21.5")
    with Socket(port_of(site, "coap")) as client:
        answer = client.get("r/plant/temp")
        assert (answer.says, answer.payload) == ("2.05", b"21.5")


def test_put_post_and_delete_are_the_devices(site, device):
    join(site, device)

    with Socket(port_of(site, "coap")) as client:
        assert client.put("r/plant/light", b"on").says == "2.01"
        assert device.values["light"] == b"on"
        assert client.put("r/plant/light", b"off").says == "2.04"
        assert client.delete("r/plant/light").says == "2.02"
    assert "light" not in device.values
    status, _ = curl("-X", "PUT", "-d", "dim", "-H", "Content-Type: text/plain", listener(site, "http") + "/plant/light")
    assert status == 201 and device.values["light"] == b"dim" and device.formats["light"] == 0


def test_where_a_post_has_made_something_is_told_as_a_path_here(site, device):
    device.answer["sensors/make"] = lambda *_: coap.Message(code=code("2.01"), options=[
        (coap.LOCATION_PATH, b"sensors"), (coap.LOCATION_PATH, "ü x".encode()), (coap.LOCATION_QUERY, b"a=1&2"), (coap.LOCATION_QUERY, b"b")])
    device.answer["sensors/outside"] = lambda *_: coap.Message(code=code("2.01"), options=[(coap.LOCATION_PATH, b"elsewhere")])
    join(site, device, base="/sensors")

    with Socket(port_of(site, "coap")) as client:
        answer = client.post("r/plant/make", b"x")
        assert (answer.says, answer.all(coap.LOCATION_PATH)) == ("2.01", [b"r", b"plant", "ü x".encode()])
        assert answer.all(coap.LOCATION_QUERY) == [b"a=1&2", b"b"]
        answer = client.post("r/plant/outside", b"x")
        assert (answer.says, b"elsewhere" in answer.all(coap.LOCATION_PATH)) == ("2.01", False)
    status, head = curl("-i", "-X", "POST", "-d", "x", listener(site, "http") + "/plant/make")
    assert status == 201 and b"Location: /resources/plant/%C3%BC%20x?a=1%262&b\r\n" in head.replace(b"location:", b"Location:")


def test_what_is_published_is_put_to_the_device(site, device):
    join(site, device)

    Mosquitto(port_of(site, "mqtt")).publish("plant/light", "on", "-q", "1", "-r")

    while True:
        method, path, request = device.request(LONG)
        if path == "light":
            assert (method, request.payload) == (coap.PUT, b"on")
            break


@pytest.mark.parametrize("says, status", [("4.00", 400), ("4.01", 403), ("4.03", 403), ("4.04", 404), ("4.09", 409), ("4.12", 412),
                                          ("4.13", 413), ("4.15", 415), ("4.22", 422), ("4.29", 429), ("5.00", 500), ("5.01", 501),
                                          ("5.02", 502), ("5.03", 503), ("5.04", 504), ("5.05", 502), ("5.08", 502)])
def test_refusals_are_mapped(site, device, says, status):
    device.answer["odd"] = lambda *_: coap.Message(code=code(says), payload=b"because")
    join(site, device)

    got, body = curl("-X", "PUT", "-d", "1", listener(site, "http") + "/plant/odd")

    assert got == status
    assert json.loads(body)["detail"] == "because"


def test_path_query_and_format_are_said_as_they_were(site, device):
    device.values["a b/ü"] = b'{"v":1}'
    device.formats["a b/ü"] = 50
    join(site, device, base="")

    with Socket(port_of(site, "coap")) as client:
        answer = client.get("r/plant/a b/ü", query=["x=1&2", "y"], options=[(coap.ACCEPT, b"\x32")])

    assert (answer.says, answer.payload) == ("2.05", b'{"v":1}')
    requests = [device.request(LONG) for _ in range(2)]                # one is the look whether it is there
    request = next(r for _, path, r in requests if path == "a b/ü")
    assert request.all(coap.URI_QUERY) == [b"x=1&2", b"y"] and request.uint(coap.ACCEPT) == 50


def test_a_format_that_the_device_does_not_have_is_made_here(site, device):
    device.values["pack"] = b'[{"n":"a","v":1}]'
    device.formats["pack"] = 110
    join(site, device)

    status, body = curl(listener(site, "http") + "/plant/pack", "-H", "Accept: application/senml+cbor")

    assert status == 200 and body[:1] == b"\x81"


def test_below_the_url_and_one_resource_only(site, device):
    device.values["sensors/temp"] = b"5"
    site.connect(f"coap://127.0.0.1:{device.port}/sensors?as=below/{{path...}}&discover=no")
    site.connect(f"coap://127.0.0.1:{device.port}/sensors/temp?as=one&discover=no")

    assert site.get("below/temp").payload == b"5"
    assert site.get("one").payload == b"5"
    with pytest.raises(errors.NotFound):
        site.get("below/other")


def test_large_bodies_cross_in_blocks_both_ways(site, device):
    big = bytes(range(256)) * 200
    device.values["big"] = big
    device.size = 256
    join(site, device)

    assert site.get("plant/big").payload == big
    site.put("plant/bigger", big * 3)
    assert device.values["bigger"] == big * 3


def test_answers_may_come_separately(site, device):
    device.separate = True
    join(site, device)

    assert site.get("plant/temp").payload == b"21.5"


@pytest.mark.parametrize("delay", [0, 0.05])
def test_lost_doubled_reordered_and_late_datagrams_do_no_harm(site, device, delay):
    big = bytes(range(256)) * 16
    device.values["big"] = big
    with Shim(device.port, loss=0.1, doubling=0.1, reorder=0.1, delay=delay) as shim:
        site.connect(f"coap://127.0.0.1:{shim.port}?as=plant/{{path...}}&discover=no&max_age=0")

        for i in range(3):
            assert site.get("plant/big", timeout=90).payload == big
            site.put("plant/x", str(i), timeout=90)
            assert device.values["x"] == str(i).encode()


# ---- caching

def test_an_answer_is_kept_for_its_max_age(site, device):
    device.max_age = 3600
    join(site, device)

    for _ in range(5):
        assert site.get("plant/temp").payload == b"21.5"

    assert device.count(GET, "temp") == 1


def test_what_is_out_of_date_is_asked_about_with_its_etag(site, device):
    device.max_age = 0
    join(site, device)

    for _ in range(3):
        assert site.get("plant/temp").payload == b"21.5"

    requests = []
    while not device.requests.empty():
        requests.append(device.requests.get())
    etags = [r.all(coap.ETAG) for _, path, r in requests if path == "temp"]
    assert etags == [[], [device.etag("temp")], [device.etag("temp")]]
    assert site.stats()[f'bridge_coap_far_revalidated_total{{far="coap://127.0.0.1:{device.port}"}}'] == 2


def test_conditions_are_about_the_devices_etags(site, device):
    join(site, device, "&max_age=0")
    url = listener(site, "http") + "/plant/temp"
    _, head = curl("-i", url)
    tag = next(line.split(b": ")[1].strip().decode() for line in head.split(b"\r\n") if line.lower().startswith(b"etag"))

    assert curl(url, "-H", f"If-None-Match: {tag}")[0] == 304
    assert curl("-X", "PUT", "-d", "22", url, "-H", f"If-Match: {tag}")[0] in (200, 204)
    assert curl("-X", "PUT", "-d", "23", url, "-H", f"If-Match: {tag}")[0] == 412
    assert device.values["temp"] == b"22"


# ---- one observation for all

def test_one_observation_serves_watchers_of_every_protocol(site, device):
    join(site, device)
    mine = site.subscribe("plant/temp")
    with closing(Mosquitto(port_of(site, "mqtt"))) as clients, Socket(port_of(site, "coap")) as client:
        phone = clients.subscribe("plant/temp")
        _, observation = client.observe("r/plant/temp")
        heard(mine, b"21.5")

        device.notify("temp", b"22")

        heard(mine, b"22")
        while phone.line() != "plant/temp 22":
            pass
        while observation.hear().payload != b"22":
            pass
        assert len(device.observers) == 1


def test_the_last_watcher_ends_it(site, device):
    join(site, device)
    first, second = site.subscribe("plant/temp"), site.subscribe("plant/temp")
    heard(first, b"21.5")

    first.close()
    device.notify("temp", b"22")
    heard(second, b"22")
    second.close()

    assert device.canceled.get(timeout=LONG) == "temp"
    assert device.observers == {}


@pytest.mark.parametrize("mode", [coap.CON, NON])
def test_a_notification_nobody_wants_any_more_is_rejected(site, device, mode):
    device.mode = mode
    join(site, device)
    with site.subscribe("plant/temp") as watch:
        heard(watch, b"21.5")
        peer = next(iter(device.observers))
    assert device.canceled.get(timeout=LONG) == "temp"

    device.observers[peer] = "temp"                                    # it did not hear of the end
    device.notify("temp", b"23")

    assert device.canceled.get(timeout=LONG) == "temp"


def test_an_observation_begins_anew_when_the_device_ends_it(site, device):
    join(site, device, "&retry=10")
    watch = site.subscribe("plant/temp")
    heard(watch, b"21.5")

    device.notify("temp", says="5.03")
    device.values["temp"] = b"30"

    heard(watch, b"30")
    assert len(device.observers) == 1


def test_a_resource_that_goes_is_told_and_comes_back(site, device):
    join(site, device, "&retry=10")
    watch = site.subscribe("plant/temp")
    heard(watch, b"21.5")

    del device.values["temp"]
    device.notify("temp", says="4.04")
    heard(watch, b"")                                                  # it has gone
    device.values["temp"] = b"again"

    heard(watch, b"again")


def test_a_device_that_rebooted_is_observed_again(make_bridge, device):
    b = make_bridge()                                                  # with a clock that is ours
    device.max_age = 10
    join(b, device)
    watch = b.subscribe("plant/temp")
    heard(watch, b"21.5")

    device.reboot()                                                    # nothing will be told any more
    device.values["temp"] = b"after"
    b.clock.advance(seconds=26)                                        # Max-Age and 5 to 15 s: RFC 7641 3.3.1

    heard(watch, b"after")
    assert len(device.observers) == 1


def test_a_server_without_observe_is_polled(site, device):
    device.observe = False
    join(site, device, "&poll=1")
    watch = site.subscribe("plant/temp")
    heard(watch, b"21.5")

    device.values["temp"] = b"24"

    heard(watch, b"24")


def test_a_large_notification_is_fetched_whole(site, device):
    device.size = 64
    join(site, device)
    watch = site.subscribe("plant/temp")
    heard(watch, b"21.5")

    device.notify("temp", b"x" * 1000)

    heard(watch, b"x" * 1000)


# ---- what is there

def offers(device, *links):
    """What the device's /.well-known/core tells; asked with an ETag it says whether that has changed."""
    body = ",".join(links).encode()

    def answer(_, request, peer):
        tag = hashlib.sha256(body).digest()[:4]
        if tag in request.all(coap.ETAG):
            return coap.Message(code=code("2.03"), options=[(coap.ETAG, tag)])
        return coap.Message(code=code("2.05"), options=[(coap.ETAG, tag), (coap.CONTENT_FORMAT, b"\x28")], payload=body)
    device.answer[".well-known/core"] = answer


def core(client, part="plant"):
    """Our own list, of what is below plant: {href: attributes}."""
    found = dict(link.split(">", 1) for link in client.get_all(".well-known/core").decode().split(","))
    return {href[len("</r/"):]: attributes for href, attributes in found.items() if href.startswith("</r/" + part)}


def until(fn, wanted):
    deadline = time.monotonic() + LONG
    while (got := fn()) != wanted:
        assert time.monotonic() < deadline, got
    return got


def test_link_attributes_are_passed_on_and_looked_at_again(make_bridge, device):
    b = make_bridge("coap://127.0.0.1:0/r")                            # with a clock that is ours
    b.describe("plant/said", rt="ours")
    offers(device, '<1>;rt="x"', '</temp>;rt="temperature-c core.s";if=sensor;ct=110;sz=900;title="a \\"b\\"";obs;foo=bar', '</said>;rt=theirs;if=theirs')
    b.connect(f"coap://127.0.0.1:{device.port}?as=plant/{{path...}}")

    with Socket(port_of(b, "coap")) as client:
        until(lambda: core(client), {"plant/temp": ';rt="temperature-c core.s";if=sensor;ct=110;sz=900;title="a \\"b\\"";obs',
                                     "plant/said": ';rt="ours";if=theirs;obs'})
        assert b"plant/temp" in client.get(".well-known/core", query=["rt=temperature-c"]).payload

        offers(device, "</other>;rt=new", '</temp>;rt="changed"')
        b.clock.advance(seconds=301)
        until(lambda: core(client), {"plant/temp": ';rt="changed";obs', "plant/other": ";rt=new;obs"})

        watch = b.subscribe("plant/temp")                              # what is watched stays
        heard(watch, b"21.5")
        offers(device, "</other>;rt=again")
        b.clock.advance(seconds=301)
        until(lambda: core(client)["plant/other"], ";rt=again;obs")
        assert "plant/temp" in core(client)


def test_what_has_not_changed_is_not_sent_again(make_bridge, device):
    b = make_bridge("coap://127.0.0.1:0/r")
    offers(device, "</temp>;rt=t")
    b.connect(f"coap://127.0.0.1:{device.port}?as=plant/{{path...}}&refresh=10")
    asked = [next(r for _, path, r in iter(device.request, None) if path == ".well-known/core")]

    with Socket(port_of(b, "coap")) as client:
        until(lambda: core(client), {"plant/temp": ";rt=t;obs"})
        b.clock.advance(seconds=11)
        asked.append(next(r for _, path, r in iter(device.request, None) if path == ".well-known/core"))

        assert [len(r.all(coap.ETAG)) for r in asked] == [0, 1]
        assert core(client) == {"plant/temp": ";rt=t;obs"}


def test_what_is_discovered_is_listed_and_wildcards_observe_it(site, device):
    device.values["hum"] = b"40"
    watch = site.subscribe("plant/#")
    site.connect(f"coap://127.0.0.1:{device.port}?as=plant/{{path...}}")

    values = {}
    while values != {"plant/temp": b"21.5", "plant/hum": b"40"}:
        message = next(watch)
        values[message.path] = message.payload
    assert len(device.observers) == 2
    status, body = curl(listener(site, "http") + "/plant/")
    assert status == 200 and sorted(json.loads(body)) == ["hum", "temp"]
    device.notify("hum", b"41")
    heard(watch, b"41")


# ---- routes

def test_a_route_into_owned_paths_writes_through(site, device):
    join(site, device)
    site.route("sensors/{x}", "plant/{x}")

    site.publish("sensors/light", "on", retain=True)

    while True:
        method, path, request = device.request(LONG)
        if path == "light":
            assert (method, request.payload) == (coap.PUT, b"on")
            return


def test_a_route_out_of_owned_paths_carries_the_news(site, device):
    join(site, device)
    site.route("plant/{x}", "archive/{x}")
    watch, archive = site.subscribe("plant/temp"), site.subscribe("archive/temp")
    heard(watch, b"21.5")

    device.notify("temp", b"19")

    heard(archive, b"19")


def test_names_of_coap_do_not_bend_the_owners_paths(site, device):
    site.route("coap:{a}/{b}", "home/{b}/{a}")
    join(site, device)
    watch = site.subscribe("plant/temp")

    heard(watch, b"21.5")
