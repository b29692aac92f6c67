"""Questions over MQTT 5: a client asks what HTTP and CoAP ask, and a client answers what they ask (docs/mapping.md 11)."""
import threading

import pytest

from peers.coap import Socket
from peers.http import Http
from peers.mqtt import SUBACK, Client, publish, subscribe

paho = pytest.importorskip("paho.mqtt.client")
from paho.mqtt.packettypes import PacketTypes  # noqa: E402
from paho.mqtt.properties import Properties  # noqa: E402


class Asker(Client):
    """Asks, and waits for the answers at its own reply topic."""

    def __init__(self, port, name="asker", **options):
        super().__init__(port, 5)
        self.connect(name, props={"wants_response_info": 1}, **options)
        self.room = self.connack.props["response_info"]
        self.count = 0
        assert self.subscribe((self.room + "#", 2)) == [2]

    def ask(self, path, method=None, payload=b"", qos=1, retain=False, **words):
        self.count += 1
        correlation = b"\0number %d\xff" % self.count
        users = [("method", method)] * bool(method) + [*words.items()]
        self.publish(path, payload, qos=qos, retain=retain,
                     props=[("response_topic", self.room + "x"), ("correlation", correlation)] + [("user", u) for u in users])
        answer = self.message()
        assert (answer.topic, answer.qos, answer.retain) == (self.room + "x", qos, False)
        assert answer.props["correlation"] == correlation and "response_topic" not in answer.props
        said = dict(answer.props["user"])
        return said["status"], said["code"], answer.payload


class Responder(Client):
    """Answers for a filter; every question is told to `answer`, what it gives back is published."""

    def __init__(self, port, filter, answer=None, name="responder", qos=1, **options):
        super().__init__(port, 5)
        self.connect(name, **options)
        self.answer = answer
        pid = next(self.pids)
        self.send(subscribe(pid, (filter, qos), props=[("user", ("responder", "true"))], version=5))
        self.suback = self.wait_for(SUBACK, pid)
        if answer:
            self.thread = threading.Thread(target=self.work, daemon=True)
            self.thread.start()

    def work(self):
        try:
            while True:
                q = self.message()
                said = dict(q.props["user"])
                payload, props = self.answer(said["method"], q.topic, q.payload, q)
                self.send(publish(q.props["response_topic"], payload, 0, version=5,
                                  props=[("correlation", q.props["correlation"]), *props]))
        except Exception:  # the connection is gone: the test is over
            pass


@pytest.fixture
def port(bridged):
    return bridged.port


# ---- a client asks the application

@pytest.fixture
def app(bridge):
    kept = {}

    @bridge.resource("things/{name}")
    def thing(request, name):
        if request.verb == "PUT":
            kept[name] = request.message.payload
            return None
        if request.verb == "GET" and name not in kept:
            raise LookupError(name)
        if request.verb == "POST":
            return "posted " + request.message.payload.decode()
        if request.verb == "DELETE":
            kept.pop(name)
            return None
        return kept[name].decode()

    @bridge.resource("broken")
    def broken(request):
        raise TimeoutError("no")
    return bridge


def port_of(bridge, scheme):
    return next(int(url.rstrip("/").rsplit(":", 1)[1]) for url in bridge.listeners if url.startswith(scheme + ":"))


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_every_verb(app, qos):
    with Asker(port_of(app, "mqtt")) as c:
        assert c.ask("things/a", "GET", qos=qos)[:2] == ("NOTFOUND", "4.04")
        assert c.ask("things/a", "PUT", b"1", qos=qos)[:2] == ("OK", "2.04")
        assert c.ask("things/a", "GET", qos=qos) == ("OK", "2.05", b"1")
        assert c.ask("things/a", "get", qos=qos) == ("OK", "2.05", b"1")
        assert c.ask("things/a", "POST", b"x", qos=qos) == ("OK", "2.04", b"posted x")
        assert c.ask("things/a", "DELETE", qos=qos)[:2] == ("OK", "2.02")
        assert c.ask("things/a", "GET", qos=qos)[:2] == ("NOTFOUND", "4.04")
        assert c.ask("things/a", "BREW", qos=qos)[:2] == ("METHOD", "4.05")
        assert c.ask("broken", "GET", qos=qos)[:2] == ("TIMEOUT", "5.04")


