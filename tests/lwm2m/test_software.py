"""Software management (object 9, LWM2M_SwMgmt 1.0): packages by push and pull, activation, every result, restarts in the middle."""
import json

import pytest

from libbridge import Conflict, NotFound, SoftwareError
from peers import coap
from peers.coap import Message, code
from peers.lwm2m import heard

PACKAGE = bytes(range(256)) * 20
INITIAL, DOWNLOADING, DOWNLOADED, DELIVERED, INSTALLED = range(5)
OVER = ("installed", "activated", "deactivated", "uninstalled", "failed")


class Board:
    """A device with one package, instance 1, that does as the specification says; `slow` ones are told how it went on."""

    def __init__(self, house, state=INITIAL, active=False, result=0, slow=(), **words):
        self.house, self.slow, self.package, self.uri, self.log = house, slow, None, None, []
        self.device = house.device("lamp-7", {
            (9, 1, 0): "app", (9, 1, 1): "1.0", (9, 1, 2): b"", (9, 1, 3): "", (9, 1, 7): state, (9, 1, 9): result, (9, 1, 12): active,
            (9, 1, 4): self.install, (9, 1, 6): self.uninstall, (9, 1, 10): self.activate, (9, 1, 11): self.deactivate}, **words)
        self.device.lies["PUT", "/9/1/2"] = self.push
        self.device.lies["PUT", "/9/1/3"] = self.take_uri

    def set(self, state=None, result=None, active=None):
        for resource, value in (9, result), (7, state), (12, active):
            if value is not None:
                self.device.resources[9, 1, resource] = value
                if f"/9/1/{resource}" in self.device.observers:
                    self.device.notify(f"/9/1/{resource}")

    def settle(self):
        """What the bridge asked until now is answered: requests wait in order (NSTART), and this one is behind them."""
        assert self.house.http("GET", "lwm2m/lamp-7/9/1/0").status == 200

    def push(self, request):
        self.package = request.payload
        self.set(DELIVERED, 3)
        return Message(code=code("2.04"))

    def take_uri(self, request):
        self.uri = request.payload.decode()
        self.set(DOWNLOADING, 1)
        return Message(code=code("2.04"))

    def _execute(self, name, **then):
        self.log.append(name)
        if name not in self.slow:
            self.set(**then)

    def install(self, arguments):
        self._execute("install", state=INSTALLED, result=2)

    def uninstall(self, arguments):
        self._execute("uninstall " + arguments.decode(), state=INITIAL, result=0, active=False)

    def activate(self, arguments):
        self._execute("activate", active=True)

    def deactivate(self, arguments):
        self._execute("deactivate", active=False)


def steps(client, until=OVER):  # with "installing" State and Result are observed, with the steps before it they may not be yet: settle()
    out = []
    while True:
        _, told = heard(client)
        assert told["instance"] == 1
        out.append(told["software"])
        if told["software"] in until:
            return out, told


@pytest.fixture
def watcher(house):
    return house.mqtt("lwm2m/lamp-7/!software")


def ask(house, verb, body=None, kind="application/octet-stream", status=204):
    answer = house.http("POST", f"lwm2m/lamp-7/9/1/!{verb}", body, **({"Content_Type": kind} if body else {}))
    assert answer.status == status, answer


def test_push(house, watcher):
    board = Board(house)
    ask(house, "install-software", PACKAGE)

    assert steps(watcher)[0] == ["looking", "sending", "downloading", "triggering", "installing", "installed"]
    assert board.package == PACKAGE and board.log == ["install"]


def test_installing_takes_its_time(house, watcher):
    board = Board(house, slow=["install"])
    ask(house, "install-software", PACKAGE)
    assert steps(watcher, ("installing",))[0] == ["looking", "sending", "downloading", "triggering", "installing"]

    board.set(INSTALLED, 2)
    assert steps(watcher)[0] == ["installed"]


