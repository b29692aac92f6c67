"""The broker of draft-ietf-core-coap-pubsub at /ps: topics, their configuration, and data that are everybody's paths."""
import datetime
import re

import pytest

from peers import coap
from peers.coap import NON, Socket, Stream, uint
from peers.coap_pubsub import CHECK, CONF, DATA, EXPIRES, FILTER, FORMAT, HISTORY, INITIALIZE, NAME, OLD_INITIALIZE, SUBSCRIBERS, TEXT, TOPIC_TYPE, TYPE, Tag, cbor, config, create, listed, uncbor
from peers.tools import coap_observe


@pytest.fixture
def client(bridge):
    with Socket(bridge.port("coap")) as it:
        yield it


def test_the_broker_is_discovered(client):
    assert listed(client.get(".well-known/core", query=["rt=core.ps"])) == ["/ps"]
    assert listed(client.get(".well-known/core", query=["rt=core.ps.coll"])) == ["/ps"]
    topic, _ = create(client, "a")
    assert listed(client.get(".well-known/core", query=["rt=core.ps.conf"])) == ["/" + topic]


def test_a_topic_is_created_and_read(client):
    answer = client.post("ps", cbor({NAME: "home/kitchen", TYPE: "core.ps.data", FORMAT: 0, TOPIC_TYPE: "temperature"}), options=CONF)
    told = config(answer, "2.01")
    topic = "/".join(part.decode() for part in answer.all(coap.LOCATION_PATH))

    assert re.fullmatch("ps/[0-9a-f]{16}", topic)
    assert told == {NAME: "home/kitchen", DATA: "/ps/data/home/kitchen", TYPE: "core.ps.data", FORMAT: 0, TOPIC_TYPE: "temperature", CHECK: 86400}
    assert config(client.get(topic), "2.05") == told
    assert listed(client.get("ps")) == ["/" + topic]
    assert client.get("ps", query=["rt=core.ps.data"]).payload == b'</ps/data/home/kitchen>;rt="core.ps.data";ct=0;obs'


@pytest.mark.parametrize("body, options, says", [
    (cbor({TYPE: "core.ps.data"}), CONF, "4.00"), (cbor({NAME: "x"}), CONF, "4.00"), (b"", CONF, "4.00"), (b"\xff", CONF, "4.00"),
    (cbor([1]), CONF, "4.00"), (cbor({NAME: "x", TYPE: "t", 77: 1}), CONF, "4.00"), (cbor({NAME: "x", TYPE: "t", "other": 1}), CONF, "4.00"),
    (cbor({NAME: 1, TYPE: "t"}), CONF, "4.00"), (cbor({NAME: "a+/b#", TYPE: "t"}), CONF, "4.00"), (cbor({NAME: "$SYS/x", TYPE: "t"}), CONF, "4.00"),
    (cbor({NAME: "x", TYPE: "t", DATA: "elsewhere/x"}), CONF, "4.00"), (cbor({NAME: "x", TYPE: "t", EXPIRES: "tomorrow"}), CONF, "4.00"),
    (cbor({NAME: "x", TYPE: "t", EXPIRES: "1999-03-31T23:59:59Z"}), CONF, "4.00"), (cbor({NAME: "x", TYPE: "t", CHECK: 0}), CONF, "4.00"),
    (cbor({NAME: "x", TYPE: "t", OLD_INITIALIZE: 1}), CONF, "4.00"), (cbor({NAME: "x" * 1025, TYPE: "t"}), CONF, "4.00"),
    (cbor({NAME: "x", TYPE: "t", FILTER: []}), CONF, "4.00"), (cbor({NAME: "x", TYPE: "t"}), [], "4.15"), (b'{"a":1}', [(coap.CONTENT_FORMAT, uint(50))], "4.15")])
def test_what_is_no_topic(client, body, options, says):
    assert client.post("ps", body, options=options).says == says
    assert listed(client.get("ps")) == []


def test_names_are_taken_once(client):
    create(client, "a")
    assert client.post("ps", cbor({NAME: "a", TYPE: "t"}), options=CONF).says == "4.00"
    assert client.post("ps", cbor({NAME: "b", TYPE: "t", DATA: "ps/data/a"}), options=CONF).says == "4.00"


