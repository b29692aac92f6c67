"""A cloud broker's double in pytest: what the gateway of gateway.json does when its cloud is there, goes, and comes back."""
import pytest
from libbridge import Bridge, Clock


@pytest.fixture
def cloud():
    with Bridge("mqtt://127.0.0.1:0") as double:
        yield double


def test_the_gateway_keeps_what_the_cloud_missed(cloud):
    port = cloud.port("mqtt")
    with Bridge() as site:
        heard = cloud.subscribe("site7/#")
        site.connect(f"mqtt://127.0.0.1:{port}?name=cloud&out=up/{{p...}}>site7/{{p...}};qos=1&retry_min=50&retry_max=200").wait_up(timeout=30)
        site.publish("up/press/temp", 20, qos=1)
        assert next(heard).path == "site7/press/temp"

        cloud.close()
        for value in (21, 22, 23):
            site.publish("up/press/temp", value, qos=1)
        with Bridge(f"mqtt://127.0.0.1:{port}") as again:
            late = again.subscribe("site7/#", timeout=30)
            assert [message.value for message in late.take(3)] == [21, 22, 23]


def test_means_go_up():
    clock = Clock(frozen=True)
    with Bridge(clock=clock) as site:
        site.route("machines/{m}/{what}", "up/{m}/{what}", transform="window 60s mean")
        up = site.subscribe("up/#")
        for value in (10, 20):
            site.publish("machines/press/temp", value)
        site.settle()
        clock.advance(60)
        assert next(up).value == 15
