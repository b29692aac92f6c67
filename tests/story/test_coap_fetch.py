"""FETCH, PATCH and iPATCH (RFC 8132): parts of a value, read, watched and changed."""
import json

import pytest

from peers import coap
from peers.coap import NON, Socket, block, uint

JSON, JSON_PATCH, MERGE_PATCH, SENML_JSON, SENML_CBOR, ETCH_JSON, ETCH_CBOR = 50, 51, 52, 110, 112, 320, 322
PACK = '[{"bn":"r1/","n":"temp","u":"Cel","v":21.5},{"n":"hum","u":"%RH","v":40},{"n":"door","vb":true}]'


def formatted(number):
    return [(coap.CONTENT_FORMAT, uint(number))]


@pytest.fixture
def client(bridged):
    with Socket(bridged.port("coap")) as it:
        assert it.put("r/pack", PACK, options=formatted(SENML_JSON)).says == "2.01"
        yield it


def fetch(client, names, **words):
    options = words.pop("options", [])
    body = json.dumps([{"n": name} for name in names])
    return client.ask(coap.FETCH, "r/pack", payload=body, options=[*formatted(ETCH_JSON), *options], **words)


def test_a_part_is_fetched(client):                                  # RFC 8790 3.1
    answer = fetch(client, ["r1/hum"])

    assert (answer.says, answer.uint(coap.CONTENT_FORMAT)) == ("2.05", SENML_JSON)
    [record] = json.loads(answer.payload)
    assert (record.get("bn", "") + record.get("n", ""), record["v"]) == ("r1/hum", 40)


def test_in_the_format_that_is_wanted(client):
    assert fetch(client, ["r1/hum"], options=[(coap.ACCEPT, uint(SENML_CBOR))]).uint(coap.CONTENT_FORMAT) == SENML_CBOR
    assert fetch(client, ["r1/hum"], options=[(coap.ACCEPT, uint(47))]).says == "4.06"


def test_what_is_not_there_is_an_empty_pack(client):
    assert json.loads(fetch(client, ["r1/nothing"]).payload) == []
    assert client.ask(coap.FETCH, "r/none", payload="[]", options=formatted(ETCH_JSON)).says == "4.04"


@pytest.mark.parametrize("payload, options, says", [
    (b"", [], "4.00"), (b"x", [], "4.15"), (b"x", formatted(0), "4.15"), (b"{}", formatted(JSON), "4.15"),
    (b"[{", formatted(ETCH_JSON), "4.00"), (b"\x81\xa1\x00", formatted(ETCH_CBOR), "4.00")])
def test_a_question_that_is_none(client, payload, options, says):
    assert client.ask(coap.FETCH, "r/pack", payload=payload, options=options).says == says


def test_a_part_is_watched(client):                                  # RFC 8132 2.4: FETCH with Observe
    first = fetch(client, ["r1/temp"], options=[(coap.OBSERVE, b"")], token=b"part", type=NON)
    assert first.option(coap.OBSERVE) is not None

    client.put("r/pack", PACK.replace("21.5", "22"), options=formatted(SENML_JSON))

    news = client.hear()
    assert news.token == b"part"
    [record] = json.loads(news.payload)
    assert record["v"] == 22
    assert fetch(client, ["r1/temp"], options=[(coap.OBSERVE, b"\1")], token=b"part").option(coap.OBSERVE) is None


def test_large_parts_come_in_blocks_with_and_without_the_question(client):
    many = [{"n": f"s{i}", "v": i} for i in range(200)]
    assert client.put_all("r/pack", json.dumps(many).encode(), options=formatted(SENML_JSON)).says == "2.04"
    names = [f"s{i}" for i in range(0, 200, 2)]

    for again in (True, False):
        num, body = 0, b""
        while True:
            question = json.dumps([{"n": name} for name in names]) if again or num == 0 else b""
            if num == 0:
                answer = client.put_all("r/pack", question.encode(), method=coap.FETCH, options=formatted(ETCH_JSON))
            else:
                answer = client.ask(coap.FETCH, "r/pack", payload=question,
                                    options=[*formatted(ETCH_JSON), (coap.BLOCK2, block(num, False, 1024))])
            assert answer.says == "2.05", answer
            body += answer.payload
            if not answer.block(coap.BLOCK2)[1]:
                break
            num += 1
        assert len(json.loads(body)) == 100


def test_an_owner_is_asked_with_the_question(bridge):
    @bridge.resource("device")
    def device(request):
        return request.payload[::-1]

    with Socket(bridge.port("coap")) as far:
        answer = far.ask(coap.FETCH, "r/device", payload="abc", options=formatted(0))
    assert (answer.says, answer.payload) == ("2.05", b"cba")


# ---- all that matches a pattern

def records(answer, format=SENML_JSON):
    assert (answer.says, answer.uint(coap.CONTENT_FORMAT)) == ("2.05", format), answer
    found, base = {}, ""
    for record in json.loads(answer.payload):
        base = record.get("bn", base)
        found[base + record.get("n", "")] = record.get("v", record.get("vs", record.get("vb")))
    return found


@pytest.fixture
def homes(client):
    client.put("r/home/a/temp", "21.5", options=formatted(0))
    client.put("r/home/b/temp", "19", options=formatted(0))
    client.put("r/home/b/pack", '[{"n":"x","v":1},{"n":"y","v":2}]', options=formatted(SENML_JSON))
    client.put("r/other/temp", "5", options=formatted(0))
    return client


def fetch_all(client, pattern, names=None, **words):
    options = words.pop("options", [])
    if names is not None:
        options = [*formatted(ETCH_JSON), *options]
    body = b"" if names is None else json.dumps([{"n": name} for name in names])
    return client.ask(coap.FETCH, pattern, payload=body, options=options, **words)


