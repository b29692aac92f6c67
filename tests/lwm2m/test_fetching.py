"""How a package gets to its device: pushed, or fetched from us over CoAP or HTTP at a one-time URL; curl is the device's downloader."""
import threading
import time

import pytest

from libbridge import FirmwareError
from peers import coap
from peers.certificates import Authority
from peers.coap import Message, code
from peers.lwm2m import heard
from peers.process import run
from peers.tools import need

PACKAGE = bytes(range(256)) * 20
COAP, COAPS, HTTP, HTTPS = range(4)
BOUND = 60


class Board:
    """A device with a firmware object: method is its 5/0/9, protocols its 5/0/8; `fetch` (a function of the URL) downloads by itself."""

    def __init__(self, house, method=2, protocols=None, fetch=None, name="lamp-7"):
        self.house, self.fetch, self.package, self.uri = house, fetch, None, None
        resources = {(5, 0, 0): b"", (5, 0, 1): "", (5, 0, 2): self.update, (5, 0, 3): 0, (5, 0, 5): 0, (5, 0, 9): method}
        if protocols is not None:
            resources[5, 0, 8] = dict(enumerate(protocols))
        self.name, self.device = name, house.device(name, resources)
        self.device.lies["PUT", "/5/0/0"] = self.push
        self.device.lies["PUT", "/5/0/1"] = self.take_uri

    def set(self, state, result=0):
        self.device.resources[5, 0, 3], self.device.resources[5, 0, 5] = state, result
        for path in ("/5/0/5", "/5/0/3"):
            if path in self.device.observers:
                self.device.notify(path)

    def settle(self):
        """What the bridge asked until now is answered: requests wait in order (NSTART), and this one is behind them."""
        assert self.house.http("GET", f"lwm2m/{self.name}/5/0/9").status == 200

    def push(self, request):
        self.package = request.payload
        self.device.resources[5, 0, 3] = 2
        return Message(code=code("2.04"))

    def take_uri(self, request):
        self.uri = request.payload.decode()
        self.device.resources[5, 0, 3], self.device.resources[5, 0, 5] = int(bool(self.uri)), 0
        if self.uri and self.fetch:
            threading.Thread(target=self.download, args=(self.uri,)).start()
        return Message(code=code("2.04"))

    def download(self, uri):
        self.package = self.fetch(uri)
        while not {"/5/0/3", "/5/0/5"} <= self.device.observers.keys() and self.device._running:
            time.sleep(0.01)  # it is told how it went on by observing, and else only if it asks again
        self.set(2)

    def update(self, arguments):
        self.set(0, 1)


def curl(url, *options):
    """The status and the body."""
    done = run(need("curl"), "-sS", "-m", BOUND, *options, "-w", "\n%{http_code}", url, timeout=2 * BOUND)
    body, _, status = done.stdout.rpartition(b"\n")
    return int(status), body


def by_curl(uri):
    return curl(uri)[1]


def by_coap(uri):
    host, path = uri.removeprefix("coap://").split("/", 1)
    with coap.Socket(int(host.rpartition(":")[2])) as device:
        return device.get_all(path, 256)


@pytest.fixture
def watcher(house):
    return house.mqtt("lwm2m/lamp-7/!firmware")


def begin(house, verb, status=204):
    assert house.http("POST", f"lwm2m/lamp-7/!{verb}", PACKAGE, Content_Type="application/octet-stream").status == status


def until(client, *wanted):
    while True:
        _, told = heard(client)
        if told["firmware"] in wanted:
            return told


def test_a_device_fetches_over_http_in_parts(house, watcher):
    board = Board(house, method=0, protocols=[HTTP])
    begin(house, "update-firmware")
    until(watcher, "downloading")
    assert board.uri.startswith(f"http://127.0.0.1:{house.bridge.port('http')}/fw/")

    assert curl(board.uri, "-I")[0] == 200
    assert curl(board.uri, "-r", "0-999") == (206, PACKAGE[:1000])
    assert curl(board.uri, "-r", "1000-") == (206, PACKAGE[1000:])
    assert curl(board.uri, "-r", "9999-")[0] == 416
    assert curl(board.uri) == (200, PACKAGE)
    assert curl(board.uri, "-X", "DELETE")[0] == 405
    assert curl(board.uri[:-1] + "!")[0] == 404
    board.settle()
    board.set(2)
    assert until(watcher, "updated", "failed")["firmware"] == "updated"
    assert curl(board.uri)[0] == 404


def test_curl_goes_on_where_it_was_cut_off(house, watcher, tmp_path):
    board = Board(house, method=0, protocols=[HTTP])
    begin(house, "update-firmware")
    until(watcher, "downloading")
    half = tmp_path / "fw.bin"
    half.write_bytes(PACKAGE[:1234])

    assert curl(board.uri, "-C", "-", "-o", str(half))[0] == 206
    assert half.read_bytes() == PACKAGE


def test_over_https(make_house, tmp_path):
    authority = Authority(tmp_path)
    cert, key = authority.sign("bridge")
    house = make_house()
    house.bridge.listen(f"https://127.0.0.1:0/resources?cert={cert}&key={key}")
    board = Board(house, method=0, protocols=[HTTPS], fetch=lambda uri: curl(uri, "--cacert", str(authority.file))[1])
    house.bridge.devices["lamp-7"].update_firmware(PACKAGE, timeout=BOUND)

    assert board.uri.startswith("https://") and board.package == PACKAGE


NOT_FETCHING = "the device fetches nothing: it only takes packages"


