"""Campaigns: one update of many devices, by each verb; and several components of one device (parts.c)."""
import json

import pytest

from libbridge import Campaign, ComponentsError, Conflict, NotFound, SoftwareError, Unprocessable
from peers.coap import Message, code
from peers.lwm2m import heard

PACKAGE = bytes(range(256)) * 8
BOUND = 60


class Board:
    """A device with firmware (/5/0), packages (/9/1, /9/2) and a component (/14/0).  `log` is what it was told to do; what is in `broken`
    fails; what is in `slow` waits until set() says how it went on."""

    def __init__(self, house, name="lamp-7", broken=(), slow=()):
        self.log, self.broken, self.slow = [], set(broken), set(slow)
        resources = {(5, 0, 1): "", (5, 0, 2): self.does("/5/0", "update", {5: 1, 3: 0}, {5: 8, 3: 0}), (5, 0, 3): 0, (5, 0, 5): 0,
                     (5, 0, 9): 2, (14, 0, 0): "part", (14, 0, 5): False,
                     (14, 0, 3): self.does("/14/0", "activate", {5: True}), (14, 0, 4): self.does("/14/0", "deactivate", {5: False})}
        for n in (1, 2):
            resources |= {(9, n, 2): b"", (9, n, 3): "", (9, n, 7): 0, (9, n, 9): 0, (9, n, 12): False,
                          (9, n, 4): self.does(f"/9/{n}", "install", {9: 2, 7: 4}, {9: 58, 7: 3}),
                          (9, n, 6): self.does(f"/9/{n}", "uninstall", {7: 0}),
                          (9, n, 10): self.does(f"/9/{n}", "activate", {12: True}),
                          (9, n, 11): self.does(f"/9/{n}", "deactivate", {12: False})}
        self.device = house.device(name, resources)
        self.device.lies["PUT", "/5/0/0"] = self.takes("/5/0", {3: 2})
        for n in (1, 2):
            self.device.lies["PUT", f"/9/{n}/2"] = self.takes(f"/9/{n}", {7: 3})

    def set(self, at, values):
        o, i = map(int, at.strip("/").split("/"))
        for resource, value in values.items():
            self.device.resources[o, i, resource] = value
        for resource in values:
            if f"{at}/{resource}" in self.device.observers:
                self.device.notify(f"{at}/{resource}")

    def takes(self, at, then):
        def take(request):
            self.log.append(f"package {at}")
            if f"package {at}" in self.broken:
                return Message(code=code("5.00"))
            if f"package {at}" not in self.slow:
                self.set(at, then)
            return Message(code=code("2.04"))
        return take

    def does(self, at, what, good, bad=None):
        def execute(arguments):
            self.log.append(f"{what} {at}")
            if f"{what} {at}" not in self.slow:
                self.set(at, bad if bad and f"{what} {at}" in self.broken else good)
        return execute


@pytest.fixture
def watch(house):
    client = house.mqtt("lwm2m/!campaigns/spring/!progress")

    def watch(wanted):
        """The first news of which that is so."""
        while True:
            _, told = heard(client)
            if wanted(told):
                return told
    return watch


def over(told):
    return told["state"] == "over"


def boards_of(house, count, **words):
    return {f"lamp-{n}": Board(house, f"lamp-{n}", **words) for n in range(count)}


# ---- Many devices

def test_software_comes_to_all(house, watch):
    boards = boards_of(house, 5)
    campaign = house.bridge.devices.campaign("spring", boards, PACKAGE, do="install-software", instance=1, at_once=2)

    assert campaign.wait(timeout=BOUND) == dict.fromkeys(boards)
    assert all(board.log == ["package /9/1", "install /9/1"] for board in boards.values())
    told = watch(over)
    assert (told["total"], told["done"], told["failed"], told["waiting"], told["busy"]) == (5, 5, 0, 0, 0)


@pytest.mark.parametrize("do, wanted", [("activate-software", "activate /9/1"), ("deactivate-software", "deactivate /9/1"),
                                        ("uninstall-software", "uninstall /9/1"), ("activate-component", "activate /14/0"),
                                        ("deactivate-component", "deactivate /14/0"), ("update-firmware", "update /5/0")])
