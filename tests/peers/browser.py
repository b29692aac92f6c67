"""A headless Chromium, told what to do over its DevTools protocol: one page, expressions in, values out."""
import json
import re
import tempfile

from .http import Http, WebSocket
from .process import PATIENCE, Program
from .tools import need


class Browser:
    def __init__(self, url):
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.program = Program(need("chromium", "chromium-browser", "google-chrome"), "--headless=new", "--no-sandbox", "--disable-gpu",
                               "--disable-dev-shm-usage", "--no-first-run", "--window-size=1280,900", "--remote-debugging-port=0",
                               f"--user-data-dir={self.profile.name}", "about:blank")
        port = int(re.search(r":(\d+)/", self.program.wait_for("DevTools listening on")).group(1))
        with Http(port) as http:
            pages = http.request("GET", "/json/list", headers={"Host": "localhost"}).json
        target = next(page for page in pages if page["type"] == "page")["webSocketDebuggerUrl"]
        self.ws = WebSocket(port, "/" + target.split("/", 3)[3], headers={"Host": "localhost"})
        self.ws.socket.settimeout(PATIENCE)
        self.last = 0
        self.tell("Page.enable")
        self.tell("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def tell(self, method, **params):
        self.last += 1
        self.ws.frame(self.ws.TEXT, json.dumps({"id": self.last, "method": method, "params": params}))
        while True:
            said = self.ws.hear()
            if said.get("id") == self.last:
                assert "error" not in said, said
                return said["result"]

    def eval(self, expression):
        """The value of an expression; a promise is waited for."""
        said = self.tell("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    def until(self, expression):
        """Waits, inside the page, until the expression is true."""
        return self.eval(f"new Promise(done => {{ const look = () => {{ const v = ({expression}); v ? done(v) : setTimeout(look, 20); }}; look(); }})")

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