@pytest.mark.parametrize("verb, method, protocols, wanted", [
    ("update-firmware", 2, None, "push"), ("update-firmware", 1, [HTTP], "push"), ("update-firmware", 0, None, "coap"),
    ("update-firmware", 0, [COAP, HTTP], "coap"), ("update-firmware", 0, [HTTP], "http"), ("update-firmware", 0, [HTTP, HTTPS], "http"),
    ("update-firmware", 0, [COAPS], "the device fetches by no protocol that listens here"),
    ("push-firmware", 2, None, "push"), ("push-firmware", 0, None, "the device only pulls"),
    ("pull-firmware", 2, [HTTP], "http"), ("pull-firmware", 2, None, "coap"), ("pull-firmware", 1, None, "push"),
    ("pull-firmware-coap", 2, [HTTP], "the device fetches by no protocol that listens here"), ("pull-firmware-coap", 2, None, "coap"),
    ("pull-firmware-http", 2, None, "http"), ("pull-firmware-http", 2, [COAP, HTTP], "http"), ("pull-firmware-http", 1, None, NOT_FETCHING),
    ("pull-firmware-http", 2, [COAP], "the device fetches by none of our HTTP listeners"),
    ("update-firmware?method=http", 2, None, "http"), ("update-firmware?method=coap", 2, None, "coap"), ("update-firmware?method=push", 2, None, "push"),
])
def test_which_way(house, watcher, verb, method, protocols, wanted):
    board = Board(house, method, protocols)
    begin(house, verb)
    told = until(watcher, "downloading", "failed")

    got = told["why"] if told["firmware"] == "failed" else "push" if board.package else board.uri.partition(":")[0]
    assert got == wanted


def test_a_package_is_fetched_so_often_and_no_more(make_house):
    house = make_house("lwm2m://127.0.0.1:0?max_fetches=2")
    watcher = house.mqtt("lwm2m/lamp-7/!firmware")
    board = Board(house)
    begin(house, "pull-firmware-http")
    until(watcher, "downloading")
    assert curl(board.uri)[0] == 200
    assert [curl(board.uri, "-r", f"{at}-{at + 1023}")[0] for at in range(0, len(PACKAGE), 1024)] == [206] * 5
    assert curl(board.uri, "-I")[0] == 200  # which costs nothing
    assert curl(board.uri, "-r", "0-0")[0] == 404 and curl(board.uri)[0] == 404


def test_over_coap_too(make_house):
    house = make_house("lwm2m://127.0.0.1:0?max_fetches=2")
    watcher = house.mqtt("lwm2m/lamp-7/!firmware")
    board = Board(house)
    begin(house, "pull-firmware-coap")
    until(watcher, "downloading")
    assert by_coap(board.uri) == PACKAGE and by_coap(board.uri) == PACKAGE
    with coap.Socket(house.port) as device:
        assert device.get(board.uri.split("/", 3)[3]).says == "4.04"


@pytest.mark.parametrize("verb", ["pull-firmware-http", "pull-firmware-coap"])
@pytest.mark.parametrize("end", ["canceled", "time is up", "the device has left"])
def test_the_url_ends_with_the_update(house, watcher, verb, end):
    board = Board(house)
    board.device.lifetime = 86400
    board.device.register()
    begin(house, verb)
    until(watcher, "downloading")
    if end == "canceled":
        assert house.http("POST", "lwm2m/lamp-7/!cancel-update").status == 204
    elif end == "time is up":
        house.bridge.clock.advance(seconds=3601)
    else:
        board.device.deregister()
    assert until(watcher, "failed")["why"] == end

    if "http" in verb:
        assert curl(board.uri)[0] == 404
    else:
        with coap.Socket(house.port) as device:
            assert device.get(board.uri.split("/", 3)[3]).says == "4.04"


def test_devices_far_away_are_told_the_public_name(make_house):
    house = make_house("lwm2m://127.0.0.1:0?public=coap://bridge.example:5683&public_http=https://files.example:8443")
    watcher = house.mqtt("lwm2m/lamp-7/!firmware")
    board = Board(house)
    begin(house, "pull-firmware-http")
    until(watcher, "downloading")
    assert board.uri.startswith("https://files.example:8443/fw/")


def test_as_one_call(house):
    board = Board(house, fetch=by_curl)
    lamp = house.bridge.devices["lamp-7"]
    lamp.update_firmware(PACKAGE, method="http", timeout=BOUND)
    assert board.uri.startswith("http://") and board.package == PACKAGE

    board.fetch, board.package = by_coap, None
    lamp.update_firmware(PACKAGE, method="coap", timeout=BOUND)
    assert board.uri.startswith("coap://") and board.package == PACKAGE

    board.uri = board.package = None
    lamp.update_firmware(PACKAGE, method="push", timeout=BOUND)
    assert not board.uri and board.package == PACKAGE
    with pytest.raises(ValueError):
        lamp.update_firmware(PACKAGE, method="pigeon")


def test_a_device_that_only_takes_packages_is_given_no_url(house):
    Board(house, method=1)
    with pytest.raises(FirmwareError, match="fetches nothing"):
        house.bridge.devices["lamp-7"].update_firmware("coap://files.example/fw.bin", timeout=BOUND)


def test_software_over_http(house, watcher):
    seen = []
    lamp = house.device("lamp-8", {(9, 1, 2): b"", (9, 1, 3): "", (9, 1, 7): 0, (9, 1, 9): 0, (9, 1, 4): lambda _: None})

    def take_uri(request):
        seen.append(request.payload.decode())
        return Message(code=code("2.04"))
    lamp.lies["PUT", "/9/1/3"] = take_uri
    software = house.mqtt("lwm2m/lamp-8/!software")
    house.bridge.request("POST", "lwm2m/lamp-8/9/1/!pull-software-http", PACKAGE, format=42)
    while heard(software)[1]["software"] != "downloading":
        pass
    assert curl(seen[0]) == (200, PACKAGE)