def test_names_may_be_written_out_and_data_may_be_elsewhere(client):
    answer = client.post("ps", cbor({"topic-name": "Living room+", "resource-type": "core.ps.data", "topic-data": "/ps/data/home/living%20room"}),
                         options=CONF)
    assert config(answer, "2.01")[DATA] == "/ps/data/home/living%20room"
    assert client.put("ps/data/home/living room", "x").says == "2.01"
    assert client.get("r/home/living room").payload == b"x"


def test_the_collection_is_watched(client):                          # RFC 7641: the state of the list, whenever a topic comes or goes
    first, watch = client.observe("ps", type=NON)
    assert listed(first) == [] and first.option(coap.OBSERVE) is not None

    a, data = create(client, "a")
    assert listed(watch.hear()) == ["/" + a]
    client.put(data, "1")                                            # values are not the collection's
    b, _ = create(client, "b")
    assert set(listed(watch.hear())) == {"/" + a, "/" + b}
    client.delete(a)
    assert listed(watch.hear()) == ["/" + b]
    assert client.get("ps", token=watch.token, options=[(coap.OBSERVE, b"\1")]).option(coap.OBSERVE) is None
    client.delete(b)
    assert client.silent()


def test_the_collection_is_watched_by_a_filter(client):
    first, watch = client.observe("ps", query=["rt=core.ps.data"], type=NON)
    assert listed(first) == []

    topic, _ = create(client, "a")
    assert watch.hear().payload == b'</ps/data/a>;rt="core.ps.data";obs'
    config(client.ask(coap.IPATCH, topic, payload=cbor({FORMAT: 0}), options=CONF), "2.04")
    assert watch.hear().payload == b'</ps/data/a>;rt="core.ps.data";ct=0;obs'
    config(client.ask(coap.IPATCH, topic, payload=cbor({CHECK: 60}), options=CONF), "2.04")   # which is not in the list
    assert client.silent()
    assert client.observe("ps", query=[f"x{n}=1" for n in range(9)])[0].says == "4.00"


def test_topics_are_watched_by_their_properties(client):                # FETCH with Observe: RFC 8132 2.4
    first, watch = client.observe_fetch("ps", cbor({TOPIC_TYPE: "temperature"}), options=CONF, type=NON)
    assert listed(first) == [] and first.option(coap.OBSERVE) is not None
    create(client, "a", also={TOPIC_TYPE: "light"})
    assert client.silent()
    warm, _ = create(client, "b", also={TOPIC_TYPE: "temperature"})
    assert listed(watch.hear()) == ["/" + warm]
    config(client.ask(coap.IPATCH, warm, payload=cbor({TOPIC_TYPE: "light"}), options=CONF), "2.04")
    assert listed(watch.hear()) == []
    assert client.observe_fetch("ps", b"no map", options=CONF)[0].says == "4.00"


def test_who_watches_the_collection_hears_of_what_it_may_see(bridge, client):
    @bridge.allow
    def rules(who, verb, path):
        return not (path.startswith("secret") and verb == "GET") if who.startswith("coap") else None

    _, watch = client.observe("ps", type=NON)
    create(client, "secret/x")
    assert client.silent()
    topic, _ = create(client, "open")
    assert listed(watch.hear()) == ["/" + topic]


def test_a_topic_over_its_time_leaves_the_collection(bridge, client):
    until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    topic, _ = create(client, "a", also={EXPIRES: until.strftime("%Y-%m-%dT%H:%M:%SZ")})
    first, watch = client.observe("ps", type=NON)
    assert listed(first) == ["/" + topic]
    bridge.clock.advance(seconds=7200)
    client.ping()
    assert listed(watch.hear()) == []


def test_coap_client_watches_the_collection(bridged):
    with Socket(bridged.port("coap")) as client:
        a, _ = create(client, "a")
        with coap_observe(f"coap://127.0.0.1:{bridged.port('coap')}/ps", "-w") as watch:
            assert watch.line().count(f"</{a}>") == 1
            b, _ = create(client, "b")
            both = watch.line()
            assert f"</{a}>" in both and f"</{b}>" in both
            client.delete(a)
            left = watch.line()
            assert f"</{b}>" in left and f"</{a}>" not in left


