"""LwM2M devices as objects (docs/lwm2m.md): bridge.devices["lamp-7"].read("/3303/0/5700") -> 21.5

Everything here is a request to a path or a subscription to one; what a method does, any peer can do over any protocol.  On an
asyncio bridge what returns a value is awaited, `await bridge.devices["lamp-7"].read(...)`; the rest is the same.
"""
from __future__ import annotations

import os
import re
import time
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any, Awaitable, Callable, Iterable, Iterator, Mapping
from urllib.parse import urlencode

from .errors import BridgeError, NotFound, Timeout, Unprocessable
from .message import FormatLike, Message

if TYPE_CHECKING:
    from . import aio
    from .blocking import Bridge, Subscription

_LINK = re.compile(r'<([^>]*)>((?:;[^,;="]+(?:=(?:"(?:[^"\\]|\\.)*"|[^,;"]*))?)*)')
_ATTRIBUTE = re.compile(r';([^,;="]+)(?:=(?:"((?:[^"\\]|\\.)*)"|([^,;"]*)))?')


def parse_links(text: str) -> dict[str, dict[str, str]]:
    """RFC 6690: "</3303/0>;ver=1.1,</3/0>" -> {"/3303/0": {"ver": "1.1"}, "/3/0": {}}; a flag is ""."""
    return {target: {name: re.sub(r"\\(.)", r"\1", quoted) or bare for name, quoted, bare in _ATTRIBUTE.findall(rest)}
            for target, rest in _LINK.findall(text)}


def _value(message: Message | None) -> Any:
    return None if message is None else message.value


def _links(message: Message | None) -> dict[str, dict[str, str]]:
    return parse_links(str(message or ""))


def _pick(tree: Any, path: str) -> Any:
    """What stands at "/3303/0/5700" in {"3303": {"0": {"5700": 21.5}}}; None when nothing does."""
    for part in path.strip("/").split("/"):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree


class _Device:
    """What a device can be asked, blocking or not: _ask() makes the request, and then() is applied to its answer."""

    def __init__(self, bridge: Any, endpoint: str, root: str):
        self._bridge, self.endpoint = bridge, endpoint
        self.path = f"{root}/{_segment(endpoint)}"

    def __repr__(self) -> str:
        return f"<Device {self.endpoint!r}>"

    def at(self, path: str = "") -> str:
        """The bridge's path for one of the device: at("/3303/0/5700") -> "lwm2m/lamp-7/3303/0/5700"."""
        path = path.strip("/")
        return f"{self.path}/{path}" if path else self.path

    def _ask(self, then: Callable[[Message | None], Any], verb: str, path: str, value: Any = b"", *, timeout: float | None = None,
             format: FormatLike | None = None) -> Any:
        raise NotImplementedError

    def info(self, *, timeout: float | None = None) -> Any:
        """What its registration says: {"ep": ..., "lt": ..., "lwm2m": "1.1", "b": ..., "links": ...}."""
        return self._ask(_value, "GET", self.path, timeout=timeout)

    def read(self, path: str, *, timeout: float | None = None) -> Any:
        """A resource's value; of an instance or object a dict: read("/3303/0") -> {"5700": 21.5, "5701": "Cel"}."""
        return self._ask(_value, "GET", self.at(path), timeout=timeout)

    def read_many(self, *paths: str, timeout: float | None = None) -> Any:
        """Read-Composite: {path: value} of several paths in one request; None where nothing is."""
        def split(message: Message | None) -> dict[str, Any]:
            tree = _value(message)
            return {path: _pick(tree, path) for path in paths}
        return self._ask(split, "POST", self.at("!read-composite"), ["/" + path.strip("/") for path in paths], timeout=timeout)

    def write(self, path: str, value: Any, *, timeout: float | None = None, format: FormatLike | None = None) -> Any:
        """Writes a resource, or replaces all of an instance by a dict."""
        return self._ask(_value, "PUT", self.at(path), value, timeout=timeout, format=format)

    def update(self, path: str, values: Mapping[str, Any], *, timeout: float | None = None) -> Any:
        """Writes some resources of an instance and leaves the others: update("/3303/0", {"5601": 0})."""
        return self._ask(_value, "POST", self.at(path), dict(values), timeout=timeout)

    def write_many(self, values: Mapping[str, Any], *, timeout: float | None = None) -> Any:
        """Write-Composite: {"/3311/0/5850": True, "/3311/0/5851": 50} in one request, all or nothing."""
        tree: dict[str, Any] = {}
        for path, value in values.items():
            *above, last = path.strip("/").split("/")
            level = tree
            for part in above:
                level = level.setdefault(part, {})
            level[last] = value
        return self._ask(_value, "POST", self.at("!write-composite"), tree, timeout=timeout)

    def execute(self, path: str, arguments: str = "", *, timeout: float | None = None) -> Any:
        """Executes a resource; arguments as LwM2M spells them: "0='on',1"."""
        return self._ask(_value, "POST", self.at(path), arguments, timeout=timeout)

    def create(self, path: str, values: Mapping[str, Any], *, timeout: float | None = None) -> Any:
        """Makes an instance: create("/3311", {...}), or create("/3311/2", {...}) with a number of your own."""
        deep = path.strip("/").count("/") == 1
        return self._ask(_value, "POST", self.at(path) + "/!create" * deep, dict(values), timeout=timeout)

    def delete(self, path: str, *, timeout: float | None = None) -> Any:
        """Removes an instance."""
        return self._ask(_value, "DELETE", self.at(path), timeout=timeout)

    def discover(self, path: str, *, timeout: float | None = None) -> Any:
        """What is there, with its attributes: {"/3303/0": {}, "/3303/0/5700": {"pmin": "10"}}."""
        return self._ask(_links, "POST", self.at(path) + "/!discover", timeout=timeout)

    def set_attributes(self, path: str, *, timeout: float | None = None, **attributes: Any) -> Any:
        """Write-Attributes: set_attributes("/3303/0/5700", pmin=10, pmax=60, gt=25); None takes one away."""
        said = "&".join(urlencode({name: value}) if value is not None else name for name, value in attributes.items())
        return self._ask(_value, "POST", self.at(path) + "/!write-attributes", said, timeout=timeout)

    def observe(self, path: str) -> Any:
        """A subscription to what it reports: one observation at the device, however many subscribe."""
        return self._bridge.subscribe(self.at(path))

    def events(self) -> Any:
        """A subscription to !registered, !updated, !deregistered, !asleep, !awake, !send; event(message) is the word."""
        return self._bridge.subscribe(f"{self.path}/+")

    @staticmethod
    def event(message: Message) -> str:
        """"registered" of a message on "lwm2m/lamp-7/!registered"; "" of any other."""
        last = message.path.rpartition("/")[2]
        return last[1:] if last.startswith("!") else ""


