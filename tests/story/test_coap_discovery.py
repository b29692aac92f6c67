"""/.well-known/core (RFC 6690): what it says of paths, what users say of them, and its filters."""
import json
import re

import pytest

from peers import coap
from peers.coap import Socket, uint
from peers.http import Http


def links(text):
    """[(target, params), ...]"""
    return re.findall(r"<([^>]*)>((?:;[^,\"]*(?:\"(?:[^\"\\]|\\.)*\")?)*)", text.decode() if isinstance(text, bytes) else text)


def asked(client, *query):
    answer = client.get(".well-known/core", query=query)
    assert (answer.says, answer.uint(coap.CONTENT_FORMAT)) == ("2.05", 40)
    return dict(links(client.get_all(".well-known/core", query=query)))


def targets(client, *query):
    return {target for target in asked(client, *query) if target.startswith("/r/")}


@pytest.fixture
def client(bridge):
    with Socket(bridge.port("coap")) as it:
        yield it


@pytest.fixture
def types(bridge, client):
    """The four groups of TD_COAP_LINK_04 and _05."""
    for path, rt, interface in (("one", "Type1 Type2", "If1"), ("two", "Type2 Type3", "If2"), ("three", "Type1 Type3", "foo")):
        bridge.describe(path, rt=rt, if_=interface)
        client.put("r/" + path, "x")
    client.put("r/plain", "x" * 2000)


@pytest.mark.parametrize("query, found", [
    (["rt=Type2"], "one two"), (["rt=Type*"], "one two three"), (["rt=*"], "one two three"), (["rt=Type"], ""),
    (["if=If*"], "one two"), (["if=foo"], "three"), (["sz=*"], "plain"), (["href=/r/t*"], "two three"), (["href=/r/one"], "one"),
    (["rt=Type1", "if=foo"], "three"), (["obs"], "one two three plain"), (["nobody=has"], ""), (["ct=0"], ""),
])
def test_filters(client, types, query, found):
    assert targets(client, *query) == {"/r/" + name for name in found.split()}


def test_too_many_filters_are_refused(client):
    assert client.get(".well-known/core", query=[f"a{i}=1" for i in range(9)]).says == "4.00"


def test_what_is_said_stands_before_what_is_known(bridge, client):
    bridge.describe("home/{room}/temp", rt=["temperature", "x"], ct=110, title='Say "hi"', sz=7, own_thing="y")
    client.put("r/home/kitchen/temp", "1" * 1500, options=[(coap.CONTENT_FORMAT, uint(0))])
    client.put("r/home/kitchen/light", "1", options=[(coap.CONTENT_FORMAT, uint(0))])

    found = asked(client)

    assert found["/r/home/kitchen/temp"] == ';rt="temperature x";ct=110;title="Say \\"hi\\"";sz=7;own-thing="y";obs'
    assert found["/r/home/kitchen/light"] == ";ct=0;obs"


def test_the_most_specific_counts_and_it_can_be_taken_back(bridge, client):
    client.put("r/a/b", "1")
    bridge.describe("#", rt="any")
    exact = bridge.describe("a/b", rt="exact")
    assert asked(client)["/r/a/b"].startswith(';rt="exact"')

    exact.close()

    assert asked(client)["/r/a/b"].startswith(';rt="any"')


def test_owned_paths_are_described_too(bridge, client):
    bridge.describe("answer", rt="oracle")

    @bridge.resource("answer")
    def answer(request):
        return b"42"

    assert targets(client, "rt=oracle") == {"/r/answer"}


@pytest.mark.parametrize("attributes", [{"rt": ["x", 1]}])
def test_values_are_words(bridge, client, attributes):
    bridge.describe("a", **attributes)
    client.put("r/a", "1")
    assert asked(client)["/r/a"].startswith(';rt="x 1"')


def test_what_cannot_be_said(bridge):
    bridge.describe("a", rt="x")
    with pytest.raises(Exception, match="described already"):
        bridge.describe("a", rt="y")
    with pytest.raises(Exception, match="1024"):
        bridge.describe("b", rt="x" * 1100)
    with pytest.raises(ValueError):
        bridge.describe("a/#/b", rt="x")


def test_http_says_the_same(bridge, client):
    bridge.describe("a", rt="x")
    client.put("r/a", "1")
    with Http(bridge.port("http")) as http:
        answer = http.request("GET", "/.well-known/core")
    assert dict(links(answer.text))["/resources/a"].startswith(';rt="x"')


def test_the_config_says_it(start_bridged, tmp_path):
    config = tmp_path / "bridge.json"
    config.write_text(json.dumps({"resources": [
        {"path": "home/{room}/temp", "rt": "temperature", "if": "sensor", "ct": 110, "title": "Warm", "sz": 9, "obs": True}]}))
    program = start_bridged("coap://127.0.0.1:0/r", options=["-c", str(config)])
    with Socket(program.port("coap")) as client:
        client.put("r/home/x/temp", "1")
        assert asked(client)["/r/home/x/temp"] == ';rt="temperature";if="sensor";title="Warm";ct=110;sz=9;obs'


@pytest.mark.parametrize("resource, words", [
    ({"rt": "x"}, 'no "path"'), ({"path": "a", "rtt": "x"}, 'did you mean "rt"'), ({"path": "a", "ct": "x"}, "a whole number"),
    ({"path": "a/#/b"}, "a/#/b")])
def test_the_config_is_looked_at(bridged_program, tmp_path, resource, words):
    config = tmp_path / "bridge.json"
    config.write_text(json.dumps({"resources": [resource]}))
    code, _, said = bridged_program("-c", str(config), "--check-config")
    assert code and words in said, said