def test_records_of_all_that_matches(homes):                         # names are those of the pack that GET gives
    assert records(homes.get("r/home/#", options=[(coap.ACCEPT, uint(SENML_JSON))])) == {
        "home/a/temp": 21.5, "home/b/temp": 19, "home/b/pack/x": 1, "home/b/pack/y": 2}
    assert records(fetch_all(homes, "r/home/#", ["home/b/temp", "home/b/pack/y", "other/temp", "none"])) == {"home/b/temp": 19, "home/b/pack/y": 2}
    assert records(fetch_all(homes, "r/+/temp", ["other/temp"])) == {"other/temp": 5}
    assert records(fetch_all(homes, "r/none/+", ["other/temp"])) == records(fetch_all(homes, "r/home/#", [])) == {}
    assert fetch_all(homes, "r/home/#", ["home/b/temp"], options=[(coap.ACCEPT, uint(SENML_CBOR))]).uint(coap.CONTENT_FORMAT) == SENML_CBOR
    assert homes.ask(coap.FETCH, "r/home/#", payload=b"\x80", options=formatted(ETCH_CBOR)).uint(coap.CONTENT_FORMAT) == SENML_CBOR


def test_a_fetch_that_names_nothing_is_a_get(homes):
    assert fetch_all(homes, "r/home/+/temp").payload == homes.get("r/home/+/temp").payload
    assert json.loads(fetch_all(homes, "r/home/+/temp").payload) == {"home/a/temp": 21.5, "home/b/temp": 19}
    assert records(fetch_all(homes, "r/home/+/temp", options=[(coap.ACCEPT, uint(SENML_JSON))])) == {"home/a/temp": 21.5, "home/b/temp": 19}


@pytest.mark.parametrize("payload, options, says", [
    (b"", formatted(ETCH_JSON), "4.00"), (b"[{", formatted(ETCH_JSON), "4.00"), (b"x", [], "4.15"), (b"x", formatted(0), "4.15"), (b"{}", formatted(JSON), "4.15"),
    (b"{}", formatted(MERGE_PATCH), "4.15"), (b"[]", [*formatted(ETCH_JSON), (coap.ACCEPT, uint(JSON))], "4.06"), (b"", [(coap.ACCEPT, uint(47))], "4.06")])
def test_a_question_to_many_that_is_none(homes, payload, options, says):
    assert homes.ask(coap.FETCH, "r/home/#", payload=payload, options=options).says == says


def test_records_of_all_that_matches_are_watched(homes):
    first = fetch_all(homes, "r/home/+/temp", ["home/a/temp"], options=[(coap.OBSERVE, b"")], token=b"some", type=NON)
    assert first.option(coap.OBSERVE) is not None and records(first) == {"home/a/temp": 21.5}

    homes.put("r/home/a/temp", "22", options=formatted(0))
    news = homes.hear()
    assert news.token == b"some" and records(news) == {"home/a/temp": 22}

    _, watch = homes.observe("r/other/+", options=[(coap.ACCEPT, uint(SENML_JSON))], type=NON)
    homes.put("r/other/temp", "6", options=formatted(0))
    assert records(watch.hear()) == {"other/temp": 6}


# ---- PATCH and iPATCH

@pytest.mark.parametrize("method", [coap.PATCH, coap.IPATCH])
@pytest.mark.parametrize("format, body, says, after", [
    (JSON_PATCH, "[]", "4.04", None),
    (JSON_PATCH, '[{"op":"replace","path":"/a","value":1}]', "4.04", None),
    (JSON_PATCH, '[{"op":"test","path":"","value":1}]', "4.04", None),
    (JSON_PATCH, '[{"op":"add","path":"","value":{"a":1}}]', "2.01", b'{"a":1}'),
    (MERGE_PATCH, '{"a":1}', "2.01", b'{"a":1}'),
    (MERGE_PATCH, "null", "4.04", None),
    (ETCH_JSON, '[{"n":"x","v":null}]', "4.04", None),
    (ETCH_JSON, '[{"n":"x","v":3}]', "2.01", b'[{"n":"x","v":3}]'),
])
def test_a_patch_of_nothing(client, method, format, body, says, after):
    assert client.ask(method, "r/fresh", payload=body, options=formatted(format)).says == says
    answer = client.get("r/fresh")
    assert answer.payload == after if after else answer.says == "4.04"


@pytest.mark.parametrize("format, body, says", [
    (JSON_PATCH, '[{"op":"test","path":"/a","value":2}]', "4.09"),
    (JSON_PATCH, '[{"op":"remove","path":"/z"}]', "4.22"),
    (JSON_PATCH, '{"op":"remove"}', "4.00"),
    (JSON, '{"a":2}', "4.15"),
])
def test_a_patch_that_cannot_be(client, format, body, says):         # RFC 8132 3.4
    client.put("r/x", '{"a":1}', options=formatted(JSON))

    assert client.ask(coap.IPATCH, "r/x", payload=body, options=formatted(format)).says == says
    assert client.get("r/x").payload == b'{"a":1}'


def test_a_pack_is_changed_in_part(client):                          # RFC 8790 3.2
    change = '[{"n":"r1/temp","v":19},{"n":"r1/door","v":null},{"n":"r1/new","vs":"x"}]'

    assert client.ask(coap.IPATCH, "r/pack", payload=change, options=formatted(ETCH_JSON)).says == "2.04"

    names = {}
    base = ""
    for record in json.loads(client.get("r/pack").payload):
        base = record.get("bn", base)
        names[base + record.get("n", "")] = record
    assert names["r1/temp"]["v"] == 19 and "r1/door" not in names and names["r1/new"]["vs"] == "x"
