"""Packets that break the standard: the connection ends, with the reason code where MQTT 5 has one (4.13), and nobody else
notices.  Each row names the statement it breaks; [3: ...] are the numbers of MQTT 3.1.1, the rest those of MQTT 5.0."""
import pytest

from peers import mqtt
from peers.mqtt import Client, connect, packet, properties, publish, subscribe, text, unsubscribe

MALFORMED, PROTOCOL, BAD_ALIAS = 0x81, 0x82, 0x94
SHARE = 4  # no local

AFTER_CONNECT = [
    # statement, version, bytes, reason
    ("MQTT-2.1.3-1", 5, packet(0xC1), MALFORMED),
    ("MQTT-2.1.3-1", 5, packet(0xE1), MALFORMED),
    ("3: MQTT-2.2.2-2", 4, packet(0xC8), None),
    ("MQTT-2.1.2 type 0", 5, packet(0x00), MALFORMED),
    ("3: MQTT-2.2.1 type 15", 4, packet(0xF0), None),
    ("MQTT-1.5.5-1 long form", 5, b"\xc0\x80\x00", MALFORMED),
    ("MQTT-1.5.5 five bytes", 5, b"\x30\xff\xff\xff\xff\x01", MALFORMED),
    ("3: 2.2.3 five bytes", 4, b"\x30\xff\xff\xff\xff\x01", None),
    ("MQTT-1.5.4-1 surrogate", 5, publish(b"a\xed\xa0\x80", version=5), MALFORMED),
    ("MQTT-1.5.4-1 overlong", 5, publish(b"a\xc0\xaf", version=5), MALFORMED),
    ("MQTT-1.5.4-2 NUL", 5, publish(b"a\x00b", version=5), MALFORMED),
    ("3: MQTT-1.5.3-1", 4, publish(b"\xff", version=4), None),
    ("3: MQTT-1.5.3-2", 4, publish(b"a\x00", version=4), None),
    ("MQTT-3.1.0-2 second CONNECT", 5, connect("x", version=5), PROTOCOL),
    ("3: MQTT-3.1.0-2 second CONNECT", 4, connect("x"), None),
    ("MQTT-3.3.1-2 DUP at QoS 0", 5, packet(0x38, text("a") + b"\0"), MALFORMED),
    ("3: MQTT-3.3.1-2", 4, packet(0x38, text("a")), None),
    ("MQTT-3.3.1-4 QoS 3", 5, packet(0x36, text("a") + b"\0\1\0"), MALFORMED),
    ("3: MQTT-3.3.1-4", 4, packet(0x36, text("a") + b"\0\1"), None),
    ("MQTT-3.3.2-1 topic cut short", 5, packet(0x30, b"\0\5abc"), MALFORMED),
    ("MQTT-3.3.2-2 wildcard", 5, publish("a/+", version=5), MALFORMED),
    ("MQTT-3.3.2-2 wildcard", 5, publish("#", version=5), MALFORMED),
    ("3: MQTT-3.3.2-2", 4, publish("a/#"), None),
    ("MQTT-4.7.3-1 empty topic", 4, publish(""), None),
    ("MQTT-3.3.2.1 no topic, no alias", 5, publish("", version=5), PROTOCOL),
    ("MQTT-2.2.1-3 id 0", 5, publish("a", qos=1, pid=0, version=5), PROTOCOL),
    ("3: MQTT-2.3.1-1", 4, publish("a", qos=2, pid=0), None),
    ("MQTT-3.3.2-8 alias 0", 5, publish("a", props={"alias": 0}, version=5), BAD_ALIAS),
    ("MQTT-3.3.2-9 alias over the maximum", 5, publish("a", props={"alias": 60000}, version=5), BAD_ALIAS),
    ("MQTT-3.3.2.3.4 unknown alias", 5, publish("", props={"alias": 3}, version=5), PROTOCOL),
    ("MQTT-3.3.2-14 wildcard in response topic", 5, publish("a", props={"response_topic": "r/#"}, version=5), PROTOCOL),
    ("MQTT-3.3.2-13 response topic not UTF-8", 5, publish("a", props={"response_topic": b"\xff"}, version=5), MALFORMED),
    ("MQTT-3.3.2-19 content type not UTF-8", 5, publish("a", props={"content_type": b"\xff"}, version=5), MALFORMED),
    ("MQTT-3.3.4-6 subscription identifier", 5, publish("a", props={"subscription_id": 1}, version=5), PROTOCOL),
    ("MQTT-2.2.2 twice", 5, publish("a", props=[("content_type", "a"), ("content_type", "a")], version=5), PROTOCOL),
    ("MQTT-2.2.2 not in PUBLISH", 5, publish("a", props={"receive_max": 1}, version=5), MALFORMED),
    ("MQTT-2.2.2 no such property", 5, publish("a", props=b"\x7f\x01", version=5), MALFORMED),
    ("MQTT-3.3.2.3.2 format 2", 5, publish("a", props={"payload_format": 2}, version=5), PROTOCOL),
    ("MQTT-2.2.2.1 longer than the packet", 5, packet(0x30, text("a") + b"\x05\x01"), MALFORMED),
    ("MQTT-3.6.1-1", 5, packet(0x60, b"\0\1"), MALFORMED),
    ("3: MQTT-3.6.1-1", 4, packet(0x60, b"\0\1"), None),
    ("3: PUBACK too long", 4, packet(0x40, b"\0\1\0"), None),
    ("MQTT-3.4.2-1 reason", 5, packet(0x40, b"\0\1\x01"), PROTOCOL),
    ("MQTT-3.8.1-1", 5, packet(0x80, b"\0\1\0" + text("a") + b"\0"), MALFORMED),
    ("3: MQTT-3.8.1-1", 4, packet(0x80, b"\0\1" + text("a") + b"\0"), None),
    ("MQTT-3.8.3-2 no filter", 5, subscribe(1, version=5), PROTOCOL),
    ("3: MQTT-3.8.3-3", 4, subscribe(1), None),
    ("MQTT-3.8.3-1 filter not UTF-8", 5, subscribe(1, (b"\xff", 0), version=5), MALFORMED),
    ("MQTT-3.8.3-5 reserved bits", 5, subscribe(1, ("a", 0x40), version=5), MALFORMED),
    ("3: MQTT-3-8.3-4 reserved bits", 4, subscribe(1, ("a", 4)), None),
    ("MQTT-3.8.3.1 QoS 3", 5, subscribe(1, ("a", 3), version=5), PROTOCOL),
    ("3: MQTT-3-8.3-4 QoS 3", 4, subscribe(1, ("a", 3)), None),
    ("MQTT-3.8.3.1 retain handling 3", 5, subscribe(1, ("a", 0x30), version=5), PROTOCOL),
    ("MQTT-3.8.3-4 no local, shared", 5, subscribe(1, ("$share/g/a", SHARE), version=5), PROTOCOL),
    ("MQTT-3.8.2.1.2 identifier 0", 5, subscribe(1, "a", props={"subscription_id": 0}, version=5), PROTOCOL),
    ("MQTT-3.8.2.1.2 twice", 5, subscribe(1, "a", props={"subscription_id": [1, 2]}, version=5), PROTOCOL),
    ("MQTT-4.7.1-1 # not last", 5, subscribe(1, "a/#/b", version=5), MALFORMED),
    ("MQTT-4.7.1-1 # within a level", 5, subscribe(1, "a#", version=5), MALFORMED),
    ("MQTT-4.7.1-2 + within a level", 4, subscribe(1, "a+/b"), None),
    ("MQTT-4.7.3-1 empty filter", 5, subscribe(1, "", version=5), MALFORMED),
    ("MQTT-4.8.2-1 no name", 5, subscribe(1, "$share//a", version=5), PROTOCOL),
    ("MQTT-4.8.2-2 wildcard in the name", 5, subscribe(1, "$share/+/a", version=5), (MALFORMED, PROTOCOL)),
    ("MQTT-4.8.2-2 no filter", 5, subscribe(1, "$share/g/", version=5), PROTOCOL),
    ("MQTT-2.2.1-3 id 0", 5, subscribe(0, "a", version=5), PROTOCOL),
    ("MQTT-3.10.1-1", 5, packet(0xA0, b"\0\1\0" + text("a")), MALFORMED),
    ("MQTT-3.10.3-2 no filter", 5, unsubscribe(1, version=5), PROTOCOL),
    ("3: MQTT-3.10.3-2", 4, unsubscribe(1), None),
    ("MQTT-3.10.3-1 not UTF-8", 5, unsubscribe(1, b"\xff", version=5), MALFORMED),
    ("MQTT-3.12.1 PINGREQ with a body", 5, packet(0xC0, b"x"), MALFORMED),
    ("3: MQTT-3.14.1-1 reserved bits", 4, packet(0xE2), None),
    ("3: DISCONNECT with a body", 4, packet(0xE0, b"\0"), None),
    ("MQTT-3.14.2-1 server's reason", 5, packet(0xE0, b"\x8b"), PROTOCOL),
    ("MQTT-3.14.2.2.2 session expiry after none", 5, packet(0xE0, b"\0" + properties({"session_expiry": 5})), PROTOCOL),
    ("MQTT-3.15.1-1", 5, packet(0xF1, b"\x18\0"), MALFORMED),
    ("MQTT-4.12.0-1 AUTH without a method", 5, mqtt.auth(0x18, {"auth_method": "x"}), PROTOCOL),
    ("CONNACK from a client", 5, packet(0x20, b"\0\0\0"), PROTOCOL),
    ("PINGRESP from a client", 5, packet(0xD0), PROTOCOL),
]


