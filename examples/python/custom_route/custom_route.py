"""One resource, a name of its own in each protocol."""
import sys

from libbridge import Bridge

bridge = Bridge(*sys.argv[1:] or ["mqtt://127.0.0.1:1883", "coap://127.0.0.1:5683/r"])

# CoAP sensors are small and say "s/kitchen/t"; everybody else calls it "home/kitchen/temperature".
bridge.route("coap:s/{room}/t", "home/{room}/temperature")
# And what is said there is kept a second time, below the archive.
bridge.route("home/{room}/temperature", "archive/{room}/temperature", retain=True)

print("listening on", *bridge.listeners, flush=True)
print(bridge.explain("home/kitchen/temperature"), flush=True)
bridge.run()
