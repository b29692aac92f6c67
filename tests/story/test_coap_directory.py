"""The resource directory (RFC 9176): registering, updating, leaving, looking up, watching; on the bridge's clock."""
import re

import pytest

from peers import coap
from peers.coap import ACK, Message, Socket, Stream, uint

LINKS = '</sensors/temp>;rt="temperature-c";if="sensor",</sensors/light>;rt="light-lux";anchor="/x"'
FORMAT = [(coap.CONTENT_FORMAT, uint(40))]


def targets(answer):
    assert (answer.says, answer.uint(coap.CONTENT_FORMAT)) == ("2.05", 40), answer
    return re.findall(r"<([^>]*)>", answer.payload.decode())


def register(client, *query, links=LINKS):
    answer = client.post("rd", links, query=query, options=FORMAT)
    assert answer.says == "2.01", answer
    return "/".join(part.decode() for part in answer.all(coap.LOCATION_PATH))


@pytest.fixture
def client(bridge):
    with Socket(bridge.port("coap")) as it:
        yield it


def lookup(client, what, *query):
    return targets(client.get("rd-lookup/" + what, query=query))


def test_it_is_discovered(client):                                   # RFC 9176 4.3
    found = client.get(".well-known/core", query=["rt=core.rd*"]).payload.decode()
    assert '</rd>;rt="core.rd";ct=40' in found
    assert '</rd-lookup/ep>;rt="core.rd-lookup-ep";ct=40' in found and '</rd-lookup/res>;rt="core.rd-lookup-res";ct=40' in found


def test_links_of_an_endpoint_are_found(client):
    here = f"coap://127.0.0.1:{client.port}"
    location = register(client, "ep=node1")

    answer = client.get("rd-lookup/res")

    assert re.fullmatch(r"rd/\d+", location)
    assert answer.payload.decode() == (f'<{here}/sensors/temp>;rt="temperature-c";if="sensor",'
                                       f'<{here}/sensors/light>;rt="light-lux";anchor="{here}/x"')
    assert client.get("rd-lookup/ep").payload.decode() == f'</{location}>;base="{here}";ep="node1";lt=90000;ct=40;rt="core.rd-ep"'
    assert client.get(location).payload.decode() == LINKS


@pytest.mark.parametrize("base, link, whole", [
    ("coap://h:1", "/a", "coap://h:1/a"), ("coap://h", "a", "coap://h/a"), ("coap://h/x/y", "a", "coap://h/x/a"),
    ("coap://h/x", "/a", "coap://h/a"), ("coaps://h", "//other/a", "coaps://other/a"), ("coap://h", "http://w/a", "http://w/a"),
    ("coap+tcp://[::1]:9", "/a?b=c:d", "coap+tcp://[::1]:9/a?b=c:d")])
def test_targets_are_made_whole(client, base, link, whole):
    register(client, "ep=a", "base=" + base, links=f"<{link}>")
    assert lookup(client, "res") == [whole]


@pytest.fixture
def three(client):
    """ep and location of three endpoints."""
    return {
        "a": register(client, "ep=a", "d=floor1", "base=coap://a", "et=lamp", links='</l>;rt="light";ct=50,</t>;rt="temp x"'),
        "b": register(client, "ep=b", "d=floor1", "base=coap://b", "et=sensor", links='</t>;rt="temp"'),
        "c": register(client, "ep=c", "d=floor2", "base=coap://c", links=""),
    }


@pytest.mark.parametrize("query, found", [
    ([], "coap://a/l coap://a/t coap://b/t"), (["rt=temp"], "coap://a/t coap://b/t"), (["rt=li*"], "coap://a/l"),
    (["ep=a"], "coap://a/l coap://a/t"), (["d=floor1", "rt=temp"], "coap://a/t coap://b/t"), (["et=sensor"], "coap://b/t"),
    (["href=coap://a/*"], "coap://a/l coap://a/t"), (["href=coap://b/t"], "coap://b/t"), (["ep=a", "rt=x"], "coap://a/t"), (["rt=none"], ""),
    (["count=2"], "coap://a/l coap://a/t"), (["page=1", "count=2"], "coap://b/t"), (["page=9", "count=2"], ""), (["count=0"], "")])
def test_resources_are_looked_up(client, three, query, found):
    assert lookup(client, "res", *query) == found.split()