def test_the_life_of_a_topic(client):                                # half created, fully created, half created, deleted
    topic, data = create(client, "a")
    for observe in ([], [(coap.OBSERVE, b"")]):
        answer = client.get(data, options=observe)
        assert answer.says == "4.04" and answer.option(coap.OBSERVE) is None
    assert client.put(data, "1", options=TEXT).says == "2.01"
    assert client.put(data, "2", options=TEXT).says == "2.04"
    first, watch = client.observe(data, type=NON)
    assert (first.says, first.payload) == ("2.05", b"2") and first.option(coap.OBSERVE) is not None
    client.put(data, "3", options=TEXT)
    assert watch.hear().payload == b"3"

    assert client.delete(data).says == "2.02"
    assert watch.hear().says == "4.04"
    assert client.get(data).says == "4.04" and client.get(topic).says == "2.05"
    assert client.put(data, "4").says == "2.01"

    assert client.delete(topic).says == "2.02"
    assert client.get(topic).says == client.get(data).says == client.put(data, "5").says == client.get("r/a").says == "4.04"


def test_the_end_of_a_topic_is_told(client):
    topic, data = create(client, "a", also={OLD_INITIALIZE: True})
    first, watch = client.observe(data)
    assert (first.says, first.payload) == ("2.05", b"")
    client.delete(topic)
    assert watch.hear().says == "4.04"
    client.put("r/a", "1")
    assert client.silent()


def test_data_are_the_same_paths_as_everybodys(bridged, mosquitto):
    with Socket(bridged.port("coap")) as client:
        _, data = create(client, "home/kitchen/temp")
        heard = mosquitto.subscribe("home/#")
        client.put(data, "21.5")
        assert heard.line() == "home/kitchen/temp 21.5"
        _, watch = client.observe(data, type=NON)
        mosquitto.publish("home/kitchen/temp", "22", "-r")
        assert watch.hear().payload == b"22"


def test_data_want_a_topic_and_its_format(client):
    create(client, "a", also={FORMAT: 50})
    assert client.put("ps/data/none", "1").says == client.get("ps/data/none").says == client.get("ps/data").says == "4.04"
    assert client.put("ps/data/a", "1", options=TEXT).says == client.put("ps/data/a", "1").says == "4.15"
    assert client.put("ps/data/a", "1", options=[(coap.CONTENT_FORMAT, uint(50))]).says == "2.01"
    assert client.post("ps/data/a", "1").says == "4.05"


def test_a_topic_has_room_for_so_many(bridge, client):
    topic, data = create(client, "a", also={SUBSCRIBERS: 2})
    client.put(data, "1")
    with Socket(bridge.port("coap")) as second, Socket(bridge.port("coap")) as third:
        one, first_watch = client.observe(data, type=NON)
        two, second_watch = second.observe(data, type=NON)
        three, _ = third.observe(data)
        assert one.option(coap.OBSERVE) is not None and two.option(coap.OBSERVE) is not None
        assert (three.says, three.payload, three.option(coap.OBSERVE)) == ("2.05", b"1", None)
        assert client.observe(data, type=NON, token=first_watch.token)[0].option(coap.OBSERVE) is not None   # the same again

        assert config(client.ask(coap.IPATCH, topic, payload=cbor({SUBSCRIBERS: 1}), options=CONF), "2.04")[SUBSCRIBERS] == 1
        gone = [s for s, w in ((client, first_watch), (second, second_watch)) if not s.silent()]
        assert len(gone) == 1                                        # its 4.04 came before the answer to our ping


def test_a_topic_is_read_in_part(client):
    topic, data = create(client, "a", also={TOPIC_TYPE: "x"})
    assert config(client.ask(coap.FETCH, topic, payload=cbor({FILTER: ["topic-data", TOPIC_TYPE, "media-type"]}), options=CONF), "2.05") == {
        DATA: "/" + data, TOPIC_TYPE: "x"}
    assert config(client.ask(coap.FETCH, topic, payload=cbor([DATA, FORMAT]), options=[(coap.CONTENT_FORMAT, uint(60))]), "2.05") == {DATA: "/" + data}
    assert client.ask(coap.FETCH, topic, payload=cbor({NAME: "a"}), options=CONF).says == "4.00"


