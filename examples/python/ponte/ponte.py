"""A bridge in ten lines: what one peer says over one protocol, the others hear over theirs."""
from libbridge import Bridge

ponte = Bridge("mqtt://127.0.0.1:1883", "coap://127.0.0.1:5683/r", "http://127.0.0.1:3000/resources")


@ponte.resource("about")
def about(request):
    return {"name": "ponte in ten lines", "path": request.path}


print("ponte is up; stop it with Ctrl-C", flush=True)
ponte.run()
