"""The object model: the built-in table, names, and object definitions from a folder (DDF)."""
import pytest

from libbridge import BridgeError

WIDGET = """<?xml version="1.0"?><LWM2M><Object ObjectType="MODefinition"><Name>Widget</Name><ObjectID>33000</ObjectID>
<ObjectURN>urn:oma:lwm2m:x:33000</ObjectURN><MultipleInstances>Multiple</MultipleInstances><Resources>
<Item ID="1"><Name>Spin Rate</Name><Operations>RW</Operations><MultipleInstances>Single</MultipleInstances><Type>Float</Type><Units>rpm</Units></Item>
<Item ID="2"><Name>Stop</Name><Operations>E</Operations><MultipleInstances>Single</MultipleInstances><Type></Type></Item>
<Item ID="3"><Name>Key</Name><Operations>RW</Operations><MultipleInstances>Single</MultipleInstances><Type>Opaque</Type></Item>
</Resources></Object></LWM2M>"""


def test_a_folder_of_definitions(make_house, tmp_path):
    (tmp_path / "33000.xml").write_text(WIDGET)
    (tmp_path / "README.txt").write_text("not one of them")
    stopped = []
    house = make_house(f"lwm2m://127.0.0.1:0?objects={tmp_path}")
    widget = house.device("w", {(33000, 0, 1): 50.0, (33000, 0, 2): stopped.append, (33000, 0, 3): b"\0\1\2"})

    assert house.http("GET", "lwm2m/w/widget/0/spinRate").body == b"50.0"
    assert house.http("GET", "lwm2m/w/33000/0?names=1").json == {"spinRate": 50, "key": "AAEC"}
    assert house.http("GET", "lwm2m/w/33000/0/3").body == b"\0\1\2"
    assert house.http("PUT", "lwm2m/w/widget/0/spinRate", "33.5").status == 204
    assert widget.resources[33000, 0, 1] == 33.5
    assert house.http("PUT", "lwm2m/w/widget/0/spinRate", "fast").status == 422
    assert house.http("POST", "lwm2m/w/widget/0/stop").status == 204 and stopped == [b""]


@pytest.mark.parametrize("text", ["<LWM2M>", "", "<LWM2M><Object><Name>x</Name></Object></LWM2M>",
                                  "<LWM2M><Object><Name>x</Name><ObjectID>70000</ObjectID></Object></LWM2M>",
                                  '<!DOCTYPE a [<!ENTITY b "c">]><LWM2M/>', "<a>" * 100])
def test_what_is_no_definition(make_bridge, tmp_path, text):
    (tmp_path / "broken.xml").write_text(text)
    bridge = make_bridge()
    with pytest.raises(BridgeError, match="broken.xml"):
        bridge.listen(f"lwm2m://127.0.0.1:0?objects={tmp_path}")


def test_a_folder_that_is_not_there(make_bridge):
    with pytest.raises(BridgeError, match="no such folder"):
        make_bridge().listen("lwm2m://127.0.0.1:0?objects=/nowhere/at/all")


@pytest.mark.parametrize("name, path", [
    ("device/0/manufacturer", (3, 0, 0)), ("Device/0/Model Number", (3, 0, 1)), ("lightControl/0/onOff", (3311, 0, 5850)),
    ("lwm2mServer/0/lifetime", (1, 0, 1)), ("humidity/0/sensorValue", (3304, 0, 5700)), ("connectivityMonitoring/0/ipAddresses/0", (4, 0, 4)),
    ("location/0/latitude", (6, 0, 0)), ("firmwareUpdate/0/updateResult", (5, 0, 5))])
def test_names(house, name, path):
    lamp = house.device("lamp-7", {(3, 0, 0): "Acme"})
    house.http("GET", "lwm2m/lamp-7/" + name.replace(" ", "%20"))

    assert lamp.next_request().path == "/" + "/".join(map(str, path)) + ("/0" if name.endswith("Addresses/0") else "")


def test_what_is_guessed_is_marked(house):
    house.device("lamp-7", {(40000, 0, 1): 1.5})
    client = house.mqtt("lwm2m/lamp-7/40000/0/1", "lwm2m/lamp-7/3303/0/5700")

    packet = client.message()
    assert packet.payload == b"1.5" and packet.props["user"] == [("lwm2m-type", "guess")]