def test_topics_are_found_by_their_properties(client):
    a, _ = create(client, "a", also={TOPIC_TYPE: "temperature"})
    b, _ = create(client, "b", also={TOPIC_TYPE: "temperature", FORMAT: 0})
    create(client, "c", also={TOPIC_TYPE: "light"})
    for wanted, found in (({TOPIC_TYPE: "temperature"}, {a, b}), ({TOPIC_TYPE: "temperature", FORMAT: 0}, {b}), ({NAME: "a"}, {a}),
                          ({DATA: "ps/data/b"}, {b}), ({TYPE: "other"}, set())):
        answer = client.ask(coap.FETCH, "ps", payload=cbor(wanted), options=CONF)
        assert set(listed(answer)) == {"/" + topic for topic in found}, wanted


@pytest.mark.parametrize("method", [coap.POST, coap.PUT])             # the draft's 21st version; older ones
def test_a_topic_is_updated(client, method):
    topic, data = create(client, "a", also={TOPIC_TYPE: "x", SUBSCRIBERS: 5})

    told = config(client.ask(coap.IPATCH, topic, payload=cbor({CHECK: 60}), options=CONF), "2.04")
    assert (told[CHECK], told[SUBSCRIBERS], told[TOPIC_TYPE]) == (60, 5, "x")
    told = config(client.ask(method, topic, payload=cbor({NAME: "a", TYPE: "core.ps.data", DATA: data, TOPIC_TYPE: "y"}), options=CONF), "2.04")
    assert told == {NAME: "a", DATA: "/" + data, TYPE: "core.ps.data", TOPIC_TYPE: "y", CHECK: 86400}   # what is not said is as at first
    for change in ({NAME: "b"}, {DATA: "ps/data/b"}, {TYPE: "other"}):
        assert client.ask(coap.IPATCH, topic, payload=cbor(change), options=CONF).says == "4.00"
    assert client.ask(method, topic, payload=cbor({TOPIC_TYPE: "z"}), options=CONF).says == "4.00"


def test_a_topic_ends_at_its_date(bridge, client):
    def date(seconds):
        return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    topic, data = create(client, "a", also={EXPIRES: date(3600)})
    client.put(data, "1")
    _, watch = client.observe(data)
    bridge.clock.advance(seconds=1800)
    assert client.get(topic).says == "2.05"
    bridge.clock.advance(seconds=5400)
    client.ping()
    assert watch.hear().says == "4.04"
    assert client.get(topic).says == client.get(data).says == client.get("r/a").says == "4.04"


def test_a_date_is_told_as_it_was_said(client):                      # tag 1; in older versions of the draft a text
    for said in (Tag((1, 4102444800)), "2100-01-01T00:00:00Z"):
        topic, _ = create(client, str(said), also={EXPIRES: said})
        assert config(client.get(topic), "2.05")[EXPIRES] == said
    assert len(listed(client.ask(coap.FETCH, "ps", payload=cbor({EXPIRES: Tag((1, 4102444800))}), options=CONF))) == 2
    for wrong in (4102444800, Tag((0, 4102444800)), Tag((1, 1)), Tag((1, -1))):
        assert client.post("ps", cbor({NAME: "x", TYPE: "t", EXPIRES: wrong}), options=CONF).says == "4.00"


def test_a_topic_begins_with_a_value(client):
    _, data = create(client, "a", also={FORMAT: 60, INITIALIZE: b"\x80"})
    answer = client.get(data)
    assert (answer.says, answer.uint(coap.CONTENT_FORMAT), answer.payload) == ("2.05", 60, b"\x80")
    assert client.put(data, b"\x81\1", options=[(coap.CONTENT_FORMAT, uint(60))]).says == "2.04"
    assert client.post("ps", cbor({NAME: "b", TYPE: "t", INITIALIZE: b"x"}), options=CONF).says == "4.00"    # of which format?


def past(client, data, **more):
    answer = client.get(data, **{"query": ["history"], **more})
    assert (answer.says, answer.uint(coap.CONTENT_FORMAT)) == ("2.05", 62), answer
    parts = uncbor(answer.payload)                                   # RFC 8710: a format, its bytes, a format ...
    return list(zip(parts[::2], parts[1::2]))