def test_without_a_method_it_is_as_the_publish_says(app):
    with Asker(port_of(app, "mqtt")) as c:
        assert c.ask("things/a", payload=b"2", retain=True)[:2] == ("OK", "2.04")
        assert c.ask("things/a") == ("OK", "2.05", b"2")
        assert c.ask("things/a", payload=b"x") == ("OK", "2.04", b"posted x")
        assert c.ask("things/a", retain=True)[:2] == ("OK", "2.02")
        assert c.ask("things/a")[:2] == ("NOTFOUND", "4.04")


def test_a_value_without_an_owner_answers_too(port):
    with Asker(port("mqtt")) as c, Http(port("http")) as http:
        assert http.request("PUT", "/resources/a", '{"x":1}', {"content-type": "application/json"}).status == 201

        assert c.ask("a", "GET") == ("OK", "2.05", b'{"x":1}')
        assert c.ask("a", "PATCH", b'{"y":2}')[0] != "OK"  # of no format
        assert c.ask("a", "PUT", b"3")[:2] == ("OK", "2.04")
        assert http.request("GET", "/resources/a").body == b"3"
        assert c.ask("a", "DELETE")[:2] == ("OK", "2.02")
        assert http.request("GET", "/resources/a").status == 404


@pytest.mark.parametrize("answers, user", [("$reply", []), ("answers/c", [("method", "GET")])])
def test_clients_that_talk_to_each_other_are_left_alone(port, answers, user):
    """Response Topics between plain clients: nobody owns the path, so the PUBLISH goes to who subscribed [5: 4.10]."""
    with Asker(port("mqtt")) as c, Client(port("mqtt"), 5).connect("service") as service:
        answers = answers.replace("$reply", c.room + "x")
        c.subscribe((answers, 1))
        service.subscribe(("service", 1))
        c.publish("service", b"?", qos=1,
                  props=[("response_topic", answers), ("correlation", b"c"), *(("user", pair) for pair in user)])
        q = service.message()
        assert (q.props["response_topic"], q.props["correlation"], q.props.get("user", [])) == (answers, b"c", user)
        service.publish(q.props["response_topic"], b"!", qos=1, props={"correlation": q.props["correlation"]})
        a = c.message()
        assert (a.payload, a.props) == (b"!", {"correlation": b"c"})


# ---- response information

def test_response_information_is_for_who_asks(port):
    with Client(port("mqtt"), 5).connect("me", props={"wants_response_info": 1}) as c:
        assert c.connack.props["response_info"] == "$reply/me/"
    for client_id, props in (("me", None), ("me", {"wants_response_info": 0}), ("a/b", {"wants_response_info": 1}),
                             ("a+", {"wants_response_info": 1})):
        with Client(port("mqtt"), 5).connect(client_id, props=props) as c:
            assert "response_info" not in c.connack.props
    with Client(port("mqtt"), 5).connect("", props={"wants_response_info": 1}) as c:
        assert c.connack.props["response_info"] == f"$reply/{c.connack.props['assigned_id']}/"


def test_nobody_else_hears_the_answers(port):
    with Client(port("mqtt"), 5).connect("me") as me, Client(port("mqtt"), 5).connect("spy") as spy, Http(port("http")) as http:
        assert me.subscribe(("$reply/me/#", 1)) == [1]
        for f in ("$reply/me/#", "$reply/+/x", "$reply/#", "$reply/me", "$share/g/$reply/me/#", "$reply//x"):
            assert spy.subscribe((f, 1)) == [0x87], f
        assert spy.subscribe(("#", 1), ("+/+/x", 1)) == [1, 1]
        assert http.request("GET", "/resources/$reply/me/x").status == 404
        assert http.request("GET", "/resources/$reply/+/x", headers={"accept": "text/event-stream"}).status == 403

        spy.publish("$reply/me/x", b"1", qos=1)

        assert me.message().payload == b"1"
        assert spy.publish("$reply/me/x", b"1", qos=1, retain=True).reason == 0x87
        spy.nothing()


# ---- a client answers

