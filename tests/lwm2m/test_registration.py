"""The registration interface: LwM2M 1.0 5.3, 1.1 and 1.2 6.2."""
import pytest

from peers import coap
from peers.coap import CONTENT_FORMAT, POST, uint
from peers.lwm2m import heard


def stat(house, name):
    return next(value for key, value in house.bridge.stats().items() if key.startswith(name))


def test_a_device_registers_and_all_are_told(house):
    watcher = house.mqtt("lwm2m/+/!registered")

    lamp = house.device("lamp-7", {(3303, 0, 5700): 21.5, (3, 0, 0): "Acme"})

    topic, told = heard(watcher)
    assert topic == "lwm2m/lamp-7/!registered"
    assert (told["ep"], told["lt"], told["lwm2m"], told["b"]) == ("lamp-7", 300, "1.1", "U")
    assert told["links"] == "</3/0>,</3303/0>"
    assert lamp.location.startswith("rd/") and len(lamp.location) == 3 + 16


def test_it_updates_and_deregisters(house):
    watcher = house.mqtt("lwm2m/lamp-7/!updated", "lwm2m/lamp-7/!deregistered")
    lamp = house.device("lamp-7", {(3303, 0, 5700): 21.5})

    lamp.update(["lt=60"], links="</3303/0>,</3303/1>")
    topic, told = heard(watcher)
    assert (topic, told["lt"], told["links"]) == ("lwm2m/lamp-7/!updated", 60, "</3303/0>,</3303/1>")

    lamp.deregister()
    topic, told = heard(watcher)
    assert (topic, told["reason"]) == ("lwm2m/lamp-7/!deregistered", "asked")
    lamp.update(expect="4.04")
    assert house.http("GET", "lwm2m/lamp-7/3303/0/5700").status == 404


def test_a_lifetime_ends(house):
    watcher = house.mqtt("lwm2m/lamp-7/!deregistered")
    lamp = house.device("lamp-7", {(3303, 0, 5700): 21.5}, lifetime=100)

    house.bridge.clock.advance(seconds=90)
    lamp.update()
    house.bridge.clock.advance(seconds=90)
    lamp.update()
    house.bridge.clock.advance(seconds=101)

    assert heard(watcher)[1]["reason"] == "expired"
    lamp.update(expect="4.04")


def test_without_a_lifetime_it_is_a_day(house):
    watcher = house.mqtt("lwm2m/lamp-7/!registered")
    house.device("lamp-7", {(3, 0, 0): "Acme"}, lifetime=None)

    assert heard(watcher)[1]["lt"] == 86400


def test_it_registers_again_and_the_old_location_is_no_more(house):
    lamp = house.device("lamp-7", {(3, 0, 0): "Acme"})
    before = lamp.location
    lamp.register()

    assert lamp.location != before
    lamp.update(expect="4.04", location=before)
    lamp.update()


