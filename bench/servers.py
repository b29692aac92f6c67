"""The servers under test: ours and the peer of each protocol, each started fresh, on one core, in a scratch folder."""
from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

MOSQUITTO = """\
listener {port} 127.0.0.1
{tls}allow_anonymous true
persistence false
log_type error
set_tcp_nodelay true
max_connections -1
max_queued_messages 0
"""

NGINX = """\
daemon off;
worker_processes 1;
pid {dir}/nginx.pid;
error_log {dir}/error.log error;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    default_type text/plain;
    keepalive_requests 1000000000;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
    server {{ listen 127.0.0.1:{port}{more}; location / {{ return 200 "~xxxxxxxxxxxxxxxxxxx"; }} }}
}}
"""


class Failed(Exception):
    """A server or a load client did not do its work."""


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def settle(cpu: int | None, first: bool = False) -> None:
    """In the child: one core; `first`: before everything else that runs on the machine."""
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    if first:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))


def make_certificate(folder: Path) -> None:
    if not (folder / "cert.pem").exists():
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")],
            check=True, capture_output=True)
        os.chmod(folder / "key.pem", 0o644)  # mosquitto started by root reads it as its own user


class Server:
    """One running server; `ports` by scheme, `pids` of the processes whose CPU counts."""

    def __init__(self, folder: Path, cpu: int | None, first: bool = False):
        self.folder, self.cpu, self.first = folder, cpu, first
        self.ports: dict[str, int] = {}
        self.process: subprocess.Popen | None = None
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)

    def spawn(self, command: list[str], stdout=None) -> None:
        self.log = open(self.folder / "log", "wb")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout or self.log,
                                        stderr=self.log, preexec_fn=lambda: settle(self.cpu, self.first))

    @property
    def pids(self) -> list[int]:
        return [self.process.pid]

    def fail(self, what: str) -> Failed:
        text = (self.folder / "log").read_text(errors="replace")[-500:]
        self.stop()
        return Failed(f"{what}\n{text}")

    def wait_for_port(self, port: int) -> None:
        end = time.monotonic() + 10
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise self.fail("server ended at once")
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise self.fail("server does not listen")

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()


class Mosquitto(Server):
    def start(self, schemes: list[str]) -> "Server":
        port = free_port()
        tls = ""
        if "mqtts" in schemes:
            make_certificate(self.folder.parent)
            tls = f"certfile {self.folder.parent}/cert.pem\nkeyfile {self.folder.parent}/key.pem\n"
        config = self.folder / "mosquitto.conf"
        config.write_text(MOSQUITTO.format(port=port, tls=tls))
        self.spawn([find("mosquitto"), "-c", str(config)])
        self.wait_for_port(port)
        self.ports = {scheme: port for scheme in schemes}
        return self


class MosquittoDurable(Mosquitto):
    """Writes its whole state at every change."""

    def start(self, schemes: list[str]) -> "Server":
        port = free_port()
        config = self.folder / "mosquitto.conf"
        self.folder.chmod(0o777)
        config.write_text(MOSQUITTO.format(port=port, tls="").replace(
            "persistence false", f"persistence true\npersistence_location {self.folder}/\nautosave_on_changes true\nautosave_interval 1"))
        self.spawn([find("mosquitto"), "-c", str(config)])
        self.wait_for_port(port)
        self.ports = {scheme: port for scheme in schemes}
        return self


class Nginx(Server):
    more = ""

    def start(self, schemes: list[str]) -> "Server":
        port = free_port()
        config = self.folder / "nginx.conf"
        config.write_text(NGINX.format(port=port, dir=self.folder, more=self.more))
        self.spawn([find("nginx"), "-p", str(self.folder), "-c", str(config)])
        self.wait_for_port(port)
        for _ in range(200):
            if self.pids:
                break
            time.sleep(0.02)
        self.ports = {"http": port}
        return self

    @property
    def pids(self) -> list[int]:
        """The worker; the master only watches."""
        master = self.process.pid
        return [int(pid) for pid in Path(f"/proc/{master}/task/{master}/children").read_text().split()]


class NginxHttp2(Nginx):
    more = " http2"


class Libcoap(Server):
    def start(self, schemes: list[str]) -> "Server":
        port = free_port(socket.SOCK_DGRAM)
        self.spawn([find("coap-server-notls"), "-A", "127.0.0.1", "-p", str(port), "-d", "100", "-v", "2"])
        self.ports = {"coap": port}
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:  # a CoAP ping, answered by a Reset
            s.settimeout(0.1)
            s.connect(("127.0.0.1", port))
            for _ in range(100):
                try:
                    s.send(b"\x40\x00\x00\x01")
                    s.recv(100)
                    return self
                except OSError:
                    time.sleep(0.05)
        raise self.fail("coap-server does not answer")


class Bridged(Server):
    program = Path("build/examples/bridged/bridged")

    def start(self, schemes: list[str]) -> "Server":
        urls = {"mqtt": "mqtt://127.0.0.1:0", "http": "http://127.0.0.1:0/resources", "coap": "coap://127.0.0.1:0/r",
                "lwm2m": "lwm2m://127.0.0.1:0",
                "mqtts": f"mqtts://127.0.0.1:0?cert={self.folder.parent}/cert.pem&key={self.folder.parent}/key.pem"}
        if "mqtts" in schemes:
            make_certificate(self.folder.parent)
        return self.listens([str(self.program), *(urls[s] for s in schemes)], schemes)

    def listens(self, command: list[str], schemes: list[str]) -> "Server":
        self.spawn(command, stdout=subprocess.PIPE)
        for line in self.process.stdout:
            found = re.match(rb"listening on (\w+)://[^/?]*:(\d+)", line)
            if found:
                self.ports[found[1].decode()] = int(found[2])
            if len(self.ports) == len(schemes):
                return self
        raise self.fail("bridged did not say where it listens")


class BridgedDurable(Bridged):
    """With everything that was acknowledged on disk, synced, in batches of 5 ms."""

    def start(self, schemes: list[str]) -> "Server":
        return self.listens([str(self.program), "--store", f"sqlite:{self.folder}/bench.db", "mqtt://127.0.0.1:0"], ["mqtt"])


class BridgedMemory(Bridged):
    """With the store that keeps nothing."""

    def start(self, schemes: list[str]) -> "Server":
        return self.listens([str(self.program), "--store", "memory:", "mqtt://127.0.0.1:0"], ["mqtt"])


class Owner(Bridged):
    """A bridge in which a C function answers for bench/value."""

    def start(self, schemes: list[str]) -> "Server":
        urls = {"http": "http://127.0.0.1:0/resources", "coap": "coap://127.0.0.1:0/r"}
        return self.listens([str(self.program.parents[2] / "bench" / "owner"), *(urls[s] for s in schemes)], schemes)


class Relay(Bridged):
    """No broker: moves the bytes and looks at nothing, to know what the machine itself can do."""

    def start(self, schemes: list[str]) -> "Server":
        return self.listens([str(self.program.parents[2] / "bench" / "relay")], schemes)


def find(program: str) -> str:
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        raise Failed(f"{program} is not installed")
    return path


KINDS = {"mosquitto": Mosquitto, "nginx": Nginx, "nginx-h2": NginxHttp2, "libcoap": Libcoap, "bridged": Bridged, "mosquitto-durable": MosquittoDurable, "bridged-durable": BridgedDurable,
         "bridged-memory": BridgedMemory, "relay": Relay, "owner": Owner}