def test_whatever_one_device_can_be_told(house, do, wanted):
    boards = boards_of(house, 3)
    for board in boards.values():
        board.device.resources[9, 1, 7] = 4
    campaign = house.bridge.devices.campaign("spring", "all", PACKAGE if "update" in do else None, do=do, instance=int("software" in do))

    assert campaign.wait(timeout=BOUND) == dict.fromkeys(boards)
    assert all(board.log[-1] == wanted for board in boards.values())


def test_so_many_at_once(house, watch):
    boards = boards_of(house, 4, slow=["update /5/0"])
    phone = house.mqtt("lwm2m/+/!firmware")
    campaign = house.bridge.devices.campaign("spring", boards, PACKAGE, at_once=2)
    for done in range(4):
        while (news := heard(phone)[1])["firmware"] != "updating":
            assert news["firmware"] != "failed"
        now = campaign.progress()
        assert now["busy"] <= 2 and now["done"] + now["busy"] + now["waiting"] == 4
        boards[news["ep"]].set("/5/0", {5: 1, 3: 0})
    assert campaign.wait(timeout=BOUND) == dict.fromkeys(boards)


def test_pause_and_resume(house, watch):
    boards = boards_of(house, 3, slow=["update /5/0"])
    phone = house.mqtt("lwm2m/lamp-0/!firmware")
    campaign = house.bridge.devices.campaign("spring", boards, PACKAGE, at_once=1)
    while heard(phone)[1]["firmware"] != "updating":
        pass
    campaign.pause()
    boards["lamp-0"].set("/5/0", {5: 1, 3: 0})

    assert watch(lambda told: told["done"] == 1)["state"] == "paused"  # what is under way goes on
    assert campaign.progress()["waiting"] == 2 and not boards["lamp-1"].log
    with pytest.raises(Conflict):
        campaign.pause()
    for board in boards.values():
        board.slow.clear()
    campaign.resume()
    assert campaign.wait(timeout=BOUND) == dict.fromkeys(boards)


def test_each_is_tried_again(house, watch):
    boards = boards_of(house, 2)
    boards["lamp-1"].broken.add("install /9/1")
    campaign = house.bridge.devices.campaign("spring", boards, PACKAGE, do="install-software", instance=1, retries=2)

    assert campaign.wait(timeout=BOUND) == {"lamp-0": None, "lamp-1": "installation failed"}
    assert campaign.progress()["devices"]["lamp-1"] == {"state": "failed", "tries": 3, "result": 58, "why": "installation failed"}
    assert boards["lamp-1"].log.count("install /9/1") == 3


def test_what_failed_is_done_again_when_told(house):
    boards = boards_of(house, 2, broken=["package /5/0"])
    campaign = house.bridge.devices.campaign("spring", [*boards, "nobody"], PACKAGE)
    outcome = campaign.wait(timeout=BOUND)
    assert outcome.pop("nobody") == "not registered" and all(why.startswith("sending") for why in outcome.values())
    for board in boards.values():
        board.broken.clear()
    campaign.retry()
    assert campaign.wait(timeout=BOUND) == {"lamp-0": None, "lamp-1": None, "nobody": "not registered"}


def test_stop_ends_what_has_not_been_triggered(house):
    boards = boards_of(house, 3)
    boards["lamp-0"].slow.add("update /5/0")
    boards["lamp-1"].slow.add("package /5/0")
    one, two = house.mqtt("lwm2m/lamp-0/!firmware"), house.mqtt("lwm2m/lamp-1/!firmware")
    campaign = house.bridge.devices.campaign("spring", boards, PACKAGE, at_once=2)
    while heard(one)[1]["firmware"] != "updating":
        pass
    while heard(two)[1]["firmware"] != "downloading":
        pass
    campaign.stop()

    assert campaign.outcome() == {"lamp-0": "busy", "lamp-1": "stopped", "lamp-2": "left"}
    boards["lamp-0"].set("/5/0", {5: 1, 3: 0})
    assert campaign.wait(timeout=BOUND) == {"lamp-0": None, "lamp-1": "stopped", "lamp-2": "left"}
    assert not boards["lamp-2"].log
    with pytest.raises(Conflict):
        campaign.stop()


