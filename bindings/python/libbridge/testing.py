"""Fixtures for pytest: write ``pytest_plugins = ["libbridge.testing"]`` into your conftest.py.

``bridge`` is a running bridge in the test's own process: every protocol that is built in on a port of its own, so that tests
never clash.  Waiting for a message that does not come raises `Timeout` after PATIENCE seconds, and ``bridge.clock.advance(hours=24)``
makes a day pass.  ``@pytest.mark.bridge("mqtt://127.0.0.1:0", max_message=100)`` says it differently for one test.
"""
from __future__ import annotations

from typing import Any, Callable, Iterator

import pytest

from ._wire import Wire
from .blocking import Bridge
from .clock import Clock
from .devices import Devices
from .errors import Unsupported

PATIENCE = 20.0
EVERYWHERE = ("mqtt://127.0.0.1:0", "http://127.0.0.1:0/resources", "coap://127.0.0.1:0/r")


def pytest_configure(config: Any) -> None:
    config.addinivalue_line("markers", "bridge(*urls, **options): what the fixture `bridge` listens on, and its options")


@pytest.fixture
def make_bridge() -> Iterator[Callable[..., Bridge]]:
    """make_bridge(*urls, **options): as many bridges as you want, closed at the end."""
    made: list[Bridge] = []

    def make(*urls: str, **options: Any) -> Bridge:
        options.setdefault("patience", PATIENCE)
        options.setdefault("clock", Clock())
        made.append(Bridge(*urls, **options))
        return made[-1]
    yield make
    for bridge in reversed(made):
        bridge.close()


@pytest.fixture
def bridge(request: Any, make_bridge: Callable[..., Bridge]) -> Bridge:
    """A running bridge on ports of its own."""
    mark = request.node.get_closest_marker("bridge")
    options = dict(mark.kwargs) if mark else {}
    if mark and mark.args:
        return make_bridge(*mark.args, **options)
    made = make_bridge(**options)
    for url in EVERYWHERE:
        try:
            made.listen(url)
        except Unsupported:
            pass
    return made


@pytest.fixture
def devices(request: Any, make_bridge: Callable[..., Bridge]) -> Devices:
    """An LwM2M server for devices under test: devices.wait("lamp-7").expect("/3303/0/5700", 21.5).

    It listens on a port of its own, devices.port; for a device outside of this machine say where:
    ``@pytest.mark.bridge("lwm2m://0.0.0.0:5683?anonymous=allow", patience=120)``.  devices.bridge is the bridge.
    """
    mark = request.node.get_closest_marker("bridge")
    urls = mark.args if mark and mark.args else ("lwm2m://127.0.0.1:0",)
    try:
        return make_bridge(*urls, **(mark.kwargs if mark else {})).devices
    except Unsupported:
        pytest.skip("LwM2M is not built in")


class Cloud:
    """A test double of a cloud broker: a bridge that listens for MQTT, behind a wire that can be cut, slowed, stalled and refused.

    ``cloud.url`` is what the thing under test connects to; ``cloud.bridge`` is there to publish, subscribe and look.
    """

    def __init__(self, bridge: Bridge):
        self.bridge = bridge
        self.wire = Wire(bridge.listen("mqtt://127.0.0.1:0").port)
        self.url = f"mqtt://127.0.0.1:{self.wire.port}"
        self.cut, self.refuse, self.slow, self.stall = self.wire.cut, self.wire.refuse, self.wire.slow, self.wire.stall

    def outage(self) -> None:
        """It is gone, until over()."""
        self.refuse()
        self.cut()

    def over(self) -> None:
        self.refuse(False)


@pytest.fixture
def cloud(make_bridge: Callable[..., Bridge]) -> Iterator[Cloud]:
    """A broker to connect uplinks to; see `Cloud`."""
    made = Cloud(make_bridge(clock=None))
    yield made
    made.wire.close()
