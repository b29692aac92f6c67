"""Your functions hear messages and answer requests, whatever protocol they come over."""
import sys

from libbridge import Bridge, NotFound

lamps = {"kitchen": "off", "cellar": "off"}
bridge = Bridge(*sys.argv[1:] or ["mqtt://127.0.0.1:1883", "http://127.0.0.1:3000/resources"])


@bridge.on("home/{room}/temperature")
def too_warm(message, room):
    if float(message) > 28:
        bridge.publish(f"alarms/{room}", {"temperature": message.value, "said_by": message.origin})


@bridge.resource("lamps/{room}", "GET", "PUT")
def lamp(request, room):
    if room not in lamps:
        raise NotFound(f"there is no lamp in the {room}")
    if request.verb == "PUT":
        lamps[room] = str(request.message)
    return lamps[room]


print("listening on", *bridge.listeners, flush=True)
bridge.run()
