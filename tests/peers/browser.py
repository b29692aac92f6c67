"""A headless Chromium, told what to do over its DevTools protocol: pages, expressions in, values out.  Waiting is for something to be so."""
import json
import os
import re
import tempfile

from .http import Http, WebSocket
from .process import Program
from .tools import need

LONG = 60.0  # seconds: a browser on a busy machine; never waited for when all is well
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-extensions", "--disable-background-timer-throttling", "--disable-renderer-backgrounding",
         "--disable-backgrounding-occluded-windows", "--window-size=1280,900", "--remote-debugging-port=0")


class Browser:
    """.complaints: what scripts threw, and what the page's policy forbade."""

    def __init__(self, url=None):
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.program = Program(need("chromium", "chromium-browser", "google-chrome"), *FLAGS, f"--user-data-dir={self.profile.name}", "about:blank",
                               env={name: value for name, value in os.environ.items() if name != "LD_PRELOAD"})  # sanitizers are for us, not for it
        port = int(re.search(r":(\d+)/", self.program.wait_for("DevTools listening on", LONG)).group(1))
        with Http(port) as http:
            http.socket.settimeout(LONG)
            pages = http.request("GET", "/json/list", headers={"Host": "localhost"}).json
        target = next(page for page in pages if page["type"] == "page")["webSocketDebuggerUrl"]
        self.ws = WebSocket(port, "/" + target.split("/", 3)[3], headers={"Host": "localhost"})
        self.ws.socket.settimeout(LONG)
        self.last, self.complaints, self.events = 0, [], []
        for domain in ("Page", "Runtime", "Log", "DOM"):
            self.tell(domain + ".enable")
        if url:
            self.open(url)

    def _hear(self):
        said = self.ws.hear()
        if said.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(said["params"]["exceptionDetails"].get("exception", {}).get("description", said["params"]["exceptionDetails"]["text"]))
        if said.get("method") == "Log.entryAdded" and said["params"]["entry"]["source"] == "security":
            self.complaints.append(said["params"]["entry"]["text"])
        if "method" in said:
            self.events.append(said["method"])
        return said

    def tell(self, method, **params):
        self.last += 1
        self.ws.frame(self.ws.TEXT, json.dumps({"id": self.last, "method": method, "params": params}))
        while True:
            said = self._hear()
            if said.get("id") == self.last:
                assert "error" not in said, said
                return said["result"]

    def open(self, url):
        """Another page, whole."""
        self.tell("Page.navigate", url="about:blank")
        self.events.clear()
        self.tell("Page.navigate", url=url)
        while "Page.loadEventFired" not in self.events:
            self._hear()
        self.complaints.clear()
        return self

    def eval(self, expression):
        """The value of an expression; a promise is waited for."""
        said = self.tell("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    def until(self, expression):
        """Waits, inside the page, until the expression is true; says what it was when it never is."""
        value = self.eval(f"""new Promise(done => {{
            const end = Date.now() + {LONG * 750};
            const look = () => {{ let v; try {{ v = ({expression}); }} catch (e) {{ v = null; }} v ? done({{so: typeof v === 'object' ? true : v}}) : Date.now() > end ? done(null) : setTimeout(look, 20); }};
            look(); }})""")
        assert value is not None, f"never so: {expression}\n{self.complaints}\n{self.eval('document.body.innerText.slice(0, 2000)')}"
        return value["so"]

    def click(self, selector):
        """Clicks what a selector finds, as soon as it is there."""
        self.until(f"document.querySelector({json.dumps(selector)})")
        self.eval(f"void document.querySelector({json.dumps(selector)}).click()")

    def fill(self, selector, text):
        self.until(f"document.querySelector({json.dumps(selector)})")
        self.eval(f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.value = {json.dumps(text)}; "
                  "for (const what of ['input', 'change']) e.dispatchEvent(new Event(what, {bubbles: true})); })()")

    def key(self, key):
        for kind in ("keyDown", "keyUp"):
            self.tell("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode={"ArrowDown": 40, "ArrowUp": 38, "ArrowRight": 39, "Enter": 13}.get(key, 0))

    def choose_file(self, selector, file):
        root = self.tell("DOM.getDocument")["root"]["nodeId"]
        node = self.tell("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.tell("DOM.setFileInputFiles", files=[str(file)], nodeId=node)

    def screenshot(self, name):
        import base64
        with open(name, "wb") as out:
            out.write(base64.b64decode(self.tell("Page.captureScreenshot")["data"]))

    def close(self):
        self.ws.close()
        self.program.stop()
        self.profile.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
