"""The tools that everybody has: mosquitto's clients, libcoap's, curl.  A missing one skips the test and says so."""
import shutil

import pytest

from .process import PATIENCE, Listener, run


def need(*names):
    """The first of these programs that is installed."""
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    pytest.skip(f"needs {names[0]}")


def stdbuf(*argv):
    """mosquitto_sub and coap-client buffer whole blocks into a pipe."""
    return (need("stdbuf"), "-oL", *argv)


class Mosquitto:
    """mosquitto_pub and mosquitto_sub against one broker."""

    def __init__(self, port, host="127.0.0.1"):
        self.address = ("-h", host, "-p", str(port))
        self._running = []

    def publish(self, topic, payload, *options):
        data = payload if isinstance(payload, bytes) else str(payload).encode()
        return run(need("mosquitto_pub"), *self.address, "-t", topic, "-s", *options, stdin=data)

    def clear(self, topic, *options):
        """The empty retained message that removes a value."""
        return run(need("mosquitto_pub"), *self.address, "-t", topic, "-r", "-n", *options)

    def subscribe(self, *topics, options=("-v",)):
        """A running mosquitto_sub, subscribed already; .line() gives 'topic payload'."""
        filters = [word for topic in topics for word in ("-t", topic)]
        sub = Listener(*stdbuf(need("mosquitto_sub"), *self.address, "-d", *options, *filters))
        self._running.append(sub)
        sub.wait_for("Subscribed (mid:")
        return Heard(sub)

    def close(self):
        for sub in self._running:
            sub.stop()


class Heard:
    """The messages of a mosquitto_sub -d, without what it tells of packets."""

    NOISE = ("Client ", "Subscribed (mid:")

    def __init__(self, program):
        self.program = program

    def line(self, timeout=PATIENCE):
        while True:
            line = self.program.line(timeout)
            if not line.startswith(self.NOISE):
                return line

    def lines(self, count, timeout=PATIENCE):
        return [self.line(timeout) for _ in range(count)]

    def stop(self):
        return self.program.stop()


def coap_client(*options, check=True, timeout=PATIENCE):
    """Runs libcoap's client; .stdout is the payload (and error codes, as it prints them)."""
    return run(need("coap-client", "coap-client-openssl", "coap-client-notls", "coap-client-gnutls"), *options,
               check=check, timeout=timeout)


def coap_get(url, *options):
    return coap_client(*options, "-m", "get", url).stdout


def coap_put(url, payload, *options):
    return coap_client(*options, "-m", "put", "-e", payload, url)


def coap_observe(url, *options, seconds=60):
    """A running coap-client that observes; .line() gives what is notified (payloads must end in a newline)."""
    client = need("coap-client", "coap-client-openssl", "coap-client-notls", "coap-client-gnutls")
    return Listener(*stdbuf(client, "-s", seconds, *options, "-m", "get", url))


def curl(*options, timeout=PATIENCE):
    """(status, body) of one curl call."""
    done = run(need("curl"), "-sS", "--max-time", timeout, "-o", "-", "-w", "\n%{http_code}", *options, timeout=timeout + 5)
    body, _, status = done.stdout.rpartition(b"\n")
    return int(status), body
