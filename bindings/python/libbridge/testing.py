"""Fixtures for pytest: write ``pytest_plugins = ["libbridge.testing"]`` into your conftest.py.

``bridge`` is a running bridge in the test's own process: every protocol that is built in on a port of its own, so that tests
never clash.  Waiting for a message that does not come raises `Timeout` after PATIENCE seconds, and ``bridge.clock.advance(hours=24)``
makes a day pass.  ``@pytest.mark.bridge("mqtt://127.0.0.1:0", max_message=100)`` says it differently for one test.
"""
from __future__ import annotations

from typing import Any, Callable, Iterator

import pytest

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