@pytest.mark.parametrize("query, found", [
    ([], "a b c"), (["rt=temp"], "a b"), (["rt=core.rd-ep"], "a b c"), (["d=floor2"], "c"), (["et=lamp"], "a"), (["base=coap://b"], "b"),
    (["ep=a", "rt=light"], "a"), (["ep=b", "rt=light"], ""), (["href=coap://b/t"], "b"), (["count=1", "page=1"], "b")])
def test_endpoints_are_looked_up(client, three, query, found):
    assert lookup(client, "ep", *query) == ["/" + three[name] for name in found.split()]


def test_an_endpoint_is_found_by_its_location(client, three):
    assert lookup(client, "ep", "href=/" + three["b"]) == ["/" + three["b"]]


def test_registering_again_keeps_the_location(client):
    first = register(client, "ep=a")
    assert register(client, "ep=a", links="</new>") == first
    assert [target[-4:] for target in lookup(client, "res")] == ["/new"]
    assert register(client, "ep=a", "d=elsewhere") != first          # another sector is another endpoint


def test_an_update_changes_what_it_says(client):                     # RFC 9176 5.3.1
    location = register(client, "ep=a", "et=x", "base=coap://a")

    assert client.post(location, query=["lt=600", "base=coap://b", "et=y"]).says == "2.04"

    assert client.get("rd-lookup/ep").payload.decode() == f'</{location}>;base="coap://b";ep="a";et="y";lt=600;ct=40;rt="core.rd-ep"'
    assert client.post(location, "</x>", options=FORMAT).says == "4.00"
    assert client.post(location, query=["ep=b"]).says == "4.00"


def test_a_base_that_nobody_said_follows_the_endpoint(bridge, client):
    location = register(client, "ep=a", links="</x>")
    with Socket(bridge.port("coap")) as moved:
        assert moved.post(location).says == "2.04"
        assert lookup(client, "res") == [f"coap://127.0.0.1:{moved.port}/x"]


def test_it_leaves(client):
    location = register(client, "ep=a")
    assert client.delete(location).says == "2.02"
    assert lookup(client, "res") == []
    for ask in (client.delete, client.post, client.get):
        assert ask(location).says == "4.04"


def test_a_lifetime_ends(bridge, client):
    register(client, "ep=short", "lt=60", "base=coap://s", links="</x>")
    long = register(client, "ep=long", "lt=120", "base=coap://l", links="</x>")

    bridge.clock.advance(seconds=61)
    assert lookup(client, "res") == ["coap://l/x"]
    client.post(long)                                                # an update lives on
    bridge.clock.advance(seconds=100)
    assert lookup(client, "res") == ["coap://l/x"]
    bridge.clock.advance(seconds=21)
    assert lookup(client, "res") == []


@pytest.mark.parametrize("query, links, options, says", [
    ([], "", FORMAT, "4.00"), (["ep="], "", FORMAT, "4.00"), (["ep=" + "x" * 64], "", FORMAT, "4.00"), (["ep=a", "ep=b"], "", FORMAT, "4.00"),
    (["ep=a", "lt=0"], "", FORMAT, "4.00"), (["ep=a", "lt=4294967296"], "", FORMAT, "4.00"), (["ep=a", "lt=x"], "", FORMAT, "4.00"),
    (["ep=a", "base=nothing"], "", FORMAT, "4.00"), (["ep=a", "base=coap://h?x"], "", FORMAT, "4.00"), (["ep=a", "a b=c"], "", FORMAT, "4.00"),
    (["ep=a", "count=1"], "", FORMAT, "4.00"), (["ep=a"], "<x", FORMAT, "4.00"), (["ep=a"], "x", [(coap.CONTENT_FORMAT, b"")], "4.15"),
    (["ep=a", *[f"x{i}=" + "y" * 200 for i in range(6)]], "", FORMAT, "4.00"), (["ep=a#"], "", FORMAT, "4.00")])
def test_what_is_no_registration(client, query, links, options, says):
    assert client.post("rd", links, query=query, options=options).says == says
    assert lookup(client, "ep") == []


def test_methods_and_places_that_are_none(client):
    assert client.get("rd").says == "4.05"
    assert client.put("rd", LINKS, query=["ep=a"]).says == "4.05"
    assert client.get("rd/7").says == client.get("rd/x").says == client.get("rd-lookup/gp").says == "4.04"
    assert client.get("rd-lookup/res", query=["page=1"]).says == "4.00"
    assert client.post("rd-lookup/res").says == "4.05"
    assert client.get("rd-lookup/res", options=[(coap.ACCEPT, uint(50))]).says == "4.06"


