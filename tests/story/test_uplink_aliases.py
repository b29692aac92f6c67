"""Topic aliases between an uplink and its broker: nobody else may notice.  Packet by packet: tests/unit/test_uplink_aliases.c."""
import pytest

from conftest import built_adapters
from peers.broker import Broker
from peers.process import wait_until

pytestmark = pytest.mark.skipif("uplink" not in built_adapters(), reason="uplinks are not in this build")

LONG = 30.0
TOPICS = [f"plant/line-{n}/machine/temperature" for n in range(40)]


@pytest.fixture
def make(make_bridge):
    return lambda *urls, **options: make_bridge(*urls, clock=None, patience=LONG, **options)


def say(bridge, round_, qos):
    for n in range(3):
        for topic in TOPICS:
            bridge.publish(topic, f"{round_} {n} {topic}", qos=qos)


def hear(listener, round_):
    """Each value names the topic that it is to come under; of one topic they come in order."""
    heard = [listener.line(LONG).split(" ", 1) for _ in range(3 * len(TOPICS))]
    for topic in TOPICS:
        assert [text for where, text in heard if where == f"cloud/{topic}"] == [f"{round_} {n} {topic}" for n in range(3)]


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("most", [0, 1, 10, 100])
def test_topics_are_right_at_a_broker_that_takes_aliases(make, tmp_path, most, qos):
    broker = Broker(tmp_path, "listener {port} 127.0.0.1", "allow_anonymous true", f"max_topic_alias {most}")
    try:
        listener = broker.clients.subscribe("cloud/#", options=("-v", "-q", "2"))
        bridge = make()
        uplink = bridge.connect(broker.url(f"name=cloud&clean=no&client_id=site&retry_min=20&retry_max=200&out=plant/{{p...}}>cloud/plant/{{p...}}"))
        uplink.wait_up(LONG)
        say(bridge, "first", qos)
        hear(listener, "first")
        wait_until(lambda: bridge.stats()['bridge_uplink_queued{name="cloud"}'] == 0)  # what is not acknowledged would come again

        broker.kill()  # and with it what each number stood for
        broker.start()
        listener = broker.clients.subscribe("cloud/#", options=("-v", "-q", "2"))
        say(bridge, "second", qos)
        hear(listener, "second")
    finally:
        broker.stop()


@pytest.mark.parametrize("most", [0, 1, 64])
def test_a_broker_that_uses_aliases_is_understood(make, most):
    cloud = make(f"mqtt://127.0.0.1:0?topic_aliases={most}")
    site = make()
    heard = site.subscribe("site/#")
    site.connect(f"{cloud.listeners[0]}?name=cloud&in=plant/{{p...}}>site/plant/{{p...}}").wait_up(LONG)

    say(cloud, "first", 1)

    messages = [next(heard) for _ in range(3 * len(TOPICS))]
    assert all(str(m).endswith(" " + m.path.removeprefix("site/")) for m in messages)
