"""Stories of devices: one bridge in this process with every protocol, its clock in our hand; devices and peers on all sides."""
import pytest

pytest.importorskip("libbridge.testing")
from libbridge import Unsupported  # noqa: E402
from peers import coap, lwm2m  # noqa: E402
from peers.http import Http  # noqa: E402
from peers.mqtt import Client  # noqa: E402

EVERYWHERE = ("mqtt://127.0.0.1:0", "http://127.0.0.1:0/resources", "coap://127.0.0.1:0/r")


class House:
    """A bridge and who talks to it: house.device("lamp", {...}), house.mqtt(), house.http("GET", path), house.coap."""

    def __init__(self, bridge):
        self.bridge, self._open, self._coap = bridge, [], None

    @property
    def port(self):
        return self.bridge.port("lwm2m")

    def device(self, endpoint, resources=None, *, register=True, **words):
        device = lwm2m.Device(words.pop("port", None) or self.port, endpoint, resources, **words)
        self._open.append(device)
        if register:
            device.register()
        return device

    def mqtt(self, *filters, version=5, name=None):
        client = Client(self.bridge.port("mqtt"), version).connect(name or f"client{len(self._open)}")
        for each in filters:
            client.subscribe((each, 1))
        self._open.append(client)
        return client

    def http(self, method, path, body=None, **headers):
        connection = Http(self.bridge.port("http"))
        try:
            return connection.request(method, "/resources/" + path, body, **headers)
        finally:
            connection.socket.close()

    @property
    def coap(self):
        if not self._coap:
            self._coap = coap.Socket(self.bridge.port("coap"))
            self._open.append(self._coap)
        return self._coap

    def close(self):
        for each in reversed(self._open):
            each.socket.close() if isinstance(each, Client) else each.close()


@pytest.fixture
def make_house(make_bridge):
    made = []

    def make(*urls, **options):
        bridge = make_bridge(**options)
        try:
            for url in (*EVERYWHERE, *(urls or ("lwm2m://127.0.0.1:0",))):
                bridge.listen(url)
        except Unsupported:
            pytest.skip("not built in")
        made.append(House(bridge))
        return made[-1]
    yield make
    for house in made:
        house.close()


@pytest.fixture
def house(make_house):
    return make_house()