def test_links_go_in_and_out_in_blocks(client):
    many = ",".join(f'</r/{i}>;rt="type-{i}"' for i in range(200))
    answer = client.put_all("rd", many.encode(), 64, method=coap.POST, query=["ep=big", "base=coap://b"], options=FORMAT)
    assert answer.says == "2.01"
    assert client.get_all("rd-lookup/res", 128).decode() == many.replace("</", "<coap://b/")


def test_too_many_links_of_one_are_refused(client):
    assert client.put_all("rd", b"<" + b"x" * 66000 + b">", method=coap.POST, query=["ep=big"], options=FORMAT).says == "4.13"


def test_a_lookup_is_watched(bridge, client):                        # RFC 9176 6.2
    first, watch = client.observe("rd-lookup/res", query=["rt=temp"])
    assert targets(first) == [] and first.option(coap.OBSERVE) is not None

    location = register(client, "ep=a", "lt=60", "base=coap://a", links='</t>;rt="temp"')
    assert targets(watch.hear()) == ["coap://a/t"]
    register(client, "ep=b", "base=coap://b", links='</t>;rt="other"')   # changes nothing for this question
    client.post(location, query=["base=coap://c"])
    assert targets(watch.hear()) == ["coap://c/t"]
    bridge.clock.advance(seconds=61)
    client.ping()
    assert targets(watch.hear()) == []
    client.ask(coap.GET, "rd-lookup/res", query=["rt=temp"], token=watch.token, options=[(coap.OBSERVE, b"\1")])
    register(client, "ep=a", "base=coap://a", links='</t>;rt="temp"')
    assert client.silent()


def test_simple_registration_asks_the_device(client):                # RFC 9176 5.1
    client.send(client.request(coap.POST, ".well-known/rd", query=["ep=simple", "lt=600"]))
    heard = [client.hear_new(), client.hear_new()]
    done = next(m for m in heard if m.code >= 0x40)
    question = next(m for m in heard if m.code == coap.GET)
    assert done.says == "2.04" and question.all(coap.URI_PATH) == [b".well-known", b"core"]

    client.send(Message(ACK, coap.code("2.05"), question.id, question.token, FORMAT, b'</dev>;rt="d"'))

    client.ping()
    assert lookup(client, "res", "ep=simple") == [f"coap://127.0.0.1:{client.port}/dev"]
    for query in ([], ["ep=a", "base=coap://x"]):
        assert client.post(".well-known/rd", query=query).says == "4.00"
    assert client.get(".well-known/rd").says == "4.05"


def test_it_is_one_directory_for_all_listeners(bridge, client):
    port = int(bridge.listen("coap+tcp://127.0.0.1:0/r").url.rsplit(":", 1)[1].split("/")[0])
    with Stream(port) as stream:
        register(stream, "ep=tcp", links="</x>")
        here = "coap+tcp://127.0.0.1:%d" % stream.socket.getsockname()[1]
    assert lookup(client, "res") == [here + "/x"]


def test_the_rules_hold_for_it_too(bridge, client):
    @bridge.allow
    def rules(who, verb, path):
        return path == "rd/good" or (path == "rd" and verb == "GET") if path.startswith("rd") else None

    register(client, "ep=good")
    assert client.post("rd", LINKS, query=["ep=bad"], options=FORMAT).says == "4.01"
    assert len(lookup(client, "ep")) == 1


def test_it_can_be_left_out_and_is_where_every_path_is_somebodys(start_bridged):
    program = start_bridged("coap://127.0.0.1:0/r?rd=no", "coap+tcp://127.0.0.1:0", "coap+tcp://127.0.0.1:0?rd=yes")
    with Socket(program.port("coap")) as client:
        assert client.post("rd", LINKS, query=["ep=a"]).says == "4.04"
    ports = [int(url.rsplit(":", 1)[1].rstrip("/").split("?")[0]) for url in program.urls if url.startswith("coap+tcp")]
    with Stream(ports[0]) as plain, Stream(ports[1]) as with_it:
        assert plain.put("rd", "a value").says == "2.01"
        register(with_it, "ep=a")
