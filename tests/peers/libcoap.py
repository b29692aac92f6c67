"""libcoap's example server as a peer: on ports that were free, and up when `with` begins."""
import contextlib
import socket

from .process import Program
from .tools import need


def _free_pair():
    """A port that is free, with the one above it, for datagrams and for connections."""
    while True:
        with contextlib.ExitStack() as held:
            port = 0
            try:
                for kind, above in ((socket.SOCK_STREAM, 0), (socket.SOCK_DGRAM, 0), (socket.SOCK_STREAM, 1), (socket.SOCK_DGRAM, 1)):
                    place = held.enter_context(socket.socket(socket.AF_INET, kind))
                    place.bind(("127.0.0.1", port + above if port else 0))
                    port = port or place.getsockname()[1]
            except (OSError, OverflowError):
                continue
            return port


@contextlib.contextmanager
def coap_server(*options, secure=False):
    """Its port for coap and coap+tcp; coaps and coaps+tcp are at the one above."""
    server = need("coap-server-openssl") if secure else need("coap-server-notls", "coap-server")
    last = "created TLS" if secure else "created TCP"
    for attempt in range(20):                                          # somebody may take a port meanwhile
        port = _free_pair()
        program = Program(server, "-A", "127.0.0.1", "-p", port, "-v", "7", *options)
        try:
            while True:
                line = program.line()
                if "CRIT" in line:
                    break
                if last in line:
                    yield port
                    return
        finally:
            program.stop()
    raise AssertionError(f"no port for {server}: {line}")
