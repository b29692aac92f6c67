"""A bridge of the test's own, an HTTP listener of it at /resources, a connection there: import the fixtures that a file wants."""
import pytest

from .http import Http


@pytest.fixture
def bridge(make_bridge):
    return make_bridge()


@pytest.fixture
def port(bridge):
    return bridge.listen("http://127.0.0.1:0/resources").port


@pytest.fixture
def http(port):
    with Http(port) as connection:
        yield connection
