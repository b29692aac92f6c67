"""Campaigns and updates under way outlive the process (flash_keep.c), kill -9 included."""
import base64
import json
import sqlite3

import pytest
from conftest import Bridged, built_adapters
from libbridge import Campaign
from peers import lwm2m
from peers.coap import Message, code
from peers.http import Http
from peers.process import wait_until

PACKAGE = b"new firmware" * 20
SPRING = "lwm2m/!campaigns/spring"


class Board:
    """A device with firmware, a package and a component.  `log` is what it was told; what is in `slow` is begun and not ended."""

    def __init__(self, device, slow=()):
        self.device, self.log, self.slow = device, [], set(slow)
        device.resources |= {(5, 0, 1): "", (5, 0, 2): self.does("update", {(5, 0, 3): 0, (5, 0, 5): 1}), (5, 0, 3): 0, (5, 0, 5): 0, (5, 0, 9): 1,
                             (9, 1, 3): "", (9, 1, 7): 0, (9, 1, 9): 0, (9, 1, 12): False, (9, 1, 4): self.does("install", {(9, 1, 7): 4}),
                             (9, 1, 6): self.does("uninstall", {(9, 1, 7): 0}), (9, 1, 10): self.does("activate", {(9, 1, 12): True}),
                             (9, 1, 11): self.does("deactivate", {(9, 1, 12): False})}
        device.lies["PUT", "/5/0/0"] = self.takes("firmware", {(5, 0, 3): 2})
        device.lies["PUT", "/9/1/2"] = self.takes("software", {(9, 1, 7): 3})

    def set(self, values):
        self.device.resources |= values
        for path in ("/" + "/".join(map(str, each)) for each in values):
            if path in self.device.observers:
                self.device.notify(path)

    def takes(self, what, then):
        def take(request):
            self.log.append((what, request.payload))
            if what not in self.slow:
                self.set(then)
            return Message(code=code("2.04"))
        return take

    def does(self, what, then):
        def execute(arguments):
            self.log.append(what)
            if what not in self.slow:
                self.set(then)
        return execute

    def reached(self, what):
        wait_until(lambda: what in [each[0] if isinstance(each, tuple) else each for each in list(self.log)], f"{what} of {self.device.endpoint}")

    @property
    def names(self):
        return [each[0] if isinstance(each, tuple) else each for each in self.log]


class Site:
    """A bridge that is ended and begun again over one store, and its boards."""

    def __init__(self, make_house, file):
        self.make, self.file, self.boards = make_house, file, {}
        self.house = make_house("lwm2m://127.0.0.1:0", store=f"sqlite:{file}")

    def board(self, name, *slow):
        self.boards[name] = Board(self.house.device(name, {}, register=False), slow)
        self.boards[name].device.register()
        return self.boards[name]

    def end(self):
        port = self.house.port
        self.house.bridge.close()
        return port

    def again(self, port=None):
        self.house = self.make(f"lwm2m://127.0.0.1:{self.end() if port is None else port}", store=f"sqlite:{self.file}")
        return self.house

    def campaign(self, *names, **words):
        return self.house.bridge.devices.campaign("spring", list(names), words.pop("package", PACKAGE), **words)

    def over(self):
        """Waits until nothing is under way, as far as the store knows."""
        def rows():
            db = sqlite3.connect(self.file)
            try:
                return db.execute("SELECT count(*) FROM kept WHERE kind = 16").fetchone()[0]
            finally:
                db.close()
        wait_until(lambda: rows() == 0, "the end of the update")

    @property
    def spring(self):
        return Campaign(self.house.bridge.devices, "spring")

    def gathered(self):
        """Others have had their time to come back."""
        self.house.bridge.clock.advance(seconds=3)

    def ask(self, method, path, body=None):
        answer = self.house.http(method, path, body if body is None or isinstance(body, bytes) else json.dumps(body),
                                 **({"Content_Type": "application/json"} if isinstance(body, dict) else {}))
        assert answer.status in (200, 204), answer
        return answer.json if answer.body else None


@pytest.fixture
def site(make_house, tmp_path):
    return Site(make_house, tmp_path / "devices.db")