def test_a_device_that_leaves_fails_its_try(house):
    boards = boards_of(house, 1, slow=["package /5/0"])
    phone = house.mqtt("lwm2m/lamp-0/!firmware")
    campaign = house.bridge.devices.campaign("spring", boards, PACKAGE)
    while heard(phone)[1]["firmware"] != "downloading":
        pass
    boards["lamp-0"].device.deregister()
    assert campaign.wait(timeout=BOUND) == {"lamp-0": "the device has left"}


def test_over_http_like_anything_else(house):
    Board(house)
    say = json.dumps({"do": "install-software", "instance": 2, "devices": ["lamp-7"], "package": "QUJD"}).encode()
    assert house.http("POST", "lwm2m/!campaigns/autumn", say, Content_Type="application/json").status == 204
    assert Campaign(house.bridge.devices, "autumn").wait(timeout=BOUND) == {"lamp-7": None}
    assert json.loads(house.http("GET", "lwm2m/!campaigns/autumn").body)["devices"]["lamp-7"]["state"] == "done"
    assert [each["campaign"] for each in json.loads(house.http("GET", "lwm2m/!campaigns").body)] == ["autumn"]

    assert house.http("POST", "lwm2m/!campaigns/autumn/!dance").status == 404
    assert house.http("DELETE", "lwm2m/!campaigns/autumn").status == 204
    assert house.http("GET", "lwm2m/!campaigns/autumn").status == 404
    assert json.loads(house.http("GET", "lwm2m/").body)[0]["ep"] == "lamp-7"


@pytest.mark.parametrize("say", [b"", b"{}", b"[]", b'{"devices":["a"]}', b'{"devices":["a"],"do":"dance"}', b'{"devices":[1],"package":"QUJD"}',
                                 b'{"devices":"some","package":"QUJD"}', b'{"devices":["a"],"package":"?!"}',
                                 b'{"devices":["a"],"package":"QUJD","method":"pigeon"}', b'{"devices":["a"],"do":"update-components"}'])
def test_what_is_no_campaign(house, say):
    assert house.http("POST", "lwm2m/!campaigns/bad", say, Content_Type="application/json").status in (400, 422)
    assert house.http("GET", "lwm2m/!campaigns/bad").status == 404


def test_one_of_a_name_and_it_may_be_given_up(house):
    boards = boards_of(house, 1, slow=["package /5/0"])
    devices = house.bridge.devices
    campaign = devices.campaign("spring", boards, PACKAGE)
    with pytest.raises(Conflict):
        devices.campaign("spring", boards, PACKAGE)
    campaign.forget()
    with pytest.raises(NotFound):
        campaign.progress()
    boards["lamp-0"].slow.clear()
    assert devices.campaign("spring", boards, PACKAGE).wait(timeout=BOUND) == {"lamp-0": None}


def test_a_bridge_that_ends_in_the_middle(make_house):
    house = make_house()
    boards = boards_of(house, 3, slow=["package /5/0", "package /9/1"])
    house.bridge.devices.campaign("spring", boards, PACKAGE, at_once=2)
    house.bridge.devices.campaign("autumn", boards, {"/9/1": PACKAGE}, do="update-components")
    house.bridge.close()


# ---- Several components of one device

def test_all_are_brought_then_each_is_triggered(house):
    board, seen = Board(house), []
    house.bridge.devices["lamp-7"].update_components({"/9/2": PACKAGE, "/14/0": None, "/9/1": PACKAGE, "/5/0": PACKAGE}, timeout=BOUND,
                                                     progress=seen.append)

    assert board.log == ["package /9/2", "package /9/1", "package /5/0", "install /9/2", "activate /9/2", "activate /14/0", "install /9/1",
                         "activate /9/1", "update /5/0"]
    assert seen[0] == "downloading /9/2" and seen[-1] == "updated"