_UNFIT = re.compile(r"[\x00-\x20\x7f/+#{}%!]")


def _segment(name: str) -> str:
    """A name as the bridge spells it in a path: what cannot stand there is percent-encoded."""
    return _UNFIT.sub(lambda found: f"%{ord(found[0]):02X}", name)


class UpdateError(RuntimeError):
    """An update that failed; .result is what the device said, 0 when it said nothing."""

    def __init__(self, why: str, result: int = 0):
        super().__init__(why)
        self.result = result


class FirmwareError(UpdateError):
    """A firmware update that failed; .result is the device's Update Result (LwM2M 1.1 E.6)."""


class SoftwareError(UpdateError):
    """Software that was not installed, activated, deactivated or uninstalled; .result is the Update Result of object 9, from 50 on."""


class ComponentsError(UpdateError):
    """Components that were not updated: .at is the one that failed, .done those that were triggered before, .left all others."""

    def __init__(self, told: Mapping[str, Any]):
        super().__init__(f"{told.get('at', '')}: {told['why']}", told["result"])
        self.at, self.done, self.left = told.get("at"), list(told["done"]), list(told["left"])


_METHODS = {None: "update", "push": "push", "pull": "pull", "coap": "pull", "http": "pull"}


def _method(method: str | None, pull: bool) -> str | None:
    if method not in _METHODS:
        raise ValueError(f"method: push, pull, coap or http, not {method!r}")
    return method or ("pull" if pull else None)


def _suffix(method: str | None) -> str:
    return f"-{method}" if method in ("coap", "http") else ""


def _parcel(package: Any) -> dict[str, Any]:
    """A package inside of JSON."""
    if package is None:
        return {}
    body, _ = _package(package)
    return body if isinstance(body, dict) else {"package": b64encode(body).decode()}