@pytest.mark.parametrize("statement, version, data, reason", AFTER_CONNECT,
                         ids=[f"{row[0]}-{n}".replace(" ", "_") for n, row in enumerate(AFTER_CONNECT)])
def test_it_ends_the_connection(mqtt_port, statement, version, data, reason):
    with Client(mqtt_port, 5).connect("witness") as witness, Client(mqtt_port, version).connect("offender") as offender:
        offender.send(data)

        seen = offender.closed()

        if version == 5:
            wanted = reason if isinstance(reason, tuple) else (reason,)
            assert len(seen) == 1 and seen[0].type == mqtt.DISCONNECT and seen[0].reason in wanted, seen
        else:
            assert seen == []
        witness.nothing()


BAD_CONNECTS = [
    # statement, version in which CONNACK is read, bytes, CONNACK's code (None: just closed)
    ("MQTT-3.1.0-1 not CONNECT", 4, publish("a"), None),
    ("MQTT-3.1.0-1 not CONNECT", 4, packet(0xC0), None),
    ("MQTT-3.1.1-1 reserved bits", 4, b"\x11" + connect("x")[1:], None),
    ("MQTT-3.1.2-1 other protocol", 4, connect("x", name="HTTP"), None),
    ("3: MQTT-3.1.2-1", 4, connect("x", name="mqtt"), None),
    ("MQTT-3.1.2-2 level 6", 5, connect("x", level=6), 0x84),
    ("3: MQTT-3.1.2-2 level 2", 4, connect("x", level=2), 1),
    ("3: MQTT-3.1.2-2 MQIsdp 4", 4, connect("x", name="MQIsdp", level=4), 1),
    ("MQTT-3.1.2-3 reserved flag", 5, connect("x", version=5, flags=3), MALFORMED),
    ("3: MQTT-3.1.2-3", 4, connect("x", flags=3), None),
    ("MQTT-3.1.2-9 will without its fields", 5, connect("x", version=5, flags=6), MALFORMED),
    ("MQTT-3.1.2-11 will QoS without will", 5, connect("x", version=5, flags=2 | 8), MALFORMED),
    ("MQTT-3.1.2-12 will QoS 3", 5, connect("x", version=5, will=("w", b"", 3, False)), MALFORMED),
    ("3: MQTT-3.1.2-14 will QoS 3", 4, connect("x", will=("w", b"", 3, False)), None),
    ("MQTT-3.1.2-13 will retain without will", 5, connect("x", version=5, flags=2 | 32), MALFORMED),
    ("MQTT-3.1.2-16 user name not announced", 5, connect("x", version=5, user="u", flags=2), MALFORMED),
    ("MQTT-3.1.2-17 user name missing", 5, connect("x", version=5, flags=2 | 128), MALFORMED),
    ("3: MQTT-3.1.2-22 password alone", 4, connect("x", password="p"), None),
    ("MQTT-3.1.2-19 password missing", 5, connect("x", version=5, user="u", flags=2 | 128 | 64), MALFORMED),
    ("MQTT-3.1.3-3 no client id field", 4, packet(0x10, text("MQTT") + b"\4\2\0\0"), None),
    ("MQTT-3.1.3-4 client id not UTF-8", 5, connect(b"\xff", version=5), MALFORMED),
    ("MQTT-3.1.3-11 will topic not UTF-8", 5, connect("x", version=5, will=(b"\xff", b"", 0, False)), MALFORMED),
    ("MQTT-3.1.3-11 will topic wildcard", 5, connect("x", version=5, will=("w/#", b"", 0, False)), MALFORMED),
    ("MQTT-3.1.3-12 user name not UTF-8", 5, connect("x", version=5, user=b"\xff"), MALFORMED),
    ("MQTT-3.1.2.11.3 receive maximum 0", 5, connect("x", version=5, props={"receive_max": 0}), PROTOCOL),
    ("MQTT-3.1.2.11.4 maximum packet 0", 5, connect("x", version=5, props={"max_packet": 0}), PROTOCOL),
    ("MQTT-3.1.2.11.7 problem information 2", 5, connect("x", version=5, props={"problem_info": 2}), PROTOCOL),
    ("MQTT-3.1.2.11.6 response information 2", 5, connect("x", version=5, props={"wants_response_info": 2}), PROTOCOL),
    ("MQTT-3.1.2.11.10 data without method", 5, connect("x", version=5, props={"auth_data": b"x"}), PROTOCOL),
    ("MQTT-3.1.2.11.9 method nobody knows", 5, connect("x", version=5, props={"auth_method": "x"}), 0x8C),
    ("MQTT-2.2.2 twice", 5, connect("x", version=5, props=[("session_expiry", 1)] * 2), PROTOCOL),
    ("MQTT-2.2.2 not in CONNECT", 5, connect("x", version=5, props={"alias": 1}), MALFORMED),
    ("3: MQTT-3.1.3-8 no client id, not clean", 4, connect("", clean=False), 2),
    ("3.1 no client id", 3, connect("", version=3), 2),
]


