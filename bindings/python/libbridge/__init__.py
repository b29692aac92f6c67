"""One routing table for MQTT, CoAP and HTTP/WebSocket, inside your program.

>>> from libbridge import Bridge
>>> with Bridge("mqtt://127.0.0.1:0", "coap://127.0.0.1:0/r", "http://127.0.0.1:0/resources") as b:
...     b.publish("home/kitchen/temperature", 21.5, retain=True)

`libbridge.Bridge` blocks, `libbridge.aio.Bridge` lives in asyncio, `libbridge.testing` has fixtures for pytest.
"""
from . import _bridge
from ._core import Ask, Credential, Listener, Reply, Request, Route, Slot, check_config
from .blocking import Bridge, Subscription, Uplink
from .clock import Clock
from .devices import Campaign, ComponentsError, Device, Devices, FirmwareError, SoftwareError, UpdateError
from .errors import *  # noqa: F401,F403
from .errors import __all__ as _error_names
from .message import Format, Message, Record, Records, Value

_number = _bridge.library_version()
__version__ = f"{_number >> 16}.{_number >> 8 & 255}.{_number & 255}"
__all__ = ["Ask", "Bridge", "Campaign", "Clock", "ComponentsError", "Credential", "Device", "Devices", "FirmwareError", "Format", "Listener", "Message", "Record", "Records", "Reply", "Request",
           "Route", "Slot", "SoftwareError", "Subscription", "UpdateError", "Uplink", "Value", "check_config", "__version__",
           *[name for name in _error_names if name not in ("error_for", "status_for")]]
