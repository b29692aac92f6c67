"""mosquitto as the other side of an uplink: started, killed, started again on the same port; and a wire that can be cut."""
import asyncio
import getpass
import signal
import socket
import subprocess
import threading
import time

from .process import PATIENCE
from .tools import Mosquitto, need


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


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


class Wire:
    """A TCP connection to `port` that can stall (both ends stay open and hear nothing), be slow, or be cut."""

    def __init__(self, port):
        self.target = port
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._flow = None
        self.writers = set()
        self.delay = 0.0
        self.refuse = False
        self.port = 0
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()
        self._ready.wait(PATIENCE)

    def _main(self):
        asyncio.set_event_loop(self._loop)
        self._flow = asyncio.Event()
        self._flow.set()
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        for writer in list(self.writers):
            writer.transport.abort()
        server.close()

    async def _serve(self, reader, writer):
        if self.refuse:
            writer.transport.abort()
            return
        try:
            there, away = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self.writers |= {writer, away}
        await asyncio.gather(self._carry(reader, away), self._carry(there, writer))
        self.writers -= {writer, away}

    async def _carry(self, reader, writer):
        try:
            while data := await reader.read(65536 if not self.delay else 512):
                await self._flow.wait()
                if self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(data)
                await writer.drain()
        except (OSError, asyncio.CancelledError):
            pass
        writer.transport.abort()

    def _call(self, fn):
        done = threading.Event()
        self._loop.call_soon_threadsafe(lambda: (fn(), done.set()))
        assert done.wait(PATIENCE)

    def stall(self):
        """From now on nothing moves, and nobody is told: a half-open connection."""
        self._call(self._flow.clear)

    def flow(self):
        self._call(self._flow.set)

    def cut(self):
        self._call(lambda: [w.transport.abort() for w in list(self.writers)])

    def close(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()