def test_links_in_blocks_without_a_size(house):
    watcher = house.mqtt("lwm2m/lamp-7/!registered")
    resources = {(3300 + n // 10, n % 10, 5700): 1.0 for n in range(200)}

    lamp = house.device("lamp-7", resources, register=False)
    lamp.register(block=64)

    assert heard(watcher)[1]["links"] == lamp.link_text()


@pytest.mark.parametrize("version, says", [("1.0", "2.01"), ("1.1", "2.01"), ("1.2", "2.01"), (None, "2.01"), ("2.0", "4.12"), ("1.9", "4.12"),
                                           ("x", "4.12")])
def test_versions(house, version, says):
    house.device("lamp-7", {(3, 0, 0): "Acme"}, version=version, register=False).register(expect=says)


@pytest.mark.parametrize("binding, queue, sleeps", [("U", False, False), ("UQ", False, True), ("U", True, True), ("T", False, False),
                                                    ("S", False, False), ("N", False, False), ("UQS", False, True), ("UT", True, True)])
def test_bindings(house, binding, queue, sleeps):
    watcher = house.mqtt("lwm2m/lamp-7/!registered")
    house.device("lamp-7", {(3, 0, 0): "Acme"}, binding=binding, queue_mode=queue)

    told = heard(watcher)[1]
    assert (told["b"], told.get("queue", False)) == (binding, sleeps)


@pytest.mark.parametrize("query, body, format, says", [
    (["lt=300", "lwm2m=1.1"], b"</3/0>", 40, "4.00"),                  # who?
    (["ep=", "lwm2m=1.1"], b"</3/0>", 40, "4.00"),
    (["ep=lamp", "lt=0", "lwm2m=1.1"], b"</3/0>", 40, "4.00"),
    (["ep=lamp", "lt=soon", "lwm2m=1.1"], b"</3/0>", 40, "4.00"),
    (["ep=lamp", "lt=99999999999", "lwm2m=1.1"], b"</3/0>", 40, "4.00"),
    (["ep=lamp", "b=X", "lwm2m=1.1"], b"</3/0>", 40, "4.00"),
    (["ep=lamp", "lwm2m=1.1"], b"", None, "4.00"),                     # no links
    (["ep=lamp", "lwm2m=1.1"], b"no links", 40, "4.00"),
    (["ep=lamp", "lwm2m=1.1"], b"</3/0", 40, "4.00"),
    (["ep=lamp", "lwm2m=1.1"], b"<3/0>", 40, "4.00"),
    (["ep=lamp", "lwm2m=1.1"], b"</3/0>", 50, "4.15"),
    (["ep=lamp", "lwm2m=1.1"], b"</3/0>," * 4000 + b"</4/0>", 40, "4.13"),
    (["ep=" + "x" * 250, "lwm2m=1.1"], b"</3/0>", 40, "2.01"),
    (["ep=lamp", "lwm2m=1.1"], b"</3/0>", None, "2.01"),               # some say no format
    (["ep=lamp", "lwm2m=1.1", "unknown=5", "pid"], b"</3/0>", 40, "2.01"),
    (["ep=lamp", "lwm2m=1.1", "sms=+4917012345"], b"</3/0>,</3303/0>;ver=1.1", 40, "2.01"),
])
def test_what_a_registration_may_say(house, query, body, format, says):
    with coap.Socket(house.port) as device:
        options = [] if format is None else [(CONTENT_FORMAT, uint(format))]
        if len(body) > 1024:
            answer = device.put_all("rd", body, method=POST, query=query, options=options)
        else:
            answer = device.ask(POST, "rd", payload=body, query=query, options=options)
        assert answer.says == says, answer


def test_an_endpoint_may_have_any_name(house):
    watcher = house.mqtt("lwm2m/+/!registered")
    house.device("a/b+c#d %{e}ü", {(3303, 0, 5700): 21.5})

    topic, told = heard(watcher)
    assert topic == "lwm2m/a%2Fb%2Bc%23d%20%25%7Be%7Dü/!registered"
    assert told["ep"] == "a/b+c#d %{e}ü"
    answer = house.coap.get("r/" + topic.removesuffix("/!registered") + "/3303/0/5700")
    assert (answer.says, answer.payload) == ("2.05", b"21.5")


def test_the_alternate_path(house):
    lamp = house.device("lamp-7", {(3303, 0, 5700): 21.5}, root="/lwm2m", links='</lwm2m>;rt="oma.lwm2m";ct=110,</lwm2m/3303/0>')

    assert house.http("GET", "lwm2m/lamp-7/3303/0/5700").body == b"21.5"
    assert lamp.next_request().path == "/lwm2m/3303/0/5700"


def test_a_registration_sent_twice_is_one(house):
    watcher = house.mqtt("lwm2m/lamp-7/!registered", "lwm2m/lamp-7/!updated")
    lamp = house.device("lamp-7", {(3, 0, 0): "Acme"}, register=False)
    message = lamp.socket.request(POST, "rd", payload=b"</3/0>", query=lamp.register_query(), options=[(CONTENT_FORMAT, uint(40))])

    first, second = lamp.ask_message(message), lamp.ask_message(message)

    assert bytes(first) == bytes(second)
    lamp.location = "/".join(o.decode() for o in first.all(coap.LOCATION_PATH))
    lamp.update()
    assert heard(watcher)[0] == "lwm2m/lamp-7/!registered"
    assert heard(watcher)[0] == "lwm2m/lamp-7/!updated"


def test_an_update_from_another_port_moves_it(house):
    lamp = house.device("lamp-7", {(3303, 0, 5700): 21.5})
    lamp.move()
    lamp.update()

    assert house.http("GET", "lwm2m/lamp-7/3303/0/5700").body == b"21.5"


def test_nobody_touches_what_is_not_his(house):
    lamp = house.device("lamp-7", {(3, 0, 0): "Acme"})
    other = house.device("other", {(3, 0, 0): "Acme"})

    assert other.ask(coap.GET, lamp.location).says == "4.05"
    for guess in ("rd/1", "rd/lamp-7", "rd/" + "A" * 16, "rd/", "rd/" + lamp.location[3:-1], lamp.location + "/x"):
        assert other.ask(POST, guess).says in ("4.04", "4.05"), guess
        assert other.ask(coap.DELETE, guess).says in ("4.04", "4.05"), guess
    lamp.update()


def test_locations_are_random(house):
    locations = {house.device(f"lamp-{n}", {(3, 0, 0): "Acme"}).location for n in range(20)}
    assert len(locations) == 20



def test_limits(make_house):
    house = make_house("lwm2m://127.0.0.1:0?max_devices=2&max_lifetime=1000&max_links=100")
    watcher = house.mqtt("lwm2m/+/!registered")
    house.device("one", {(3, 0, 0): "Acme"}, lifetime=5000)
    house.device("two", {(3, 0, 0): "Acme"})

    assert heard(watcher)[1]["lt"] == 1000
    house.device("three", {(3, 0, 0): "Acme"}, register=False).register(expect="4.29")
    house.device("two", {(3300, n, 0): 0 for n in range(20)}, register=False).register(expect="4.13")


def test_a_rate_of_registrations(make_house, still):
    house = make_house("lwm2m://127.0.0.1:0?max_register_rate=3", clock=still)
    says = [house.device(f"lamp-{n}", register=False, links="</3/0>") for n in range(5)]
    answers = [d.ask(POST, "rd", b"</3/0>", [(CONTENT_FORMAT, uint(40))], d.register_query()).says for d in says]

    assert answers == ["2.01"] * 3 + ["4.29"] * 2
    house.bridge.clock.advance(seconds=2)
    says[4].register()


def test_who_is_there(make_house):
    house = make_house("lwm2m://127.0.0.1:0?lookup=1")
    lamp = house.device("lamp-7", {(3303, 0, 5700): 21.5})

    assert b'ep="lamp-7"' in lamp.ask(coap.GET, "rd-lookup/ep").payload
    assert lamp.ask(coap.GET, "rd-lookup/res").payload == b"</lwm2m/lamp-7/3303/0>"
    quiet = make_house()
    assert quiet.device("lamp-7", {(3, 0, 0): ""}).ask(coap.GET, "rd-lookup/ep").says == "4.04"