def _components(components: Mapping[str, Any], method: str | None, activate: bool) -> list[dict[str, Any]]:
    way = {"method": method} if _method(method, False) else {}
    return [{"at": at, "activate": activate, **way, **_parcel(package)} for at, package in components.items()]


def _package(package: bytes | str | os.PathLike[str]) -> tuple[Any, FormatLike]:
    """The body of a request to update and its format: bytes, a file, or a URL."""
    if isinstance(package, str) and "://" in package:
        return {"uri": package}, "json"
    return package if isinstance(package, bytes) else Path(package).read_bytes(), 42


class Device(_Device):
    """A device, for a bridge that blocks."""

    _bridge: "Bridge"

    def _ask(self, then: Callable[[Message | None], Any], verb: str, path: str, value: Any = b"", *, timeout: float | None = None,
             format: FormatLike | None = None) -> Any:
        return then(self._bridge.request(verb, path, value, timeout=timeout, format=format))

    def wait(self, *, timeout: float | None = None) -> "Device":
        """Until it is registered; returns itself."""
        patience = self._bridge.patience if timeout is None else timeout
        with self._bridge.subscribe(f"{self.path}/!registered", timeout=patience) as arrivals:
            try:
                self.info()
            except NotFound:
                next(arrivals)
        return self

    def update_firmware(self, package: bytes | str | os.PathLike[str], *, method: str | None = None, pull: bool = False, instance: int = 0,
                        timeout: float | None = 3600.0, progress: Callable[[str], None] | None = None) -> None:
        """Brings new firmware onto the device: bytes, a file, or a URL that it fetches by itself.  Returns when it says that it is
        updated; FirmwareError with its reason otherwise.  method: "push", "pull" (from this bridge, by what the device speaks), "coap" or
        "http" (the same, by that); None: by what the device says.  progress is called with each step."""
        body, format = _package(package)
        where = f"5/{instance}/" if instance else ""
        self._bring(f"{where}!{_METHODS[_method(method, pull)]}-firmware{_suffix(method)}", body, format, "firmware", "updated", FirmwareError,
                    timeout, progress, instance or None)

    def install_software(self, instance: int, package: bytes | str | os.PathLike[str], *, method: str | None = None, pull: bool = False,
                         activate: bool = False, timeout: float | None = 3600.0, progress: Callable[[str], None] | None = None) -> None:
        """Installs a package as an instance of object 9: bytes, a file, or a URL that the device fetches by itself.  Returns when
        it says that it is installed (with activate: active); SoftwareError with its reason otherwise.  What was installed there is replaced.
        method: as of update_firmware()."""
        body, format = _package(package)
        verb = _METHODS[_method(method, pull)].replace("update", "install")
        self._bring(f"9/{instance}/!{verb}-software{_suffix(method)}", body, format, "software", "installed", SoftwareError, timeout, progress,
                    instance)
        if activate:
            self.activate_software(instance, timeout=timeout, progress=progress)

    def activate_software(self, instance: int, *, timeout: float | None = 3600.0, progress: Callable[[str], None] | None = None) -> None:
        """Returns when it is active; SoftwareError when it is not installed, or the device refuses."""
        self._bring(f"9/{instance}/!activate-software", b"", None, "software", "activated", SoftwareError, timeout, progress, instance)

    def deactivate_software(self, instance: int, *, timeout: float | None = 3600.0, progress: Callable[[str], None] | None = None) -> None:
        """Returns when it is active no more; it stays installed."""
        self._bring(f"9/{instance}/!deactivate-software", b"", None, "software", "deactivated", SoftwareError, timeout, progress, instance)

    def uninstall_software(self, instance: int, *, timeout: float | None = 3600.0, progress: Callable[[str], None] | None = None) -> None:
        """Returns when the package is gone from the device."""
        self._bring(f"9/{instance}/!uninstall-software", b"", None, "software", "uninstalled", SoftwareError, timeout, progress, instance)

    def activate_component(self, instance: int, *, timeout: float | None = 3600.0, progress: Callable[[str], None] | None = None) -> None:
        """Activates a software component, an instance of object 14; returns when it is active."""
        self._bring(f"14/{instance}/!activate-component", b"", None, "software", "activated", SoftwareError, timeout, progress, instance)

    def deactivate_component(self, instance: int, *, timeout: float | None = 3600.0, progress: Callable[[str], None] | None = None) -> None:
        """Returns when it is active no more."""
        self._bring(f"14/{instance}/!deactivate-component", b"", None, "software", "deactivated", SoftwareError, timeout, progress, instance)

    def update_components(self, components: Mapping[str, Any], *, method: str | None = None, activate: bool = True,
                          timeout: float | None = 3600.0, progress: Callable[[str], None] | None = None) -> None:
        """Several in two steps, {"/9/1": "app.pkg", "/14/0": None, "/5/0": "fw.bin"}: all are brought, in this order, then each is triggered,
        in this order; nothing is triggered when one cannot be brought.  ComponentsError has .at, .done and .left.  progress hears
        "downloading /9/1".  activate: software is activated, not only installed."""
        body = {"components": _components(components, method, activate)}
        self.info()
        with self._bridge.subscribe(f"{self.path}/!components", timeout=timeout) as steps:
            self._bridge.request("POST", self.at("!update-components"), body)
            for step in steps:
                told = step.value
                if progress:
                    progress(" ".join(filter(None, (told["components"], told.get("at")))))
                if told["components"] == "updated":
                    return
                if told["components"] == "failed":
                    raise ComponentsError(told)

    def _bring(self, verb: str, body: Any, format: FormatLike | None, event: str, done: str, error: type[UpdateError],
               timeout: float | None, progress: Callable[[str], None] | None, instance: int | None = None) -> None:
        self.info()  # NotFound: nobody of that name
        with self._bridge.subscribe(f"{self.path}/!{event}", timeout=timeout) as steps:
            self._bridge.request("POST", self.at(verb), body, format=format)
            for step in steps:
                told = step.value
                if told.get("instance") != instance or str(told.get("object", verb.partition("/")[0])) != verb.partition("/")[0]:
                    continue
                if progress:
                    progress(told[event])
                if told[event] == done:
                    return
                if told[event] == "failed":
                    raise error(told["why"], told["result"])

    def expect(self, path: str, wanted: Any, *, timeout: float | None = None) -> Any:
        """Waits until what it reports is `wanted`, a value or a function that says yes; for tests.  Returns the value."""
        patience = self._bridge.patience if timeout is None else timeout
        test = wanted if callable(wanted) else lambda value: value == wanted
        until, last = time.monotonic() + (patience or 0), None
        with self.observe(path) as reports:
            while True:
                try:
                    last = reports.get(None if patience is None else max(0.001, until - time.monotonic())).value
                except Timeout:
                    raise Timeout(f"{self.endpoint}{path} is {last!r} after {patience:g} s, not what was expected") from None
                if test(last):
                    return last


