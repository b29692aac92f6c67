"""Something to test: it warns when a freezer is warm for an hour."""
import time


def watch(bridge, now=time.monotonic):
    warm_since = {}

    @bridge.on("freezer/{name}/temperature")
    def heard(message, name):
        if float(message) < -15:
            warm_since.pop(name, None)
        elif now() - warm_since.setdefault(name, now()) >= 3600:
            bridge.publish(f"freezer/{name}/alarm", float(message), retain=True, ttl=24 * 3600)
