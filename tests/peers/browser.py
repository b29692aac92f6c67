"""A headless Chromium, told what to do over its DevTools protocol: expressions in, values out.

One process serves all stories; each story has a Page in a profile of its own.  Nothing here waits for a time to pass: a condition is
looked at until it holds, also while documents come and go, and PATIENCE is only for what will never be so.
"""
import base64
import json
import os
import signal
import tempfile
import time

import pytest

from .http import WebSocket
from .process import Program
from .tools import need

PATIENCE = 90.0  # seconds: a sanitized bridge and a browser on a machine that does other things, too
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
         "--no-default-browser-check", "--no-proxy-server", "--mute-audio", "--password-store=basic", "--disable-breakpad",
         "--disable-background-networking", "--disable-component-update", "--disable-default-apps", "--disable-domain-reliability",
         "--disable-sync", "--disable-extensions", "--disable-hang-monitor", "--disable-background-timer-throttling",
         "--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows",
         "--disable-features=Translate,MediaRouter,OptimizationHints,DialMediaRouteProvider", "--window-size=1280,900",
         "--remote-debugging-port=0")

# What the page says for a moment only is remembered, so that a slow look does not miss it.
REMEMBER = """window.said = [];
new MutationObserver(changes => { for (const c of changes) if (c.target.id === 'notes') for (const n of c.addedNodes) window.said.push(n.textContent); })
    .observe(document, { childList: true, subtree: true });"""


class Gone(Exception):
    """The document that was asked is not there any more; another one comes."""


class Browser:
    """One that has died is another one for the next page."""

    def __init__(self):
        self.start()

    def start(self):
        self.home = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.program = Program(need("chromium", "chromium-browser", "google-chrome"), *FLAGS, f"--user-data-dir={self.home.name}/profile",
                               "about:blank", env={**os.environ, "HOME": self.home.name, "TMPDIR": self.home.name})
        try:
            url = self._address()
            port, _, path = url.removeprefix("ws://127.0.0.1:").partition("/")
            self.ws = WebSocket(int(port), "/" + path, headers={"Host": "localhost"})
            self.ws.socket.settimeout(PATIENCE)
        except BaseException:
            self.end()
            raise
        self.last, self.hearers = 0, {}

    def _address(self):
        """Where it listens.  One that does not start here (no memory, no namespaces) says nothing about the page."""
        try:
            return self.program.wait_for("DevTools listening on", PATIENCE).split()[-1]
        except (EOFError, TimeoutError) as why:
            pytest.skip(f"the browser does not start: {why}")

    def tell(self, method, session=None, **params):
        """A command; what happens meanwhile goes to the pages."""
        self.last += 1
        asked = self.last
        self.ws.say(id=asked, method=method, params=params, **({"sessionId": session} if session else {}))
        while True:
            said = self.ws.hear()
            if said.get("id") == asked:
                if "error" in said:
                    raise Gone(f"{method}: {said['error']}")
                return said["result"]
            if "method" in said and said.get("sessionId") in self.hearers:
                self.hearers[said["sessionId"]](said)

    def page(self):
        try:
            return Page(self)
        except (OSError, EOFError):
            self.close()
            self.start()
            return Page(self)

    def end(self):
        """It is no story how a browser ends."""
        try:
            self.program.stop(signal.SIGTERM)
        except AssertionError:
            pass  # killed
        self.home.cleanup()

    def close(self):
        self.ws.close()
        self.end()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Page:
    """One tab in a fresh profile.  .complaints: what scripts threw, and what the page's policy forbade; but those with .forgiven in them."""

    forgiven = None

    def __init__(self, browser, profile=None):
        self.browser, self.complaints, self.mine = browser, [], profile is None
        self.profile = profile or browser.tell("Target.createBrowserContext")["browserContextId"]
        self.target = browser.tell("Target.createTarget", url="about:blank", browserContextId=self.profile, newWindow=True)["targetId"]
        self.session = browser.tell("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        browser.hearers[self.session] = self._hear
        self.tell("Page.enable")
        self.tell("Page.addScriptToEvaluateOnNewDocument", source=REMEMBER)
        for domain in ("Runtime", "Log", "DOM"):
            self.tell(domain + ".enable")
        self.tell("Emulation.setFocusEmulationEnabled", enabled=True)

    def _hear(self, said):
        words = None
        if said["method"] == "Runtime.exceptionThrown":
            details = said["params"]["exceptionDetails"]
            words = details.get("exception", {}).get("description", details["text"])
        if said["method"] == "Log.entryAdded" and said["params"]["entry"]["source"] == "security":
            words = said["params"]["entry"]["text"]
        if words and not (self.forgiven and self.forgiven in words):
            self.complaints.append(words)

    def tell(self, method, **params):
        return self.browser.tell(method, self.session, **params)

    def open(self, url):
        """Another document, whole: also when only what is behind the # differs."""
        for to in ("about:blank", url):
            self.tell("Page.navigate", url=to)
            self.until(f"location.href === {json.dumps(to)} && document.readyState === 'complete'")
        return self

    def another(self):
        """One more tab of this profile."""
        return Page(self.browser, self.profile)

    def hide(self, hidden=True):
        """As when its reader goes to another tab, or comes back."""
        self.eval(f"Object.defineProperty(document, 'hidden', {{ value: {str(hidden).lower()}, configurable: true }}); "
                  "void document.dispatchEvent(new Event('visibilitychange'))")

    def eval(self, expression):
        """The value of an expression."""
        said = self.tell("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    def until(self, expression):
        """The expression's value as soon as it is true; says what the page shows when it never is."""
        end = time.monotonic() + PATIENCE
        look = f"(() => {{ try {{ const v = ({expression}); return v instanceof Node ? true : v; }} catch (e) {{ return null; }} }})()"
        while time.monotonic() < end:
            try:
                if value := self.eval(look):
                    return value
            except Gone:
                pass
            time.sleep(0.02)
        raise AssertionError(f"never so: {expression}\n{self.complaints}\n{self.eval('location.href + document.body?.innerText.slice(0, 2000)')}")

    def do(self, selector, action):
        """What a script does with e, once the selector finds it."""
        self.until(f"(e => e && ((() => {{ {action} }})(), true))(document.querySelector({json.dumps(selector)}))")

    def click(self, selector):
        self.do(selector, "e.click();")

    def fill(self, selector, text):
        self.do(selector, f"e.value = {json.dumps(text)}; for (const what of ['input', 'change']) e.dispatchEvent(new Event(what, {{bubbles: true}}));")

    def noted(self, words):
        """A note with these words has been shown."""
        self.until(f"window.said.some(note => note.includes({json.dumps(words)}))")

    def key(self, key):
        number = {"ArrowDown": 40, "ArrowUp": 38, "ArrowRight": 39, "Enter": 13}.get(key, 0)
        for kind in ("keyDown", "keyUp"):
            self.tell("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=number)

    def choose_file(self, selector, file):
        root = self.tell("DOM.getDocument")["root"]["nodeId"]
        node = self.tell("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.tell("DOM.setFileInputFiles", files=[str(file)], nodeId=node)

    def screenshot(self, name):
        with open(name, "wb") as out:
            out.write(base64.b64decode(self.tell("Page.captureScreenshot")["data"]))

    def close(self):
        self.browser.hearers.pop(self.session, None)
        try:
            if self.mine:
                self.browser.tell("Target.disposeBrowserContext", browserContextId=self.profile)
            else:
                self.browser.tell("Target.closeTarget", targetId=self.target)
        except (Gone, OSError, EOFError):
            pass  # with the browser

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
