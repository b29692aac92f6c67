"""Firmware update (object 5): push and pull, its states, every result, restarts in the middle (LwM2M 1.1 E.6)."""
import json

import pytest

from peers import coap
from peers.coap import Message, code
from peers.lwm2m import heard

PACKAGE = bytes(range(256)) * 20


class Board:
    """A device with a firmware object that does as the specification says."""

    def __init__(self, house, result=1, method=2, name="lamp-7", at_once=False, **words):
        self.house, self.result, self.at_once = house, result, at_once
        self.device = house.device(name, {
            (5, 0, 0): b"", (5, 0, 1): "", (5, 0, 2): self.update, (5, 0, 3): 0, (5, 0, 5): 0, (5, 0, 9): method}, **words)
        self.device.lies["PUT", "/5/0/0"] = self.push
        self.device.lies["PUT", "/5/0/1"] = self.take_uri
        self.package = self.uri = None
        self.updates = 0

    def set(self, state, result=0):
        self.device.resources[5, 0, 3], self.device.resources[5, 0, 5] = state, result
        for path in ("/5/0/5", "/5/0/3"):
            if path in self.device.observers:
                self.device.notify(path)

    def settle(self):
        """What the bridge asked until now is answered: requests wait in order (NSTART), and this one is behind them."""
        assert self.house.http("GET", "lwm2m/lamp-7/5/0/9").status == 200

    def push(self, request):
        self.package = request.payload
        self.device.resources[5, 0, 3] = 2
        return Message(code=code("2.04"))

    def take_uri(self, request):
        self.uri = request.payload.decode()
        self.device.resources[5, 0, 3], self.device.resources[5, 0, 5] = int(bool(self.uri)), 0
        return Message(code=code("2.04"))

    def update(self, arguments):
        self.updates += 1
        self.device.resources[5, 0, 3] = 3
        if self.at_once:  # done before anybody looks
            self.device.resources[5, 0, 3], self.device.resources[5, 0, 5] = 0, self.result
            for path in ("/5/0/5", "/5/0/3"):
                self.device.notify(path)


def steps(client, until=("updated", "failed")):
    out = []
    while True:
        _, told = heard(client)
        out.append(told["firmware"])
        if told["firmware"] in until:
            return out, told


@pytest.fixture
def watcher(house):
    return house.mqtt("lwm2m/lamp-7/!firmware")


def begin(house, **words):
    answer = house.http("POST", "lwm2m/lamp-7/!update-firmware" + words.get("query", ""), words.get("body", PACKAGE),
                        Content_Type=words.get("kind", "application/octet-stream"))
    assert answer.status in (200, 204), answer
    return answer


def test_push(house, watcher):
    board = Board(house)
    begin(house)
    assert steps(watcher, ("updating",))[0] == ["looking", "resetting", "sending", "downloading", "triggering", "updating"]
    assert board.package == PACKAGE and board.updates == 1

    board.set(0, 1)
    assert steps(watcher)[0] == ["updated"]


def test_push_and_a_restart(house, watcher):
    board = Board(house)
    begin(house)
    steps(watcher, ("updating",))

    board.device.observers.clear()
    board.device.resources[5, 0, 3], board.device.resources[5, 0, 5] = 0, 1
    board.device.register()

    assert steps(watcher)[0] == ["updated"]


def test_a_device_that_leaves_to_restart_is_waited_for(house, watcher):
    board = Board(house)
    begin(house)
    steps(watcher, ("updating",))

    board.device.deregister()
    board.device.observers.clear()
    board.device.resources[5, 0, 3], board.device.resources[5, 0, 5] = 0, 1
    board.device.register()

    assert steps(watcher)[0][-1] == "updated"


@pytest.mark.parametrize("result, why", [
    (2, "not enough flash memory"), (3, "out of memory"), (4, "connection lost while downloading"), (5, "integrity check failed"),
    (6, "unsupported package type"), (7, "invalid URI"), (8, "update failed"), (9, "unsupported protocol"), (99, "unknown result")])
def test_every_result_is_told(house, watcher, result, why):
    board = Board(house)
    begin(house)
    steps(watcher, ("updating",))
    board.set(0, result)

    told = steps(watcher)[1]
    assert (told["firmware"], told["result"], told["why"]) == ("failed", result, why)


def test_pull_from_us(house, watcher):
    board = Board(house, method=0)
    begin(house)
    steps(watcher, ("downloading",))
    assert board.uri.startswith(f"coap://127.0.0.1:{house.port}/fw/")

    with coap.Socket(house.port) as device:
        assert device.get_all(board.uri.split("/", 3)[3], 256) == PACKAGE
        board.settle()
        board.set(2)
        steps(watcher, ("updating",))
        assert device.get(board.uri.split("/", 3)[3]).says == "4.04"  # it has it: the URL is over
        board.set(0, 1)
        assert steps(watcher)[1]["firmware"] == "updated"
        assert device.get(board.uri.split("/", 3)[3]).says == "4.04"
        assert device.get("fw/" + "a" * 16).says == "4.04"


def test_pull_from_elsewhere(house, watcher):
    board = Board(house)
    begin(house, body=json.dumps({"uri": "coaps://files.example/fw.bin"}), kind="application/json")
    steps(watcher, ("downloading",))

    assert board.uri == "coaps://files.example/fw.bin"
    board.settle()
    board.set(0, 7)
    assert steps(watcher)[1]["why"] == "invalid URI"


def test_a_device_that_refuses(house, watcher):
    board = Board(house)
    board.device.lies["PUT", "/5/0/0"] = lambda request: Message(code=code("4.15"))
    begin(house)

    assert steps(watcher)[1]["why"] == "sending: content format not understood"


def test_one_at_a_time_and_it_may_be_canceled(house, watcher):
    Board(house)
    begin(house)
    steps(watcher, ("updating",))

    assert house.http("POST", "lwm2m/lamp-7/!update-firmware", PACKAGE).status == 409
    assert house.http("POST", "lwm2m/lamp-7/!cancel-update").status == 204
    assert steps(watcher)[1]["why"] == "canceled"
    assert house.http("POST", "lwm2m/lamp-7/!cancel-update").status == 404


def test_time_is_up(house, watcher):
    Board(house, lifetime=86400)
    begin(house)
    steps(watcher, ("updating",))
    house.bridge.clock.advance(seconds=3601)

    assert steps(watcher)[1]["why"] == "time is up"


def test_as_one_call(house, tmp_path):
    from libbridge import FirmwareError
    board = Board(house, at_once=True)
    (tmp_path / "fw.bin").write_bytes(PACKAGE)
    seen = []
    house.bridge.devices["lamp-7"].update_firmware(tmp_path / "fw.bin", progress=seen.append)
    assert seen[0] == "looking" and seen[-1] == "updated" and board.package == PACKAGE

    board.result = 5
    with pytest.raises(FirmwareError, match="integrity") as failed:
        house.bridge.devices["lamp-7"].update_firmware(PACKAGE)
    assert failed.value.result == 5


def test_a_campaign(house):
    boards = {f"lamp-{n}": Board(house, name=f"lamp-{n}", at_once=True, result=8 if n == 3 else 1) for n in range(6)}
    outcome = house.bridge.devices.update_firmware([*boards, "nobody"], PACKAGE, at_once=3, retries=1)

    assert {name for name, why in outcome.items() if why is None} == set(boards) - {"lamp-3"}
    assert outcome["lamp-3"] == "update failed" and boards["lamp-3"].updates == 2
    assert outcome["nobody"] is not None