def test_when_one_cannot_be_brought_nothing_is_triggered(house):
    board = Board(house, broken=["package /9/1"])
    with pytest.raises(ComponentsError, match="/9/1: sending") as failed:
        house.bridge.devices["lamp-7"].update_components({"/9/2": PACKAGE, "/9/1": PACKAGE, "/5/0": PACKAGE}, timeout=BOUND)

    assert (failed.value.at, failed.value.done, failed.value.left) == ("/9/1", [], ["/9/2", "/9/1", "/5/0"])
    assert board.log == ["package /9/2", "package /9/1"]


def test_when_one_fails_the_rest_is_left_alone(house):
    board = Board(house, broken=["install /9/1"])
    with pytest.raises(ComponentsError, match="/9/1: installation failed") as failed:
        house.bridge.devices["lamp-7"].update_components({"/9/2": PACKAGE, "/9/1": PACKAGE, "/5/0": PACKAGE}, activate=False, timeout=BOUND)

    assert (failed.value.at, failed.value.done, failed.value.left) == ("/9/1", ["/9/2"], ["/9/1", "/5/0"])
    assert failed.value.result == 58
    assert board.log[-2:] == ["install /9/2", "install /9/1"]


def test_components_of_many(house):
    boards = boards_of(house, 3)
    boards["lamp-1"].broken.add("package /9/2")
    campaign = house.bridge.devices.campaign("spring", boards, {"/9/1": PACKAGE, "/9/2": PACKAGE}, do="update-components")
    outcome = campaign.wait(timeout=BOUND)
    assert {name for name, why in outcome.items() if why} == {"lamp-1"}
    assert boards["lamp-1"].log == ["package /9/1", "package /9/2"]
    assert boards["lamp-2"].log[-1] == "activate /9/2"


def test_a_component_as_one_call(house):
    board = Board(house)
    lamp = house.bridge.devices["lamp-7"]
    lamp.activate_component(0, timeout=BOUND)
    lamp.deactivate_component(0, timeout=BOUND)
    assert board.log == ["activate /14/0", "deactivate /14/0"]
    assert house.bridge.get("lwm2m/lamp-7/14/0/5").value is False

    board.device.lies["POST", "/14/0/3"] = lambda request: Message(code=code("4.05"))
    with pytest.raises(SoftwareError, match="triggering"):
        lamp.activate_component(0, timeout=BOUND)


@pytest.mark.parametrize("components", [{}, {"/3/0": PACKAGE}, {"/9": PACKAGE}, {"/9/1": None}, {"nowhere": PACKAGE}])
def test_what_are_no_components(house, components):
    Board(house)
    with pytest.raises(Unprocessable):
        house.bridge.devices["lamp-7"].update_components(components, timeout=BOUND)


def test_one_update_at_a_time(house):
    Board(house, slow=["package /9/1"])
    lamp = house.bridge.devices["lamp-7"]
    house.bridge.request("POST", "lwm2m/lamp-7/!update-components", {"components": [{"at": "/9/1", "package": "QUJD"}]})
    with pytest.raises(Conflict):
        lamp.update_components({"/9/2": PACKAGE}, timeout=BOUND)


def test_a_list_of_firmwares(house):
    """Object 33629 is object 5 with several instances."""
    lamp = house.device("lamp-7", {(33629, 2, 0): b"", (33629, 2, 1): "", (33629, 2, 3): 0, (33629, 2, 5): 0, (33629, 2, 9): 1})

    def push(request):
        lamp.resources[33629, 2, 3] = 2
        return Message(code=code("2.04"))

    def update(arguments):
        lamp.resources[33629, 2, 3], lamp.resources[33629, 2, 5] = 0, 1
        for resource in (5, 3):
            lamp.notify(f"/33629/2/{resource}")
    lamp.lies["PUT", "/33629/2/0"] = push
    lamp.resources[33629, 2, 2] = update
    phone = house.mqtt("lwm2m/lamp-7/!firmware")
    house.bridge.request("POST", "lwm2m/lamp-7/33629/2/!update-firmware", PACKAGE, format=42)
    while (told := heard(phone)[1])["firmware"] not in ("updated", "failed"):
        pass
    assert (told["firmware"], told["object"], told["instance"]) == ("updated", 33629, 2)