def test_a_campaign_goes_on_after_a_restart(site):
    slow, others = site.board("lamp-0", "firmware"), [site.board(f"lamp-{n}") for n in (1, 2)]
    site.campaign("lamp-0", "lamp-1", "lamp-2", at_once=1)
    slow.reached("firmware")

    port = site.end()
    slow.slow.clear()
    slow.log.clear()                                                 # it had not been triggered: from the beginning
    site.again(port)
    site.gathered()
    assert site.spring.wait(timeout=60) == {"lamp-0": None, "lamp-1": None, "lamp-2": None}
    assert slow.log == [("firmware", PACKAGE), "update"]
    assert [board.names for board in others] == [["firmware", "update"]] * 2


def test_what_was_triggered_is_not_triggered_twice(site):
    board = site.board("lamp-0", "update")
    site.campaign("lamp-0")
    board.reached("update")
    board.set({(5, 0, 3): 3})

    site.again()
    board.set({(5, 0, 3): 0, (5, 0, 5): 1})
    assert site.spring.wait(timeout=60) == {"lamp-0": None}
    assert board.names == ["firmware", "update"]


def test_what_was_not_heard_of_is_triggered_again(site):
    """Nobody knows whether it was; the device still has its package (State 2)."""
    board = site.board("lamp-0", "update")
    site.campaign("lamp-0")
    board.reached("update")

    port = site.end()
    board.slow.clear()
    site.again(port)
    assert site.spring.wait(timeout=60) == {"lamp-0": None}
    assert board.names == ["firmware", "update", "update"]


def test_tries_pauses_and_outcomes_are_kept(site):
    site.board("lamp-0")
    site.campaign("lamp-0", "lamp-1", retries=2, at_once=1)
    assert site.spring.wait(timeout=60) == {"lamp-0": None, "lamp-1": "not registered"}
    before = site.spring.progress()
    assert before["devices"]["lamp-1"]["tries"] == 3

    site.again()
    assert site.spring.progress() == before
    board = site.board("lamp-1", "firmware")
    site.spring.retry()
    site.gathered()
    board.reached("firmware")
    site.spring.pause()

    site.again()
    assert site.spring.progress()["state"] == "paused"
    board.slow.clear()
    board.set({(5, 0, 3): 2})
    wait_until(lambda: site.spring.progress()["done"] == 2, "the one that was under way")
    site.spring.resume()
    site.gathered()
    assert site.spring.wait(timeout=60) == {"lamp-0": None, "lamp-1": None}

    site.spring.forget()
    site.again()
    assert site.ask("GET", "lwm2m/!campaigns") == []


def test_an_update_of_one_device_goes_on(site):
    board = site.board("lamp-7", "firmware")
    site.ask("POST", "lwm2m/lamp-7/!update-firmware", PACKAGE)
    board.reached("firmware")

    port = site.end()
    board.slow.clear()
    site.again(port)
    site.over()
    assert board.log == [("firmware", PACKAGE)] * 2 + ["update"]

    site.again()                                                     # and that was it
    assert site.house.http("POST", "lwm2m/lamp-7/!cancel-update").status == 404


def test_software_that_is_being_activated(site):
    board = site.board("lamp-7", "activate")
    board.set({(9, 1, 7): 4})
    site.ask("POST", "lwm2m/lamp-7/9/1/!activate-software")
    board.reached("activate")

    port = site.end()
    board.slow.clear()
    site.again(port)
    site.over()
    assert board.log == ["activate", "activate"] and board.device.resources[9, 1, 12] is True


COMPONENTS = {"components": [{"at": "/5/0", "package": base64.b64encode(PACKAGE).decode()},
                             {"at": "/9/1", "package": base64.b64encode(b"software").decode(), "activate": True}]}


@pytest.mark.parametrize("slow, again", [
    ("firmware", ["firmware", "firmware", "software", "update", "install", "activate"]),
    ("software", ["firmware", "software", "uninstall", "software", "update", "install", "activate"]),
    ("install", ["firmware", "software", "update", "install", "install", "activate"]),
    ("activate", ["firmware", "software", "update", "install", "activate", "activate"])])
