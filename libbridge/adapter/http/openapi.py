"""Writes the OpenAPI description of the HTTP side; the build puts it into the library, tests/story/test_http_openapi.py keeps it true.

One text serves every listener: marks stand where describe.c puts the mount, and around what only some listeners have."""
import json
import sys

MOUNT, IF_MOUNT, IF_HC, END = "@1@", "@2@", "@3@", "@4@"
PROBLEM = {"$ref": "#/components/responses/problem"}
WORDS = {
    101: "WebSocket from here on", 200: "the value", 201: "created; Location says where, ETag what", 202: "taken: nobody listened, or it goes on (Location)",
    204: "done", 206: "the part that was asked for", 304: "the asker has it", 400: "not a legal name or request", 401: "who are you?", 403: "not allowed",
    404: "nothing is there", 405: "not here; Allow says what is", 406: "no such representation", 409: "it conflicts with what is there",
    412: "the condition does not hold", 413: "too large", 415: "a format that cannot be taken", 416: "no such part", 422: "understood, cannot be applied",
    426: "WebSocket version 13 is wanted", 429: "over a limit; Retry-After", 500: "our fault, or the owner's", 501: "the owner cannot do that",
    502: "the owner cannot be reached", 508: "it has come round", 503: "the owner has given up; Retry-After", 504: "the owner did not answer",
}
HEADERS = {  # status -> the headers that it always has, beside those of each answer
    200: ("Cache-Control",), 201: ("Location",), 206: ("ETag", "Last-Modified"), 304: ("ETag",), 401: ("WWW-Authenticate",), 405: ("Allow",), 416: ("Content-Range",),
    429: ("Retry-After",), 503: ("Retry-After",),
}
BINARY = {"type": "string", "format": "binary"}
ANY = {"*/*": {"schema": BINARY}}
JSON = {"application/json": {"schema": {}}}
TEXT = {"text/plain": {"schema": {"type": "string"}}}
LINKS = {"application/link-format": {"schema": {"type": "string"}}}
READ = {**ANY, "text/event-stream": {"schema": {"type": "string"}}, "application/senml+json": {"schema": {}}, **LINKS}
OWNED = (400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 422, 429, 500, 501, 502, 503, 504)  # what an owner may answer to anything


PARAMETERS = {}


def parameter(name, place, description, **more):
    """Written once, under components."""
    key = f"{place}.{name}" 
    PARAMETERS[key] = {"name": name, "in": place, "schema": {"type": "string"}, "description": description, **more}
    return {"$ref": f"#/components/parameters/{key}"}


def header(name, description):
    return parameter(name, "header", description)


def query(name, description):
    return parameter(name, "query", description, allowEmptyValue=True)


def in_path(name, description):
    return parameter(name, "path", description, required=True)


