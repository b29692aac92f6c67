"""A device that does not answer costs its askers one timeout, not one each (talk.c, a suspect)."""
import contextlib
import time

import pytest

from peers import coap
from peers.coap import Message, Socket
from peers.http import Http
from peers.lwm2m import heard

ROOM = {(3303, n, 5700): 20.5 + n for n in range(8)}
PATHS = [f"/3303/{n}/5700" for n in range(8)]
BOUND = 30.0


def nothing(request):
    return None


@pytest.fixture
def lamp(house):
    device = house.device("lamp-7", dict(ROOM))
    silence(device)
    return device


def silence(device):
    """It hears, and neither acknowledges nor answers."""
    for path in PATHS:
        device.lies[path] = nothing


class Asker:
    """A request that waits up to five minutes; .status when it is over."""

    def __init__(self, house, path, method="GET", body=None):
        self.http = Http(house.bridge.port("http"))
        self.http.ask(method, "/resources/" + path, body, {"Prefer": "wait=300"})

    @property
    def answer(self):
        return self.http.answer()

    def close(self):
        self.http.socket.close()


@pytest.fixture
def ask(house):
    """ask(device, *paths): they are all with the bridge when it returns, in their order."""
    with contextlib.ExitStack() as open_ones:
        def ask(name, *paths):
            askers = []
            for path in paths:
                before = house.bridge.stats()["bridge_hub_requests_total"]
                asker = Asker(house, f"lwm2m/{name}{path}")
                open_ones.callback(asker.close)
                askers.append(asker)
                until(lambda: house.bridge.stats()["bridge_hub_requests_total"] > before)
            return askers
        yield ask


def until(condition):
    """Asks the bridge again and again: each question is a turn of its loop."""
    end = time.monotonic() + BOUND
    while not condition():
        assert time.monotonic() < end, "it never came"


def wait_in_vain(house):
    """MAX_TRANSMIT_WAIT, 93 s, and the last step over it; those who ask with wait=300 are still there."""
    for _ in range(8):
        house.bridge.clock.advance(seconds=15)


def suspects(house):
    return house.bridge.stats()["bridge_lwm2m_suspects"]


def asked(device):
    """The paths that have come so far."""
    device.forget_requests()
    paths = {request.path for request in device.unread}
    device.unread.clear()
    return paths


def test_one_timeout_ends_all_that_wait(house, lamp, ask):
    askers = ask("lamp-7", *PATHS)
    lamp.wait_request("GET", PATHS[0])
    wait_in_vain(house)

    assert [asker.answer.status for asker in askers] == [504] * len(PATHS)
    assert suspects(house) == 1
    assert asked(lamp) <= {PATHS[0]}  # the others were not sent into the void


def test_a_suspect_is_asked_one_thing_at_a_time_until_it_speaks(house, lamp, ask):
    first, = ask("lamp-7", PATHS[0])
    wait_in_vain(house)
    assert first.answer.status == 504

    askers = ask("lamp-7", *PATHS[1:5])
    lamp.wait_request("GET", PATHS[1])
    assert asked(lamp) <= {PATHS[0], PATHS[1]} and suspects(house) == 1
    lamp.lies.clear()
    lamp.socket.send(Message(type=coap.CON, id=lamp.socket.new_id()))  # a ping is enough, and nobody waits for a clock

    assert [asker.answer.body for asker in askers] == [b"21.5", b"22.5", b"23.5", b"24.5"]
    assert suspects(house) == 0


def test_its_update_clears_it_too(house, lamp, ask):
    first, = ask("lamp-7", PATHS[0])
    wait_in_vain(house)
    assert first.answer.status == 504
    lamp.lies.clear()
    lamp.update()

    assert suspects(house) == 0
    assert house.http("GET", "lwm2m/lamp-7" + PATHS[2]).body == b"22.5"


def test_the_timeout_of_a_probe_ends_what_waits_behind_it(house, lamp, ask):
    first, = ask("lamp-7", PATHS[0])
    wait_in_vain(house)
    assert first.answer.status == 504

    askers = ask("lamp-7", *PATHS[1:4])
    wait_in_vain(house)
    assert [asker.answer.status for asker in askers] == [504] * 3
    assert asked(lamp) <= {PATHS[0], PATHS[1]}


def test_who_gives_up_gives_up_for_himself(house, lamp, ask):
    del lamp.lies[PATHS[1]]
    with Socket(house.bridge.port("coap")) as client:
        message = client.request(coap.GET, "r/lwm2m/lamp-7" + PATHS[0])
        client.send(message)
        lamp.wait_request("GET", PATHS[0])
        patient, = ask("lamp-7", PATHS[1])
        house.bridge.clock.advance(seconds=6)
        assert client.answer_to(message).says == "5.04"
    assert patient.answer.body == b"21.5"
    assert suspects(house) == 0


def test_observations_of_a_suspect_wait_until_it_speaks(house, lamp, ask):
    phone = house.mqtt("lwm2m/lamp-7" + PATHS[0], "lwm2m/lamp-7" + PATHS[1])
    lamp.wait_request("GET", PATHS[0])
    wait_in_vain(house)
    assert suspects(house) == 1
    probe, = ask("lamp-7", PATHS[2])  # goes by them
    lamp.wait_request("GET", PATHS[2])
    lamp.lies.clear()
    lamp.update()

    assert probe.answer.body == b"22.5"
    assert dict(heard(phone) for _ in range(2)) == {"lwm2m/lamp-7" + PATHS[0]: 20.5, "lwm2m/lamp-7" + PATHS[1]: 21.5}


