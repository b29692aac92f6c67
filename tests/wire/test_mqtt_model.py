"""A model of sessions and QoS, played against the server by random clients that come, go and break off at any byte.

What is checked, for every session that lasts: nothing acknowledged is lost, nothing at QoS 2 is doubled, each publisher's
messages of one QoS keep their order, and what was in flight comes again with the same identifiers (MQTT 5 4.3, 4.4, 4.6)."""
import itertools

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from peers.mqtt import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, Client, ack, publish

RUNS = itertools.count()
TOPICS = ("a", "b", "c/d")
FILTERS = {"a": {"a"}, "b": {"b"}, "c/+": {"c/d"}, "#": set(TOPICS)}


class Listener:
    """One session as its client sees it."""

    def __init__(self, port, version, name, prefix):
        self.port, self.version, self.name, self.prefix = port, version, name, prefix
        self.link = None
        self.filters = {}  # filter -> qos
        self.wanted = {1: [], 2: []}  # payloads that must come, in order
        self.maybe = {1: set(), 2: set()}  # may come as well: their publisher never heard of it
        self.heard = {1: [], 2: []}
        self.unacked = []  # packets that we did not answer, in order
        self.taken = set()  # identifiers of QoS 2 between PUBLISH and PUBREL
        self.came = False
        self.doubtful = set()  # QoS 1 that was sent twice

    def connect(self, clean):
        if self.link:
            return
        props = {"session_expiry": 1000} if self.version == 5 else None
        if clean:
            with Client(self.port, self.version).connect(self.name, clean=True, props=props) as c:
                assert not c.connack.session_present
                c.disconnect()
            self.__init__(self.port, self.version, self.name, self.prefix)
            self.came = self.version == 5
        self.link = Client(self.port, self.version).connect(self.name, clean=False, props=props)
        assert self.link.connack.session_present == self.came
        self.came = True
        before, self.unacked = self.unacked, []
        self.read()
        again = self.unacked[:len(before)]
        for kind in (PUBLISH, PUBREL):
            assert [p.pid for p in again if p.type == kind] == [p.pid for p in before if p.type == kind], \
                f"in flight again, in the same order: {again}, not {before}"
        assert all(p.dup for p in again if p.type == PUBLISH)

    def lose(self):
        if self.link:
            self.link.drop()
            self.link = None

    def read(self):
        """All that has come until now."""
        self.link.ping()
        for p in self.link.kept:
            if p.type == PUBLISH and p.qos:
                payload = int(p.payload)
                if p.qos == 1:
                    if not (p.dup and payload in self.heard[1]):
                        self.heard[1].append(payload)
                elif p.pid not in self.taken:
                    self.taken.add(p.pid)
                    self.heard[2].append(payload)
            elif p.type == PUBREL:
                self.taken.discard(p.pid)
            if p.type == PUBREL or p.qos:
                self.unacked.append(p)
        self.link.kept = []

    def answer(self, count):
        """Acknowledges the first few, as the order of exchanges wants it."""
        now, self.unacked = self.unacked[:count], self.unacked[count:]
        for p in now:
            kind = PUBCOMP if p.type == PUBREL else PUBACK if p.qos == 1 else PUBREC
            self.link.send(ack(kind, p.pid))
        self.read()

    def drain(self):
        self.connect(False)
        self.read()
        while self.unacked:
            self.answer(len(self.unacked))

    def qos_for(self, topic, qos):
        granted = [g for f, g in self.filters.items() if topic in FILTERS[f]]
        return min(qos, max(granted)) if granted else 0

    def check(self):
        for qos in (1, 2):
            got = self.heard[qos]
            assert len(got) == len(set(got)), f"QoS {qos} doubled: {got}"
            missing = [p for p in self.wanted[qos] if p not in set(got)]
            assert not missing, f"QoS {qos} lost {missing}"
            unknown = set(got) - set(self.wanted[qos]) - self.maybe[qos]
            assert not unknown, f"QoS {qos} never sent: {unknown}"
            assert [p for p in got if p in set(self.wanted[qos])] == self.wanted[qos], "order"