@pytest.mark.parametrize("statement, version, data, code", BAD_CONNECTS,
                         ids=[f"{row[0]}-{n}".replace(" ", "_") for n, row in enumerate(BAD_CONNECTS)])
def test_it_is_not_let_in(mqtt_port, statement, version, data, code):
    with Client(mqtt_port, version) as c:
        c.send(data)

        seen = c.closed()

        if code is None:
            assert seen == []
        else:
            assert len(seen) == 1 and seen[0].type == mqtt.CONNACK and not seen[0].session_present, seen
            assert seen[0].reason == code


def test_every_cut_of_a_connection_leaves_the_server_standing(mqtt_port):
    whole = connect("cut", version=5, will=("w", b"gone", 1, True), user="u") + subscribe(1, ("a", 2), version=5) + \
        publish("a", b"x", qos=2, pid=9, version=5)

    for n in range(len(whole)):
        c = Client(mqtt_port, 5)
        c.send(whole[:n])
        c.drop()

    with Client(mqtt_port, 5).connect("after") as after:
        after.publish("w", "", qos=1, retain=True)  # some of them had got as far as leaving a will
        after.nothing()


def test_a_packet_may_come_byte_by_byte(mqtt_port):
    with Client(mqtt_port, 5) as c:
        for byte in connect("slowly", version=5) + subscribe(1, "bytes/#", version=5) + publish("bytes/x", b"y", version=5):
            c.send(bytes([byte]))

        c.expect(mqtt.CONNACK, reason=0)
        c.expect(mqtt.SUBACK, codes=[0])
        c.expect(mqtt.PUBLISH, topic="bytes/x", payload=b"y")