class AsyncDevice(_Device):
    """A device, for a bridge in asyncio: what Device returns is awaited."""

    _bridge: "aio.Bridge"

    async def _ask(self, then: Callable[[Message | None], Any], verb: str, path: str, value: Any = b"", *,
                   timeout: float | None = None, format: FormatLike | None = None) -> Any:
        return then(await self._bridge.request(verb, path, value, timeout=timeout, format=format))

    async def wait(self) -> "AsyncDevice":
        """Until it is registered; returns itself."""
        arrivals = self._bridge.subscribe(f"{self.path}/!registered")
        try:
            await self.info()
        except NotFound:
            await arrivals.__anext__()
        finally:
            arrivals.close()
        return self


class _Devices:
    """bridge.devices: by endpoint name.  A device need not be registered to be named here."""

    def __init__(self, bridge: Any, device: type[_Device], root: str = "lwm2m"):
        self.bridge, self._device, self.root = bridge, device, root

    @property
    def port(self) -> int:
        """Where devices register."""
        for url in self.bridge.listeners:
            if url.startswith("lwm2m"):
                return int(self.bridge.port(url.partition("://")[0]))
        raise KeyError("nothing listens for devices")

    def under(self, root: str) -> "_Devices":
        """The devices of a listener with another mount: lwm2m://:5683/plant is under("plant")."""
        return type(self)(self.bridge, self._device, root.strip("/"))

    def __getitem__(self, endpoint: str) -> Any:
        return self._device(self.bridge, endpoint, self.root)

    def events(self) -> Any:
        """A subscription to the events of all devices."""
        return self.bridge.subscribe(f"{self.root}/+/+")

    def _listed(self, message: Message | None) -> list[Any]:
        found = _value(message)
        if not isinstance(found, list):
            raise Unprocessable(f"{self.root}/ is no list of devices")
        return [self[each["ep"]] for each in found]