def test_the_device_is_slow_to_check_what_it_got(house, watcher):
    board = Board(house)

    def push(request):
        board.package = request.payload
        board.set(DOWNLOADED, 1)
        return Message(code=code("2.04"))
    board.device.lies["PUT", "/9/1/2"] = push
    ask(house, "install-software", PACKAGE)
    steps(watcher, ("downloading",))
    board.settle()
    assert board.log == []

    board.set(DELIVERED, 3)
    assert steps(watcher)[1]["software"] == "installed"
    assert board.log == ["install"]


@pytest.mark.parametrize("state, said", [(INSTALLED, "uninstall 1"), (DELIVERED, "uninstall "), (DOWNLOADED, "uninstall ")])
def test_what_is_there_is_replaced(house, watcher, state, said):
    board = Board(house, state=state, result=2)
    ask(house, "install-software", PACKAGE)

    assert "resetting" in steps(watcher)[0]
    assert board.log == [said, "install"] and board.package == PACKAGE


@pytest.mark.parametrize("result, why", [
    (50, "not enough storage"), (51, "out of memory"), (52, "connection lost while downloading"), (53, "integrity check failed"),
    (54, "unsupported package type"), (55, "unknown result"), (56, "invalid URI"), (57, "device defined update error"),
    (58, "installation failed"), (99, "unknown result")])
def test_every_result_is_told(house, watcher, result, why):
    board = Board(house, slow=["install"])
    ask(house, "install-software", PACKAGE)
    steps(watcher, ("installing",))
    board.set(result=result)

    told = steps(watcher)[1]
    assert (told["software"], told["result"], told["why"]) == ("failed", result, why)


def test_results_that_are_none_yet(house, watcher):
    board = Board(house, slow=["install"])
    ask(house, "install-software", PACKAGE)
    steps(watcher, ("installing",))
    board.set(result=17)
    board.set(INSTALLED)

    assert steps(watcher)[0] == ["installed"]


def test_a_restart_in_the_middle(house, watcher):
    board = Board(house, slow=["install"])
    ask(house, "install-software", PACKAGE)
    steps(watcher, ("installing",))

    board.device.deregister()
    board.device.observers.clear()
    board.device.resources[9, 1, 7], board.device.resources[9, 1, 9] = INSTALLED, 2
    board.device.register()
    assert steps(watcher)[0] == ["installed"]


def fetch(house, board):
    assert board.uri.startswith(f"coap://127.0.0.1:{house.port}/fw/")
    with coap.Socket(house.port) as device:
        assert device.get_all(board.uri.split("/", 3)[3], 256) == PACKAGE
    board.settle()
    board.set(DELIVERED, 3)


def test_pull_from_us(house, watcher):
    board = Board(house)
    ask(house, "pull-software", PACKAGE)
    steps(watcher, ("downloading",))
    fetch(house, board)

    assert steps(watcher)[1]["software"] == "installed"
    with coap.Socket(house.port) as device:
        assert device.get(board.uri.split("/", 3)[3]).says == "4.04"


def test_a_device_that_takes_no_packages_pulls(house, watcher):
    board = Board(house)
    board.device.lies["PUT", "/9/1/2"] = lambda request: Message(code=code("4.05"))
    ask(house, "install-software", PACKAGE)
    steps(watcher, ("downloading",))
    fetch(house, board)

    assert steps(watcher)[1]["software"] == "installed"


def test_pull_from_elsewhere(house, watcher):
    board = Board(house)
    ask(house, "install-software", json.dumps({"uri": "coaps://files.example/app.pkg"}), "application/json")
    steps(watcher, ("downloading",))

    assert board.uri == "coaps://files.example/app.pkg"
    board.settle()
    board.set(INITIAL, 56)
    assert steps(watcher)[1]["why"] == "invalid URI"


