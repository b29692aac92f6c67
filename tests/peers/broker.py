"""mosquitto as the other side of an uplink: started, killed, started again on the same port."""
import getpass
import random
import signal
import socket
import subprocess
import time
from pathlib import Path

from .process import PATIENCE
from .tools import Mosquitto, need


def free_port():
    """One that stays free while its server is away: below those that the system gives to connections and to port 0."""
    theirs = Path("/proc/sys/net/ipv4/ip_local_port_range")
    lowest = int(theirs.read_text().split()[0]) if theirs.exists() else 32768
    while True:
        port = random.randrange(10240, lowest) if lowest > 12000 else 0
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return s.getsockname()[1]
            except OSError:
                pass  # somebody's


def wait_for_port(port, process=None):
    """Until somebody listens there: the only sign that mosquitto gives."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if process is not None and process.poll() is not None:
            raise AssertionError(f"the broker ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.01)
    raise AssertionError(f"nobody listens on {port}")


class Broker:
    """A mosquitto of one's own.  settings: lines for its config, `{port}` is replaced."""

    def __init__(self, directory, *settings, name="broker", start=True):
        self.port = free_port()
        self.directory, self.name, self.process = directory, name, None
        self.config = directory / f"{name}.conf"
        self.write(*settings)
        if start:
            self.start()

    def write(self, *settings):
        lines = settings or ("listener {port} 127.0.0.1", "allow_anonymous true")
        self.config.write_text("\n".join([f"user {getpass.getuser()}", "max_queued_messages 0", "max_inflight_messages 1000", "set_tcp_nodelay true", *lines, ""])
                               .replace("{port}", str(self.port)))

    def start(self):
        with open(self.directory / f"{self.name}.log", "ab") as log:
            self.process = subprocess.Popen([need("mosquitto"), "-v", "-c", str(self.config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for_port(self.port, self.process)
        self.clients = Mosquitto(self.port)
        return self

    def log(self):
        return (self.directory / f"{self.name}.log").read_text(errors="backslashreplace")

    def url(self, more="", scheme="mqtt"):
        return f"{scheme}://127.0.0.1:{self.port}?{more}"

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def kill(self):
        """As when somebody pulls the plug: no goodbye to anybody."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def restart(self):
        self.kill()
        return self.start()

    def stop(self):
        if self.process is None:
            return
        self.clients.close()
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE)