def test_earlier_values_are_kept_when_asked_for(bridge, client):
    topic, data = create(client, "a", also={HISTORY: 2})
    assert config(client.get(topic), "2.05")[HISTORY] == 2 and past(client, data) == []
    for value in "1234":
        client.put(data, value, options=TEXT)
    client.post("r/a", "an event")                                   # which is no state
    assert client.get(data).payload == b"4"
    assert past(client, data) == [(0, b"3"), (0, b"2")] and past(client, data, query=["history=1"]) == [(0, b"3")]

    assert config(client.ask(coap.IPATCH, topic, payload=cbor({HISTORY: 3}), options=CONF), "2.04")[HISTORY] == 3
    bridge.put("a", {"v": 5})                                        # from wherever
    client.put(data, "6")
    assert past(client, data) == [(50, b'{"v":5}'), (0, b"4"), (0, b"3")]
    assert config(client.ask(coap.IPATCH, topic, payload=cbor({HISTORY: 1}), options=CONF), "2.04")[HISTORY] == 1
    assert past(client, data) == [(50, b'{"v":5}')]

    client.delete(data)                                              # what was deleted is gone
    client.put(data, "7")
    assert past(client, data) == []
    assert HISTORY not in config(client.ask(coap.IPATCH, topic, payload=cbor({HISTORY: 0}), options=CONF), "2.04")
    assert client.get(data, query=["history"]).says == "4.04"


def test_earlier_values_are_bounded(client):
    topic, data = create(client, "a", also={HISTORY: 2**32 - 1})
    assert config(client.get(topic), "2.05")[HISTORY] == 1000
    for n in range(24):
        client.put_all(data, bytes([n]) * 60_000)
    parts = uncbor(client.get_all(data, query=["history"]))
    kept = list(zip(parts[::2], parts[1::2]))
    assert [value[0] for _, value in kept] == list(range(22, 22 - len(kept), -1)) and len(kept) == (1 << 20) // 60_130
    for n in range(2100):                                            # each promises room for 1000
        answer = client.post("ps", cbor({NAME: f"t/{n}", TYPE: "t", HISTORY: 1000}), options=CONF)
    assert answer.says == "2.01" and HISTORY not in uncbor(answer.payload)
    assert client.get(data, query=["history=x"]).says == "4.00" and client.get(data, query=["history"], options=[(coap.ACCEPT, uint(50))]).says == "4.06"


def test_the_rules_hold_for_earlier_values(bridge, client):
    _, data = create(client, "secret", also={HISTORY: 2})
    client.put(data, "1"), client.put(data, "2")

    @bridge.allow
    def rules(who, verb, path):
        return not path.startswith("secret") if who.startswith("coap") else None

    assert client.get(data, query=["history"]).says == "4.01"


def test_observers_are_checked_as_often_as_a_topic_says(bridge, client):
    _, data = create(client, "a", also={CHECK: 100, FORMAT: 0, INITIALIZE: b"0"})
    _, watch = client.observe(data, type=NON)
    client.put(data, "1", options=TEXT, type=NON)
    assert watch.hear().type == NON
    bridge.clock.advance(seconds=101)
    client.put(data, "2", options=TEXT, type=NON)
    assert watch.hear().type == coap.CON


def test_the_rules_hold_for_topics(bridge, client):
    secret, _ = create(client, "secret/x")

    @bridge.allow
    def rules(who, verb, path):
        return not path.startswith("secret") if who.startswith("coap") else None

    assert client.post("ps", cbor({NAME: "secret/y", TYPE: "t"}), options=CONF).says == "4.01"
    create(client, "open")
    assert client.get(secret).says == client.delete(secret).says == client.get("ps/data/secret/x").says == "4.01"
    assert len(listed(client.get("ps"))) == 1


def test_it_is_one_broker_for_all_listeners(bridge, client):
    topic, data = create(client, "a")
    port = int(bridge.listen("coap+tcp://127.0.0.1:0/r").url.rsplit(":", 1)[1].split("/")[0])
    with Stream(port) as stream:
        assert stream.get(topic).says == "2.05"
        assert stream.put(data, "x").says == "2.01"


def test_methods_that_are_none(client):
    topic, _ = create(client, "a")
    assert client.put("ps", b"").says == client.delete("ps").says == client.ask(coap.PATCH, topic).says == "4.05"
    assert client.get("ps/none").says == "4.04"
