"""Uplinks with several brokers: back to the first one when it is there again."""
import pytest

from conftest import built_adapters

pytestmark = pytest.mark.skipif(not {"uplink", "mqtt"} <= set(built_adapters()), reason="uplinks are not in this build")

LONG = 30.0
QUICK = "retry_min=20&retry_max=200"


@pytest.mark.parametrize("version", ["5", "3.1.1"])
@pytest.mark.parametrize("more", ["", "&status=site7/status", "&clean=no&client_id=site7"])
def test_the_first_broker_is_gone_back_to_when_it_is_there_again(make_bridge, cloud, version, more):
    second, site = make_bridge("mqtt://127.0.0.1:0", clock=None, patience=LONG), make_bridge(clock=None, patience=LONG)
    there, here = second.subscribe("n/#", timeout=LONG), cloud.bridge.subscribe("n/#", timeout=LONG)
    cloud.outage()
    status = second.subscribe("site7/status", timeout=LONG)
    site.connect(f"{cloud.url}?out=n/%23&name=cloud&fail_back=1&version={version}&broker={second.listeners[0]}&{QUICK}{more}").wait_up(LONG)
    site.publish("n/x", "to the second", qos=1)
    assert next(there).payload == b"to the second"
    states = site.subscribe("$SYS/broker/connection/cloud/state", timeout=LONG)
    assert next(states).payload == b"1"

    cloud.over()

    assert [m.payload for m in states.take(2)] == [b"0", b"1"]
    site.publish("n/x", "to the first", qos=2)
    assert next(here).payload == b"to the first"
    if "status" in more:  # the will: nobody is there any more
        assert [m.payload for m in status.take(2)] == [b"1", b"0"]
        assert cloud.bridge.get("site7/status").payload == b"1"