class Sessions:
    def __init__(self, port, versions):
        self.port = port
        self.prefix = f"model{next(RUNS)}/"
        self.listeners = [Listener(self.port, v, f"{self.prefix}{n}", self.prefix) for n, v in enumerate(versions)]
        self.payloads = itertools.count(1)
        self.sender = Client(self.port, 5).connect(self.prefix + "sender")
        self.pids = itertools.count(1)

    def connects(self, n, clean):
        self.listeners[n].connect(clean)

    def is_lost(self, n):
        self.listeners[n].lose()

    def says_goodbye(self, n):
        if self.listeners[n].link:
            self.listeners[n].read()
            self.listeners[n].link.disconnect()
            self.listeners[n].link = None

    def subscribes(self, n, topic_filter, qos):
        listener = self.listeners[n]
        if listener.link:
            assert listener.link.subscribe((self.prefix + topic_filter, qos)) == [qos]
            listener.filters[topic_filter] = qos
            listener.read()

    def unsubscribes(self, n, topic_filter):
        listener = self.listeners[n]
        if listener.link:
            listener.link.unsubscribe(self.prefix + topic_filter)
            listener.filters.pop(topic_filter, None)
            listener.read()

    def is_published(self, topic, qos, count):
        for _ in range(count):
            payload = next(self.payloads)
            self.sender.publish(self.prefix + topic, str(payload), qos=qos, pid=next(self.pids))
            for listener in self.listeners:
                got = listener.qos_for(topic, qos)
                if got:
                    listener.wanted[got].append(payload)

    def is_cut_off_while_publishing(self, topic, qos, cut, resend):
        """A publisher that breaks off at any byte, and maybe comes back to finish: then it counts, once at QoS 2."""
        payload, name = next(self.payloads), f"{self.prefix}cut{next(self.payloads)}"
        data = publish(self.prefix + topic, str(payload), qos, 7, version=4)
        c = Client(self.port, 4).connect(name, clean=False)
        c.send(data if isinstance(cut, str) else data[:min(cut, len(data) - 1)])
        if cut == "answered":
            c.wait_for(PUBACK if qos == 1 else PUBREC, 7)
        c.socket.close() if cut == "sent" else c.drop()
        if resend:
            c = Client(self.port, 4).connect(name, clean=False)
            c.send(publish(self.prefix + topic, str(payload), qos, 7, dup=True, version=4))
            c.wait_for(PUBACK if qos == 1 else PUBREC, 7)
            if qos == 2:
                c.send(ack(PUBREL, 7))
                c.wait_for(PUBCOMP, 7)
            c.disconnect()
        for listener in self.listeners:
            got = listener.qos_for(topic, qos)
            if got == 2 and (resend or cut == "answered"):
                listener.wanted[2].append(payload)
            elif got and (resend or cut == "answered"):
                listener.wanted[1].append(payload)
            elif got:
                listener.maybe[got].add(payload)
        if resend and qos == 1:
            self.allow_double(payload)
        self.sender.ping()
        with Client(self.port, 4).connect(name) as last:  # nothing of it comes later
            last.disconnect()

    def allow_double(self, payload):
        for listener in self.listeners:
            listener.doubtful.add(payload)

    def reads(self, n):
        if self.listeners[n].link:
            self.listeners[n].read()

    def acknowledges(self, n, count):
        if self.listeners[n].link:
            self.listeners[n].read()
            self.listeners[n].answer(count)

    def breaks_off_while_acknowledging(self, n, count, cut):
        """Some acknowledgements, the first bytes of one more, and gone: that one was not given."""
        listener = self.listeners[n]
        if listener.link:
            listener.read()
            listener.answer(count)
            if listener.unacked:
                p = listener.unacked[0]
                listener.link.send(ack(PUBCOMP if p.type == PUBREL else PUBACK if p.qos == 1 else PUBREC, p.pid)[:cut])
            listener.lose()

    def teardown(self):
        for listener in self.listeners:
            listener.drain()
            for payload in listener.doubtful:  # QoS 1 published twice is heard once or twice
                while listener.heard[1].count(payload) > 1:
                    listener.heard[1].remove(payload)
            listener.check()
            listener.link.disconnect(*([0, {"session_expiry": 0}] if listener.version == 5 else []))
            if listener.version == 4:
                Client(self.port, 4).connect(listener.name).disconnect()
        self.sender.disconnect()


def step(name, **arguments):
    return st.tuples(st.just(name), st.fixed_dictionaries(arguments))


who, topics, filters = st.integers(0, 2), st.sampled_from(TOPICS), st.sampled_from(sorted(FILTERS))
clean = st.sampled_from([False, False, False, False, True])
BEGIN = [("connects", {"n": n, "clean": False}) for n in range(3)] + [
    ("subscribes", {"n": n, "topic_filter": "#", "qos": qos}) for n, qos in enumerate((1, 2, 2))]
STEPS = st.lists(st.one_of(
    step("connects", n=who, clean=clean), step("connects", n=who, clean=clean), step("is_lost", n=who),
    step("says_goodbye", n=who), step("subscribes", n=who, topic_filter=filters, qos=st.integers(0, 2)),
    step("unsubscribes", n=who, topic_filter=filters), step("reads", n=who),
    step("is_published", topic=topics, qos=st.integers(0, 2), count=st.integers(1, 5)),
    step("is_published", topic=topics, qos=st.integers(1, 2), count=st.integers(1, 5)),
    step("is_cut_off_while_publishing", topic=topics, qos=st.integers(1, 2), resend=st.booleans(),
         cut=st.one_of(st.integers(0, 40), st.sampled_from(["sent", "answered"]))),
    step("breaks_off_while_acknowledging", n=who, count=st.integers(0, 3), cut=st.integers(1, 3)),
    step("acknowledges", n=who, count=st.integers(1, 6))), min_size=10, max_size=50)


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(versions=st.tuples(*[st.sampled_from([4, 5])] * 3), steps=STEPS)
def test_sessions_and_qos_follow_the_model(mqtt_port, versions, steps):
    model = Sessions(mqtt_port, versions)
    for name, arguments in BEGIN + steps:
        getattr(model, name)(**arguments)
    model.teardown()