def test_a_sleeper_gets_what_waits_in_its_order(house):
    lamp = house.device("lamp-7", dict(ROOM), binding="UQ")
    silence(lamp)
    client = house.mqtt("lwm2m/lamp-7/!asleep")
    for path in PATHS[:4]:
        client.publish("lwm2m/lamp-7" + path, b"7.5", qos=0)
    client.ping()
    wait_in_vain(house)
    assert heard(client)[1]["asleep"] is True
    assert suspects(house) == 0
    lamp.lies.clear()
    lamp.update()

    seen = []
    while len(seen) < 4:
        path = lamp.next_request().path
        if path not in seen:
            seen.append(path)
    assert seen == PATHS[:4]


def test_what_is_behind_a_silent_gateway(house, ask):
    watcher = house.mqtt("lwm2m/sensor-1/!registered")
    gateway = house.device("gw", {(25, 0, 0): "sensor-1", (25, 0, 1): "d01", (25, 0, 3): "</3303/0>", **ROOM}, register=False)
    silence(gateway)
    gateway.lies["/d01/3303/0/5700"] = nothing
    gateway.register()
    heard(watcher)
    askers = ask("sensor-1", PATHS[0]) + ask("gw", *PATHS[:6])
    wait_in_vain(house)

    assert [asker.answer.status for asker in askers] == [504] * 7
    assert suspects(house) == 1
    probes = ask("sensor-1", PATHS[0]) + ask("gw", PATHS[1])
    gateway.lies.clear()
    gateway.lies["/d01/3303/0/5700"] = lambda request: Message(code=coap.code("2.05"), payload=b"9.5")
    gateway.update()
    assert [asker.answer.body for asker in probes] == [b"9.5", b"21.5"]


def test_a_suspect_that_leaves_is_forgotten(house, lamp, ask):
    first, = ask("lamp-7", PATHS[0])
    wait_in_vain(house)
    assert first.answer.status == 504 and suspects(house) == 1
    house.bridge.clock.advance(seconds=400)
    assert suspects(house) == 0
    assert house.http("GET", "lwm2m/lamp-7" + PATHS[0]).status == 404


# ---- One that speaks, and acknowledges nothing: mute

def wait_while_it_speaks(house, device, seconds=120):
    """It is heard all the time: its updates come, and are answered."""
    for _ in range(seconds // 15):
        house.bridge.clock.advance(seconds=15)
        device.update()


def test_a_device_that_speaks_but_does_not_listen_costs_one_timeout(house, lamp, ask):
    askers = ask("lamp-7", *PATHS)
    lamp.wait_request("GET", PATHS[0])
    wait_while_it_speaks(house, lamp)

    assert [asker.answer.status for asker in askers] == [504] * len(PATHS)
    assert asked(lamp) <= {PATHS[0]}
    lamp.update()
    assert suspects(house) == 1  # what it says proves nothing


def test_a_probe_of_it_ends_soon(house, lamp, ask):
    first, = ask("lamp-7", PATHS[0])
    lamp.wait_request("GET", PATHS[0])
    wait_while_it_speaks(house, lamp)
    assert first.answer.status == 504

    askers = ask("lamp-7", *PATHS[1:4])
    lamp.wait_request("GET", PATHS[1])
    wait_while_it_speaks(house, lamp, 30)  # 20 s, LWM2M_PROBE
    assert [asker.answer.status for asker in askers] == [504] * 3
    assert asked(lamp) <= {PATHS[0], PATHS[1]}


def test_an_answer_ends_it(house, lamp, ask):
    first, = ask("lamp-7", PATHS[0])
    lamp.wait_request("GET", PATHS[0])
    wait_while_it_speaks(house, lamp)
    assert first.answer.status == 504
    lamp.lies.clear()

    askers = ask("lamp-7", *PATHS[1:4])
    assert [asker.answer.body for asker in askers] == [b"21.5", b"22.5", b"23.5"]
    assert suspects(house) == 0


def test_an_empty_acknowledgement_is_enough(house, lamp, ask):
    first, = ask("lamp-7", PATHS[0])
    lamp.wait_request("GET", PATHS[0])
    wait_while_it_speaks(house, lamp)
    assert first.answer.status == 504
    lamp.lies[PATHS[1]] = lambda request: lamp.socket.ack(request.message)

    probe, = ask("lamp-7", PATHS[1])
    lamp.wait_request("GET", PATHS[1])
    until(lambda: suspects(house) == 0)
    probe.close()


def test_it_acknowledges_and_never_answers(house, lamp, ask):
    """That is no silence: each question has its own time."""
    lamp.lies[PATHS[0]] = lambda request: lamp.socket.ack(request.message)
    del lamp.lies[PATHS[1]]
    slow, quick = ask("lamp-7", PATHS[0], PATHS[1])
    lamp.wait_request("GET", PATHS[0])
    assert quick.answer.body == b"21.5"
    wait_while_it_speaks(house, lamp)
    assert slow.answer.status == 504
    assert suspects(house) == 0


def test_from_another_address_it_may_hear_us(house, lamp, ask):
    first, = ask("lamp-7", PATHS[0])
    lamp.wait_request("GET", PATHS[0])
    wait_while_it_speaks(house, lamp)
    assert first.answer.status == 504
    lamp.move()
    lamp.update()
    assert suspects(house) == 0


def test_observations_of_a_mute_device_wait_until_it_acknowledges(house, lamp, ask):
    phone = house.mqtt("lwm2m/lamp-7" + PATHS[0])
    lamp.wait_request("GET", PATHS[0])
    wait_while_it_speaks(house, lamp)
    assert suspects(house) == 1
    lamp.lies.clear()
    lamp.update()
    probe, = ask("lamp-7", PATHS[2])
    assert probe.answer.body == b"22.5"
    assert heard(phone) == ("lwm2m/lamp-7" + PATHS[0], 20.5)