class Devices(_Devices):
    def __iter__(self) -> Iterator[Device]:
        """Those that are registered now."""
        try:
            return iter(self._listed(self.bridge.request("GET", self.root + "/")))
        except NotFound:
            return iter(())

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, endpoint: str) -> bool:
        try:
            return bool(self[endpoint].info())
        except NotFound:
            return False

    def campaign(self, name: str, endpoints: Iterable[str] | str, package: Any = None, *, do: str = "update-firmware", instance: int = 0,
                 method: str | None = None, activate: bool = True, at_once: int = 10, retries: int = 0) -> "Campaign":
        """Begins one update of many devices ("all": of all that are registered), at_once at a time, each tried again `retries` times.
        do: "update-firmware", "install-software", "activate-software" ..., or "update-components" with a dict as of update_components()."""
        body: dict[str, Any] = {"do": do, "devices": endpoints if isinstance(endpoints, str) else list(endpoints), "instance": instance,
                                "at_once": at_once, "retries": retries}
        if do == "update-components":
            body["components"] = _components(package, method, activate)
        else:
            body |= _parcel(package) | ({"method": method} if _method(method, False) else {})
        made = Campaign(self, name)
        made.bridge.request("POST", made.path, body)
        return made

    def update_firmware(self, endpoints: Iterable[str], package: bytes | str | os.PathLike[str], *, at_once: int = 10, retries: int = 0,
                        method: str | None = None, timeout: float | None = None) -> dict[str, str | None]:
        """A campaign from its beginning to its end: what became of each, None for updated, else why not."""
        campaign = self.campaign(f"firmware-{time.time_ns()}", endpoints, package, at_once=at_once, retries=retries, method=method)
        try:
            return campaign.wait(timeout=timeout)
        finally:
            campaign.forget()

    def wait(self, endpoint: str, *, timeout: float | None = None) -> Device:
        """Until a device of this name is registered."""
        found: Device = self[endpoint]
        return found.wait(timeout=timeout)


class Campaign:
    """One update of many devices, under way: devices.campaign(...), or Campaign(bridge.devices, name) of one that was begun elsewhere."""

    def __init__(self, devices: Devices, name: str):
        self.bridge, self.name = devices.bridge, name
        self.path = f"{devices.root}/!campaigns/{_segment(name)}"

    def progress(self) -> dict[str, Any]:
        """{"state": "running", "total": 6, "waiting": 2, "busy": 1, "done": 2, "failed": 1, "left": 0, "devices": {...}, ...}"""
        told: dict[str, Any] = _value(self.bridge.request("GET", self.path))
        return told

    def _order(self, verb: str) -> None:
        self.bridge.request("POST", f"{self.path}/!{verb}")

    def pause(self) -> None:
        """No more devices begin; those under way go on."""
        self._order("pause")

    def resume(self) -> None:
        self._order("resume")

    def stop(self) -> None:
        """No more devices begin; those that have not been told to install it yet stop."""
        self._order("stop")

    def retry(self) -> None:
        """Of one that is over or stopped: those that failed or were left begin again."""
        self._order("retry")

    def forget(self) -> None:
        """It ends, and nobody knows of it any more."""
        self.bridge.request("DELETE", self.path)

    def outcome(self) -> dict[str, str | None]:
        """Of each device None when it is updated, else why not, or "waiting", "busy", "left"."""
        return {name: None if each["state"] == "done" else each.get("why") if each["state"] == "failed" else each["state"]
                for name, each in self.progress()["devices"].items()}

    def wait(self, *, timeout: float | None = None) -> dict[str, str | None]:
        """Until it is over or stopped; what became of each."""
        with self.bridge.subscribe(f"{self.path}/!progress", timeout=timeout) as news:
            told = self.progress()
            while told["state"] in ("running", "paused") or told["busy"]:
                told = next(news).value
        return self.outcome()


class AsyncDevices(_Devices):
    async def list(self) -> list[AsyncDevice]:
        """Those that are registered now."""
        try:
            return self._listed(await self.bridge.request("GET", self.root + "/"))
        except NotFound:
            return []

    def wait(self, endpoint: str) -> Awaitable[AsyncDevice]:
        found: AsyncDevice = self[endpoint]
        return found.wait()


__all__ = ["AsyncDevice", "AsyncDevices", "Campaign", "ComponentsError", "Device", "Devices", "FirmwareError", "SoftwareError", "UpdateError", "parse_links"]
