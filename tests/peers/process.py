"""Programs as peers: started, heard line by line, stopped.  Waiting is for an event, never for a time to pass."""
import os
import queue
import signal
import subprocess
import threading
import time

# A sanitizer for the Python module comes into this process by preload.  It is not for the programs that are started from here, which it
# would slow down, but for those which are Python themselves.
SANITIZER = os.environ.pop("LD_PRELOAD", "")

PATIENCE = 30.0  # seconds until something that must happen is taken for lost; never waited for when all is well


def wait_until(is_so, what="it", patience=30.0):
    """For what nobody tells: asks again and again."""
    end = time.monotonic() + patience
    while not is_so():
        assert time.monotonic() < end, f"{what} did not happen in {patience:g} s"
        time.sleep(0.01)


def python_environment(**more):
    """For a Python program that imports the module of this build."""
    return {**os.environ, **({"LD_PRELOAD": SANITIZER} if SANITIZER else {}), **more}


class Program:
    """A running program whose output comes in lines.  Use it with `with`, or call stop()."""

    ends_at = signal.SIGTERM

    def __init__(self, *argv, env=None, cwd=None, errors=None):
        self.argv = [str(a) for a in argv]
        self.seen = []
        self._errors = errors
        self._lines = queue.Queue()
        self.process = subprocess.Popen(
            self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=errors or subprocess.STDOUT, env=env, cwd=cwd, text=True, errors="backslashreplace")
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def line(self, timeout=PATIENCE):
        """The next line; EOFError when the program has ended, TimeoutError when nothing came."""
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError(f"no line from {self.argv}; so far: {self.seen[-20:]}") from None
        if line is None:
            self._lines.put(None)
            raise EOFError(f"{self.argv} ended with {self.process.wait(PATIENCE)}; it said: {self.seen[-50:]}")
        self.seen.append(line)
        return line

    def wait_for(self, text, timeout=PATIENCE):
        """Reads lines until one holds `text`; returns that line."""
        while True:
            line = self.line(timeout)
            if text in line:
                return line

    def lines(self, count, timeout=PATIENCE):
        return [self.line(timeout) for _ in range(count)]

    def rest(self, timeout=PATIENCE):
        """All lines until the program ends."""
        lines = []
        while True:
            try:
                lines.append(self.line(timeout))
            except EOFError:
                return lines

    def wait(self, timeout=PATIENCE):
        return self.process.wait(timeout)

    def send_signal(self, number):
        self.process.send_signal(number)

    def stop(self, number=None):
        """Ends it and returns its exit code; kills what does not want to end, which is a failure."""
        number = number or self.ends_at
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.argv} did not stop on signal {number}") from None
        self._reader.join(PATIENCE)
        return code

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Listener(Program):
    """A foreign program that only listens.  It is not asked to end: mosquitto_sub's handler of SIGTERM takes a lock that the program may
    hold, and coap-client may look at what its handler has set, and then wait for the next datagram."""

    ends_at = signal.SIGKILL


def run(*argv, stdin=None, timeout=PATIENCE, check=True):
    """Runs a program to its end; CompletedProcess with bytes in .stdout and .stderr."""
    done = subprocess.run([str(a) for a in argv], input=stdin, capture_output=True, timeout=timeout,
                          stdin=None if stdin is not None else subprocess.DEVNULL)
    if check and done.returncode != 0:
        raise AssertionError(f"{argv} ended with {done.returncode}: {done.stderr.decode(errors='backslashreplace')}"
                             f"{done.stdout.decode(errors='backslashreplace')}")
    return done
