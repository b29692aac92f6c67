"""Queue mode (LwM2M 1.0 8.3, 1.1 6.5): what sleeps is asked nothing, and everything when it wakes."""
import pytest

from peers import coap
from peers.coap import Socket
from peers.lwm2m import heard


@pytest.fixture
def house(make_house):
    return make_house("lwm2m://127.0.0.1:0?awake=10000&max_queue=3&queue_ttl=1000")


@pytest.fixture
def lamp(house):
    return house.device("lamp-7", {(3311, 0, 5850): False, (3311, 0, 5851): 10, (3303, 0, 5700): 21.5}, binding="UQ")


def sleep(house, lamp):
    watcher = house.mqtt("lwm2m/lamp-7/!asleep")
    house.bridge.clock.advance(seconds=11)
    assert heard(watcher)[1]["asleep"] is True
    watcher.drop()


def test_while_it_is_awake_it_is_asked_at_once(house, lamp):
    assert house.http("GET", "lwm2m/lamp-7/3303/0/5700").body == b"21.5"


def test_a_write_waits_until_it_wakes(house, lamp):
    watcher = house.mqtt("lwm2m/lamp-7/!awake")
    sleep(house, lamp)
    client = house.mqtt()
    client.publish("lwm2m/lamp-7/3311/0/5850", b"true", qos=1, retain=True)
    client.publish("lwm2m/lamp-7/3311/0/5851", b"55", qos=1, retain=True)
    client.ping()
    assert lamp.requests.empty()

    lamp.update()

    assert [lamp.next_request().path for _ in range(2)] == ["/3311/0/5850", "/3311/0/5851"]
    assert heard(watcher)[1]["asleep"] is False
    client.ping()


def test_of_many_writes_the_newest_counts(house, lamp):
    sleep(house, lamp)
    client = house.mqtt()
    for n in range(20):
        client.publish("lwm2m/lamp-7/3311/0/5851", str(n).encode(), qos=1, retain=True)
    client.ping()
    lamp.update()

    lamp.wait_request("PUT", "/3311/0/5851")
    assert house.http("GET", "lwm2m/lamp-7/3311/0/5851").body == b"19"
    assert lamp.next_request().verb == "GET"


def test_who_waits_gets_his_answer_when_it_wakes(house, lamp):
    sleep(house, lamp)
    with Socket(house.bridge.port("coap")) as client:
        message = client.request(coap.PUT, "r/lwm2m/lamp-7/3311/0/5851", payload="7")
        client.send(message)
        house.mqtt().ping()
        lamp.update()
        assert client.answer_to(message).says == "2.04"


def test_nobody_waits_for_ever(house, lamp):
    sleep(house, lamp)
    with Socket(house.bridge.port("coap")) as client:
        message = client.request(coap.GET, "r/lwm2m/lamp-7/3303/0/5700")
        client.send(message)
        while client.hear_new().code:  # its acknowledgement: the question is under way
            pass
        house.bridge.clock.advance(seconds=6)
        assert client.answer_to(message).says == "5.04"
    lamp.update()
    assert house.http("GET", "lwm2m/lamp-7/3303/0/5700").body == b"21.5"
    assert lamp.next_request().verb == "GET" and lamp.requests.empty()


def test_what_waits_too_long_is_not_sent(house, lamp):
    sleep(house, lamp)
    client = house.mqtt()
    client.publish("lwm2m/lamp-7/3311/0/5851", b"1", qos=1, props={"message_expiry": 60})
    client.publish("lwm2m/lamp-7/3311/0/5850", b"true", qos=1)
    client.ping()
    house.bridge.clock.advance(seconds=61)
    lamp.update()

    assert lamp.next_request().path == "/3311/0/5850"
    assert house.http("GET", "lwm2m/lamp-7/3311/0/5851").body == b"10"


def test_the_queue_has_an_end(house, lamp):
    sleep(house, lamp)
    client = house.mqtt()
    for path in ("3311/0/5850", "3311/0/5851", "3311/1/5850"):
        client.publish("lwm2m/lamp-7/" + path, b"1", qos=1)
    client.ping()
    assert house.http("PUT", "lwm2m/lamp-7/3311/0/5852", "1").status == 429


def test_a_device_that_fell_asleep_early_hears_it_later(house, lamp):
    client = house.mqtt("lwm2m/lamp-7/!asleep")
    lamp.deaf = True
    client.publish("lwm2m/lamp-7/3311/0/5851", b"9")
    client.ping()
    for _ in range(8):
        house.bridge.clock.advance(seconds=15)
    heard(client)
    lamp.deaf = False
    lamp.update()

    lamp.wait_request("PUT", "/3311/0/5851")
    assert lamp.resources[3311, 0, 5851] == 9 or lamp.wait_request("PUT", "/3311/0/5851")


def test_who_can_wake_it_is_told(house):
    house.device("lamp-7", {(3311, 0, 5851): 10}, binding="UQS", register=False).register(
        query=["ep=lamp-7", "lt=300", "lwm2m=1.0", "b=UQS", "sms=4917012345"])
    wake = house.mqtt("lwm2m/lamp-7/!wake", "lwm2m/lamp-7/!asleep")
    house.bridge.clock.advance(seconds=11)
    assert heard(wake)[0] == "lwm2m/lamp-7/!asleep"
    wake.publish("lwm2m/lamp-7/3311/0/5851", b"7")

    topic, told = heard(wake)
    assert (topic, told["sms"]) == ("lwm2m/lamp-7/!wake", "4917012345")


def test_a_device_that_restarts_in_the_middle_is_asked_again(make_house):
    house = make_house()
    lamp = house.device("lamp-7", {(3303, 0, 5700): 21.5, (3, 0, 4): lambda arguments: None})
    lamp.lies["GET", "/3303/0/5700"] = lambda request: None  # it says nothing
    with Socket(house.bridge.port("coap")) as client:
        message = client.request(coap.GET, "r/lwm2m/lamp-7/3303/0/5700")
        client.send(message)
        lamp.wait_request("GET", "/3303/0/5700")
        del lamp.lies["GET", "/3303/0/5700"]
        lamp.move()
        lamp.register()
        answer = client.answer_to(message)
        assert (answer.says, answer.payload) == ("2.05", b"21.5")
