"""Devices on the page at /, in a real browser; and what it asks about them."""
import json

import pytest

from peers.coap import Message, code


@pytest.fixture
def page(house, tab):
    tab.at = lambda view="": tab.open(f"http://127.0.0.1:{house.bridge.port('http')}/{view}")
    return tab


def cell(path):
    return f"document.querySelector('tr[data-path=\"{path}\"] .value')?.textContent"


def press(page, path, words):
    page.until(f"[...document.querySelectorAll('tr[data-path=\"{path}\"] button')].some(b => b.textContent === '{words}')")
    page.eval(f"[...document.querySelectorAll('tr[data-path=\"{path}\"] button')].find(b => b.textContent === '{words}').click()")


def test_a_device_by_hand(page, house):
    done = []
    lamp = house.device("lamp <b>7</b>", {(3, 0, 0): "<i>ACME</i>", (3, 0, 4): lambda arguments: done.append(arguments), (3311, 0, 5851): 70, (3303, 0, 5700): 21.5})
    page.at("#/devices")
    page.until("document.querySelector('#devices b')?.textContent === 'lamp <b>7</b>'")
    page.click("#devices a")
    page.until("[...document.querySelectorAll('.object h3')].map(e => e.textContent).join() === 'Device,Temperature,Light Control'")
    page.eval("document.querySelectorAll('details.object').forEach(d => { d.open = true; })")
    page.until(f"{cell('/3/0/0')} === '<i>ACME</i>' && {cell('/3311/0/5851')} === '70' && {cell('/3303/0/5700')} === '21.5'")
    assert page.eval("document.querySelector('tr[data-path=\"/3303/0/5700\"] span').textContent") == "Sensor Value"

    press(page, "/3311/0/5851", "Write")
    page.fill("dialog input", "10")
    page.click("dialog button.main")
    page.until(f"{cell('/3311/0/5851')} === '10'")
    assert lamp.resources[3311, 0, 5851] == 10

    press(page, "/3/0/4", "Execute")
    page.click("dialog button.danger")
    page.noted("/3/0/4 is executed")
    assert len(done) == 1

    lamp.resources[3303, 0, 5700] = 22.5
    page.eval("[...document.querySelectorAll('.instance')].find(i => i.textContent.includes('/3303/0')).querySelector('.toggle').click()")
    page.until("document.querySelector('.toggle[aria-pressed=true]')")
    page.until(f"{cell('/3303/0/5700')} === '22.5'")  # what it answered when it was asked to observe
    lamp.resources[3303, 0, 5700] = 23.25
    lamp.notify("/3303/0")
    page.until(f"{cell('/3303/0/5700')} === '23.25'")


def test_its_firmware(page, house, tmp_path):
    package, taken = bytes(range(256)) * 20, []

    def set_state(state, result=0):
        board.resources[5, 0, 3], board.resources[5, 0, 5] = state, result

    def push(request):
        taken.append(request.payload)
        set_state(2)
        return Message(code=code("2.04"))

    def update(arguments):
        set_state(0, 1)
        for path in ("/5/0/5", "/5/0/3"):
            board.notify(path)

    board = house.device("lamp-7", {(5, 0, 0): b"", (5, 0, 1): "", (5, 0, 2): update, (5, 0, 3): 0, (5, 0, 5): 0, (5, 0, 9): 2})
    board.lies["PUT", "/5/0/0"] = push
    (tmp_path / "fw.bin").write_bytes(package)
    page.at("#/devices/lamp-7")
    page.until("document.querySelector('#package')")
    page.choose_file("#package", tmp_path / "fw.bin")
    page.click("#flash")
    page.until("document.querySelector('#firmware').textContent === 'updated' && document.querySelector('progress').value === document.querySelector('progress').max")
    assert taken == [package]


def test_the_list_comes_in_pages(house):
    for number in range(3):
        house.device(f"lamp-{number}", {(3303, 0, 5700): 1.0})
    house.device("meter%1", {(3, 0, 0): "ACME"})

    def ask(query):
        return json.loads(house.http("GET", "lwm2m/?" + query).body)
    said = ask("limit=2&q=lamp")
    assert [d["ep"] for d in said["devices"]] == ["lamp-0", "lamp-1"] and said["total"] == 3
    assert [d["ep"] for d in ask("limit=2&offset=2&q=lamp")["devices"]] == ["lamp-2"]
    assert [d["ep"] for d in ask("limit=9&q=er%251")["devices"]] == ["meter%1"]
    assert len(ask("x=1")) == 4  # without a page: a plain list
    model = ask("model=3303,3,64999,x")
    assert set(model) == {"3", "3303"} and model["3303"]["name"] == "Temperature"
    assert model["3303"]["resources"]["5700"] == {"type": "float", "operations": "R", "multiple": False, "name": "Sensor Value"}
    assert model["3"]["resources"]["4"]["operations"] == "E"