@pytest.mark.parametrize("many", [False, True])
def test_two_steps_go_on_where_they_were(site, slow, again, many):
    """What is brought is not brought again, what is done not done again."""
    board = site.board("lamp-7", slow)
    if many:
        site.ask("POST", SPRING, {"do": "update-components", "devices": ["lamp-7"], **COMPONENTS})
    else:
        site.ask("POST", "lwm2m/lamp-7/!update-components", COMPONENTS)
    board.reached(slow)
    if slow == "software":
        board.set({(9, 1, 7): 2})                                    # it has all of it, and looks whether it is good

    port = site.end()
    board.slow.clear()
    site.again(port)
    if many:
        assert site.spring.wait(timeout=60) == {"lamp-7": None}
    else:
        site.over()
    assert board.device.resources[9, 1, 12] is True and board.names == again


@pytest.mark.parametrize("many", [False, True])
def test_a_package_that_is_gone_is_said(site, many):
    board = site.board("lamp-7", "firmware")
    if many:
        site.campaign("lamp-7", "lamp-8", at_once=1)
    else:
        site.ask("POST", "lwm2m/lamp-7/!update-firmware", PACKAGE)
    board.reached("firmware")
    board.log.clear()
    port = site.end()
    with sqlite3.connect(site.file) as db:
        assert db.execute("DELETE FROM kept WHERE kind = 16 AND substr(key, -5, 1) = ?", (b"p",)).rowcount == 1
    db.close()

    site.again(port)
    if many:
        site.board("lamp-8")
        site.gathered()
        assert site.spring.wait(timeout=60) == {"lamp-7": "the package is gone", "lamp-8": "the package is gone"}
    else:
        site.over()
    assert not board.log


# ---- kill -9

@pytest.mark.skipif(not {"http", "lwm2m"} <= set(built_adapters()), reason="needs http, lwm2m")
def test_killed_in_the_middle_of_a_campaign(tmp_path):
    """Killed as soon as the order was answered, while one device takes its package, and while one installs it; the devices find it elsewhere."""
    listeners = ("lwm2m://127.0.0.1:0", "http://127.0.0.1:0/resources")
    boards = {}
    (tmp_path / "killed.json").write_text(json.dumps({"store": "sqlite:killed.db"}))

    def start():
        return Bridged("-c", "killed.json", *listeners, log=tmp_path / "bridged.log", cwd=tmp_path).ready(2)

    def kill(bridged):
        bridged.process.kill()
        bridged.process.wait(20)

    def ask(bridged, method, path, body=None):
        with Http(bridged.port("http")) as http:
            return http.request(method, "/resources/" + path, body, **({"Content_Type": "application/json"} if body else {}))

    def come(bridged):
        for board in boards.values():
            board.device.server = bridged.port("lwm2m")
            board.device.move()
            board.device.observers.clear()
            board.device.register()

    bridged = start()
    for name, slow in (("lamp-0", "firmware"), ("lamp-1", "update"), ("lamp-2", "")):
        boards[name] = Board(lwm2m.Device(bridged.port("lwm2m"), name, {}), {slow})
        boards[name].device.register()
    order = {"do": "update-firmware", "devices": list(boards), "package": base64.b64encode(PACKAGE).decode(), "at_once": 3}
    assert ask(bridged, "POST", SPRING, json.dumps(order)).status in (200, 204)
    kill(bridged)

    for name, step in (("lamp-0", "firmware"), ("lamp-1", "update")):
        bridged = start()
        come(bridged)
        boards[name].reached(step)
        kill(bridged)
        boards["lamp-0"].slow.clear()
    boards["lamp-1"].slow.clear()
    bridged = start()
    come(bridged)
    wait_until(lambda: ask(bridged, "GET", SPRING).json["state"] == "over", "the campaign")
    assert {name: each["state"] for name, each in ask(bridged, "GET", SPRING).json["devices"].items()} == dict.fromkeys(boards, "done")
    bridged.end()
    for board in boards.values():
        board.device.close()