def test_http_and_coap_ask_a_client(port):
    asked = []

    def answer(method, topic, payload, q):
        asked.append((method, topic, payload, dict(q.props["user"]).get("query")))
        return {"GET": (b'{"on":true}', [("content_type", "application/json"), ("message_expiry", 100)]),
                "PUT": (b"", [("user", ("status", "CREATED"))]),
                "POST": (b"done", []), "DELETE": (b"", [])}.get(method, (b"cannot", [("user", ("code", "4.05"))]))

    with Responder(port("mqtt"), "lamps/#", answer) as r, Http(port("http")) as http, Socket(port("coap")) as coap:
        assert r.suback.codes == [1]
        got = http.request("GET", "/resources/lamps/1")
        assert (got.status, got.body, got["content-type"]) == (200, b'{"on":true}', "application/json")
        assert http.request("PUT", "/resources/lamps/2", "x").status == 201
        assert coap.put("r/lamps/3", b"y").says == "2.01"
        assert coap.get("r/lamps/4").payload == b'{"on":true}'
        assert (http.request("POST", "/resources/lamps/5", "z").body, http.request("DELETE", "/resources/lamps/6").status) == (b"done", 204)
        assert http.request("PATCH", "/resources/lamps/7", "{}", {"content-type": "application/merge-patch+json"}).status == 405
        assert [a[:3] for a in asked] == [
            ("GET", "lamps/1", b""), ("PUT", "lamps/2", b"x"), ("PUT", "lamps/3", b"y"), ("GET", "lamps/4", b""),
            ("POST", "lamps/5", b"z"), ("DELETE", "lamps/6", b""), ("PATCH", "lamps/7", b"{}")]


@pytest.mark.parametrize("said, http_status, coap_code", [
    (("status", "NOTFOUND"), 404, "4.04"), (("code", "4.03"), 403, "4.03"), (("status", "409"), 409, "4.09"),
    (("status", "BUSY"), 429, "4.29"), (("status", "whatever"), 500, "5.00"), (("status", "5.04"), 504, "5.04"),
])
def test_errors_of_a_responder(port, said, http_status, coap_code):
    with Responder(port("mqtt"), "x/+", lambda *_: (b"a reason", [("user", said)])), Http(port("http")) as http, \
            Socket(port("coap")) as coap, Asker(port("mqtt")) as c:
        assert http.request("GET", "/resources/x/1").status == http_status
        assert coap.get("r/x/1").says == coap_code
        assert c.ask("x/1", "GET")[1:] == (coap_code, b"a reason")


def test_the_oldest_responder_stays(port):
    with Responder(port("mqtt"), "one/+", lambda *_: (b"first", [])), Http(port("http")) as http, \
            Responder(port("mqtt"), "one/+", name="second") as second:
        assert second.suback.codes == [0x83] and "already" in second.suback.props["reason_string"]
        assert http.request("GET", "/resources/one/x").body == b"first"
        assert second.subscribe(("one/+", 1)) == [1]  # listening is another thing


def test_who_leaves_is_not_asked(port):
    with Http(port("http")) as http, Http(port("http")) as other, Socket(port("coap")) as coap:
        r = Responder(port("mqtt"), "gone/#", props={"session_expiry": 100})
        http.send(b"GET /resources/gone/x HTTP/1.1\r\nHost: x\r\n\r\n")
        assert r.message().topic == "gone/x"
        r.drop()
        assert http.answer().status == 502  # it was asked, and is gone
        assert other.request("GET", "/resources/gone/x").status == 502  # its session is there, it is not
        assert coap.get("r/gone/x").says == "5.02"
        again = Client(port("mqtt"), 5).connect("responder", clean=True)
        assert other.request("GET", "/resources/gone/x").status == 404  # nobody answers for it
        again.disconnect()


def test_a_session_that_comes_back_answers_again(port):
    with Http(port("http")) as http:
        Responder(port("mqtt"), "back/#", props={"session_expiry": 100}).drop()
        with Client(port("mqtt"), 5).connect("responder", clean=False, props={"session_expiry": 100}) as r:
            assert r.connack.session_present
            http.send(b"GET /resources/back/x HTTP/1.1\r\nHost: x\r\n\r\n")
            q = r.message()
            r.publish(q.props["response_topic"], b"here", qos=1)
            assert http.answer().body == b"here"
            assert r.unsubscribe("back/#") == [0]
            assert r.unsubscribe("back/#") == [0x11]
            assert http.request("GET", "/resources/back/x").status == 404