def test_activation(house, watcher):
    board = Board(house, state=INSTALLED, slow=["activate"])
    ask(house, "activate-software")
    assert steps(watcher, ("activating",))[0] == ["looking", "triggering", "activating"]
    board.settle()
    board.set(active=True)
    assert steps(watcher)[0] == ["activated"]

    ask(house, "activate-software")  # again: it is so already
    assert steps(watcher)[1]["software"] == "activated"
    ask(house, "deactivate-software")
    assert steps(watcher)[0] == ["looking", "triggering", "deactivating", "deactivated"]
    ask(house, "uninstall-software")
    assert steps(watcher)[0] == ["looking", "triggering", "uninstalling", "uninstalled"]
    assert board.log == ["activate", "activate", "deactivate", "uninstall "]

    ask(house, "activate-software")
    assert steps(watcher)[1]["why"] == "it is not installed"


def test_uninstalling_fails(house, watcher):
    board = Board(house, state=INSTALLED, slow=["uninstall "])
    ask(house, "uninstall-software")
    steps(watcher, ("uninstalling",))
    board.settle()
    board.set(result=59)

    told = steps(watcher)[1]
    assert (told["software"], told["result"], told["why"]) == ("failed", 59, "uninstallation failed")


def test_a_device_that_refuses(house, watcher):
    board = Board(house, state=INSTALLED)
    board.device.lies["POST", "/9/1/10"] = lambda request: Message(code=code("4.05"))
    ask(house, "activate-software")
    assert steps(watcher)[1]["why"].startswith("triggering: ")

    board.device.lies["GET", "/9/1/7"] = lambda request: Message(code=code("4.04"))
    ask(house, "install-software", PACKAGE)
    assert steps(watcher)[1]["why"].startswith("looking: ")


def test_what_is_asked_wrongly(house):
    Board(house)
    ask(house, "install-software", None, status=400)
    ask(house, "install-software", '{"url": "coap://x"}', "application/json", status=400)
    for wrong in "9", "9/1/2", "5/0", "":
        assert house.http("POST", f"lwm2m/lamp-7/{wrong}/!activate-software".replace("//", "/")).status == 404


def test_one_at_a_time_and_it_may_be_canceled(house, watcher):
    Board(house, slow=["install"])
    ask(house, "install-software", PACKAGE)
    steps(watcher, ("installing",))

    ask(house, "activate-software", status=409)
    assert house.http("POST", "lwm2m/lamp-7/!update-firmware", PACKAGE).status == 409
    assert house.http("POST", "lwm2m/lamp-7/!cancel-update").status == 204
    assert steps(watcher)[1]["why"] == "canceled"


def test_time_is_up(house, watcher):
    Board(house, state=INSTALLED, slow=["activate"], lifetime=86400)
    ask(house, "activate-software")
    steps(watcher, ("activating",))
    house.bridge.clock.advance(seconds=3601)

    assert steps(watcher)[1]["why"] == "time is up"


def test_as_one_call(house, tmp_path):
    board = Board(house)
    (tmp_path / "app.pkg").write_bytes(PACKAGE)
    lamp, seen = house.bridge.devices["lamp-7"], []
    lamp.install_software(1, tmp_path / "app.pkg", activate=True, progress=seen.append)
    assert seen[0] == "looking" and "installed" in seen and seen[-1] == "activated"
    assert board.package == PACKAGE and board.log == ["install", "activate"]

    lamp.deactivate_software(1)
    lamp.uninstall_software(1)
    with pytest.raises(SoftwareError, match="not installed"):
        lamp.activate_software(1)
    with pytest.raises(NotFound):
        house.bridge.devices["nobody"].install_software(1, PACKAGE)


def test_as_one_call_that_fails(house, watcher):
    board = Board(house)
    board.device.lies["PUT", "/9/1/2"] = lambda request: (board.set(INITIAL, 53), Message(code=code("2.04")))[1]
    with pytest.raises(SoftwareError, match="integrity") as failed:
        house.bridge.devices["lamp-7"].install_software(1, PACKAGE)
    assert failed.value.result == 53

    board.slow = ["activate"]
    board.device.resources[9, 1, 7] = INSTALLED
    ask(house, "activate-software")
    with pytest.raises(Conflict):
        house.bridge.devices["lamp-7"].deactivate_software(1)
