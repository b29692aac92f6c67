"""What the stories of foreign CoAP servers share: a device, a bridge that is to have it in its tree, and how it gets there."""
import pytest

from peers.coap_device import Device


@pytest.fixture
def device():
    with Device() as it:
        it.values["temp"] = b"21.5"
        yield it


@pytest.fixture
def site(make_bridge):
    return make_bridge("http://127.0.0.1:0/resources", "coap://127.0.0.1:0/r", "mqtt://127.0.0.1:0", clock=None)


def listener(b, scheme):
    return next(url for url in b.listeners if url.startswith(scheme + "://"))


def port_of(b, scheme):
    return int(listener(b, scheme).split("://")[1].split("/")[0].rpartition(":")[2])


def join(b, device, more="", base=""):
    return b.connect(f"coap://127.0.0.1:{device.port}{base}?as=plant/{{path...}}&discover=no" + more)


def heard(subscription, value):
    """Waits until this value is told; what was told before it."""
    before = []
    for message in subscription:
        if message.payload == value:
            return before
        before.append(message.payload)