def test_only_who_was_asked_can_answer(port):
    with Responder(port("mqtt"), "secret/#") as r, Http(port("http")) as http, Client(port("mqtt"), 5).connect("thief") as thief:
        http.send(b"GET /resources/secret/x HTTP/1.1\r\nHost: x\r\n\r\n")
        q = r.message()
        assert q.props["message_expiry"] <= 5 and dict(q.props["user"])["method"] == "GET"
        assert thief.publish(q.props["response_topic"], b"lie", qos=1).reason == 0x10
        assert r.publish(q.props["response_topic"], b"truth", qos=1).reason == 0
        assert http.answer().body == b"truth"
        assert r.publish(q.props["response_topic"], b"twice", qos=1).reason == 0x10


def test_one_client_asks_another_and_silence_is_a_timeout(port):
    with Responder(port("mqtt"), "slow/#") as r, Asker(port("mqtt")) as c:
        assert c.ask("slow/x", "GET", timeout="50")[:2] == ("TIMEOUT", "5.04")
        late = r.message()
        assert r.publish(late.props["response_topic"], b"late", qos=1).reason == 0x10
        c.nothing()


def test_silence_is_a_timeout_over_http_and_coap(port):
    with Responder(port("mqtt"), "deaf/#") as r, Http(port("http")) as http, Socket(port("coap")) as coap:
        http.send(b"GET /resources/deaf/x HTTP/1.1\r\nHost: x\r\nPrefer: wait=1\r\n\r\n")
        asked = r.message()
        assert http.answer().status == 504
        assert r.publish(asked.props["response_topic"], b"late", qos=1).reason == 0x10  # nobody waits for it any more

        assert coap.get("r/deaf/x").says == "5.04"
        asked = r.message()
        assert r.publish(asked.props["response_topic"], b"late", qos=1).reason == 0x10


def test_what_the_policy_refuses(start_bridged, tmp_path):
    (tmp_path / "rules").write_text("topic readwrite open/#\ntopic write half/+\ntopic read half/#\ntopic read r/#\npattern readwrite $reply/%c/#\n")
    port = start_bridged(f"mqtt://127.0.0.1:0?acl_file={tmp_path}/rules").port("mqtt")
    for f, code in (("open/#", 1), ("open/a/+", 1), ("half/#", 0x87), ("half/+", 1), ("#", 0x87), ("other", 0x87), ("$share/g/open/#", 0x83)):
        with Responder(port, f) as r:
            assert r.suback.codes == [code], f
    with Responder(port, "open/#", lambda *_: (b"1", [])), Asker(port) as c:
        assert c.ask("open/x", "GET") == ("OK", "2.05", b"1")
        refused = c.publish("open/x", b"", qos=1, props=[("response_topic", "r/x"), ("user", ("method", "GET"))])
        assert refused.reason == 0x87  # it may not write there, so nothing may be written there for it
        c.nothing()


def test_paho_answers_http(port):
    ready = threading.Event()
    client = paho.Client("lamp", protocol=paho.MQTTv5)

    def on_connect(c, *_):
        props = Properties(PacketTypes.SUBSCRIBE)
        props.UserProperty = [("responder", "true")]
        c.subscribe("paho/lamp", 1, properties=props)

    def on_message(c, _user, q):
        props = Properties(PacketTypes.PUBLISH)
        props.CorrelationData = q.properties.CorrelationData
        props.ContentType = "application/json"
        c.publish(q.properties.ResponseTopic, b'{"asked":"%s"}' % dict(q.properties.UserProperty)["method"].encode(), 1, properties=props)
    client.on_connect, client.on_message, client.on_subscribe = on_connect, on_message, lambda *_: ready.set()
    client.connect("127.0.0.1", port("mqtt"))
    client.loop_start()
    assert ready.wait(20)

    with Http(port("http")) as http, Socket(port("coap")) as coap:
        assert http.request("GET", "/resources/paho/lamp").json == {"asked": "GET"}
        assert coap.put("r/paho/lamp", b"1").payload == b'{"asked":"PUT"}'

    client.disconnect()
    client.loop_stop()