def answer(status, content=None):
    made = {"description": WORDS[status]}
    if status in HEADERS:
        made["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in HEADERS[status]}
    if status >= 400:
        made["content"] = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/problem"}}}
    elif status in (200, 206) and content:
        made["content"] = content
    return made


def answers(*statuses, content=None):
    made = {str(status): answer(status, content) if status < 400 else {"$ref": f"#/components/responses/{status}"} for status in statuses}
    return {**made, "default": PROBLEM}


def verb(summary, *statuses, content=None, parameters=(), body=None):
    made = {"summary": summary, "responses": answers(*statuses, content=content)}
    if parameters:
        made["parameters"] = list(parameters)
    if body:
        made["requestBody"] = {"content": body}
    return made


def read_only(get, *statuses, parameters=None, **more):
    """A target that is only read."""
    return {**({"parameters": parameters} if parameters else {}), "get": verb(get, *statuses, **more),
            "head": verb("As GET, without the body", *(s for s in statuses if s != 101), parameters=more.get("parameters", ())),
            "options": verb("What may be done; CORS preflight", 204)}


ACCEPT = header("Accept", "formats wanted, with weights; text/event-stream watches")
IF_MATCH = header("If-Match", "entity tags the value must have, or *")
IF_NONE_MATCH = header("If-None-Match", "entity tags the asker has, or *")
IF_MODIFIED = header("If-Modified-Since", "a date")
IF_UNMODIFIED = header("If-Unmodified-Since", "a date")
PREFER = header("Prefer", "wait=n: seconds that an owner has, or to wait for something new; respond-async: 202 and a place for the answer")
READING = (ACCEPT, IF_MATCH, IF_NONE_MATCH, IF_MODIFIED, IF_UNMODIFIED, header("Range", "ranges of bytes"), header("If-Range", "an entity tag"), PREFER,
           header("Last-Event-ID", "the last event that was seen"), query("observe", "watch with server-sent events"), query("about", "events say all that is known of each message"), query("list", "names below"))
PAGED = (query("limit", "rows of this page, 100 unless said, at most 1000"), query("offset", "rows before it"), query("q", "a part of what a row says"))
VIA = header("Bridge-Via", "bridges it has come through, between commas; too many, or ours too often: 508")
QOS = header("Bridge-QoS", "0, 1 or 2: the most that who watches gets it with; 1 unless said")
WRITING = (VIA, QOS, IF_MATCH, IF_NONE_MATCH, IF_UNMODIFIED, header("Cache-Control", "max-age=n: seconds the value lives"), PREFER)
NAME = in_path("path", "segments joined by '/', each percent-encoded; '+' is any one segment and a last '%23' all that follows, for reading")
PATCHES = {kind: {"schema": {}} for kind in ("application/merge-patch+json", "application/json-patch+json", "application/senml-etch+json",
                                             "application/senml-etch+cbor")}


def resource():
    return {
        "parameters": [NAME],
        "get": verb("The value, the values of a pattern, the names below, or events", 200, 202, 206, 304, 416, *OWNED, content=READ, parameters=READING),
        "head": verb("As GET, without the body", 200, 202, 304, *OWNED, parameters=READING),
        "put": verb("Sets the last value", 200, 201, 202, 204, 508, *OWNED, content=ANY, parameters=WRITING, body=ANY),
        "post": verb("An event that is not kept, or a question to the owner", 200, 201, 202, 204, 508, *OWNED, content=ANY, parameters=(VIA, QOS, PREFER), body=ANY),
        "patch": verb("Changes part of the value", 200, 201, 202, 204, 508, *OWNED, content=ANY, parameters=WRITING, body=PATCHES),
        "delete": verb("Removes the value", 200, 202, 204, 508, *OWNED, content=ANY, parameters=(VIA, IF_MATCH, IF_UNMODIFIED, PREFER)),
        "options": verb("What may be done; CORS preflight", 204),
    }


def proxy():
    refused = (400, 403, 502)
    made = {"parameters": [in_path("uri", "coap://host/path as it is, or escaped; or nothing, and ?target_uri=")]}
    for name, statuses in (("get", (200, 304, 404, 504)), ("head", (200, 304, 404)), ("put", (201, 204)), ("post", (200, 204)), ("patch", (204,)), ("delete", (204,))):
        made[name] = verb("Asks a CoAP server (RFC 8075)", *statuses, *refused, content=ANY, body=ANY if name in ("put", "post", "patch") else None)
    for said in made["put"]["responses"], made["get"]["responses"], made["head"]["responses"]:
        for status in said:
            said[status].pop("headers", None)  # what CoAP servers leave out
    made["options"] = verb("What may be done; CORS preflight", 204)
    return made


def later():
    parameters = [in_path("id", "from the Location of a 202")]
    made = read_only("What a request with Prefer: respond-async has come to: 202 is not yet; then as it would have been answered", 200, 202, 404,
                     content=ANY, parameters=None)
    return {**made, "parameters": parameters, "delete": verb("Nobody wants the answer any more", 204, 404)}


def webhook():
    said = {"Bridge-Path": "the path, escaped as in a URL", "Bridge-Origin": "who published it", "Bridge-Version": "hex; larger is newer", "Bridge-Time": "ms since 1970",
            "Bridge-Delivery": "the same when it is tried again", "Bridge-Attempt": "2 when it is tried for the second time, and so on", "Bridge-Event": "gone, or retained",
            "Bridge-Signature": "t=seconds,v1=hex: HMAC-SHA256 of the seconds, a dot and the body", "Bridge-Via": "bridges it has come through, this one last",
            "Traceparent": "as the message came with it"}
    return {"post": {"summary": "A message, sent to the URL that somebody said (docs/webhooks.md)", "parameters": [header(*pair) for pair in said.items()],
                     "requestBody": {"content": ANY}, "responses": {
                         "2XX": {"description": "taken"}, "408": {"description": "tried again"}, "410": {"description": "nothing more is sent, ever"},
                         "425": {"description": "tried again"}, "429": {"description": "tried again, after Retry-After"}, "5XX": {"description": "tried again"},
                         "default": {"description": "given up"}}}}


def describe(version):
    site = {
        "/": read_only("The page; with Upgrade: websocket, as at any target, MQTT, CoAP or JSON", 101, 200, 400, 426, content={"text/html": {}}),
        "/healthz": read_only("ok", 200, content=TEXT),
        "/metrics": read_only("Numbers in the text format of Prometheus", 200, 401, 403, content=TEXT),
        "/api/stats": read_only("Numbers", 200, 401, 403, content=JSON),
        "/api/explain": read_only("Where a message for a path goes, and why", 200, 400, 401, 403, content=JSON, parameters=(query("path", "which"),)),
        "/api/me": read_only("Who the asker is here, and the mount", 200, 401, content=JSON),
        "/api/peers": read_only("Who is connected, newest first", 200, 400, 401, 403, content=JSON, parameters=PAGED),
        "/api/ports": read_only("Listeners and uplinks", 200, 400, 401, 403, content=JSON, parameters=PAGED),
        "/api/routes": {
            **read_only("Routes, and how many messages have crossed them", 200, 400, 401, 403, content=JSON, parameters=PAGED),
            "post": verb("Adds a route, or with ?try says what it would do; only where the listener's URL says routes=write", 200, 201, 400, 401, 403, 409,
                         content=JSON, parameters=(query("try", "it is not added"),), body=JSON)},
        "/api/routes/{id}": {"parameters": [in_path("id", "of a route that came by hand or from the store")],
                             "delete": verb("Takes it away", 204, 401, 403, 404), "options": verb("What may be done; CORS preflight", 204)},
        "/api/openapi.json": read_only("This", 200, content=JSON),
        "/api/requests/{id}": later(),
        "/history/{path}": {"parameters": [NAME], **read_only(
            "The past of a value, or of a pattern (docs/store.md)", 200, 400, 401, 403, 404, content={**JSON, "text/csv": {}, "application/senml+json": {}},
            parameters=(ACCEPT, query("from", "a time"), query("to", "a time"), query("limit", "at most so many"), query("order", "up or down"),
                        query("aggregate", "mean, min, max, sum, count, first or last of each step"), query("step", "how long it is"), query("as", "json, csv, senml or columns")))},
        "/.well-known/core": read_only("What is there (RFC 6690)", 200, 401, content=LINKS),
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "bridge", "version": version, "description": "Resources that MQTT, CoAP and HTTP share.",
                 "license": {"name": "BSD-3-Clause", "identifier": "BSD-3-Clause"}},
        "paths": {
            MOUNT + "/{path}": resource(),
            IF_MOUNT: None,
            MOUNT + "/": {**read_only("The names at the top, or with ?observe events of everything", 200, 401, content=JSON, parameters=(query("observe", "watch"),)),
                          **{name: verb("There is no value here", 405) for name in ("put", "post", "patch", "delete")}},
            END: None,
            IF_HC: None,
            "/hc/{uri}": proxy(),
            END + " ": None,
            **site,
        },
        "webhooks": {"message": webhook()},
        "security": [{}, {"password": []}, {"certificate": []}],
        "components": {
            "securitySchemes": {"password": {"type": "http", "scheme": "basic"}, "certificate": {"type": "mutualTLS"}},
            "schemas": {"problem": {"type": "object", "required": ["title", "status"], "properties": {
                "title": {"type": "string"}, "status": {"type": "integer"}, "detail": {"type": "string"}}}},
            "parameters": PARAMETERS,
            "responses": {**{str(status): answer(status) for status in WORDS if status >= 400}, "problem": {"description": "what went wrong (RFC 9457)",
                                      "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/problem"}}}}},
            "headers": {name: {"schema": {"type": "string"}} for name in sorted({name for names in HEADERS.values() for name in names})},
        },
    }


def text(version):
    made = json.dumps(describe(version), separators=(",", ":"))
    for mark in (IF_MOUNT, IF_HC, END + " ", END):
        made = made.replace(f'"{mark}":null,', mark.strip())
    for number, mark in enumerate((MOUNT, IF_MOUNT, IF_HC, END), 1):
        made = made.replace(mark, chr(number))
    return made


if __name__ == "__main__":
    sys.stdout.write(text(sys.argv[1]))
