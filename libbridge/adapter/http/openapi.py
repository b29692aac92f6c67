"""Writes the OpenAPI description of the HTTP side; the build puts it into the library, tests/story/test_http_openapi.py keeps it true."""
import json
import sys

PROBLEM = {"application/problem+json": {"schema": {"type": "object", "properties": {
    "title": {"type": "string"}, "status": {"type": "integer"}, "detail": {"type": "string"}}}}}
WORDS = {
    200: "the value", 201: "created; Location says where", 202: "taken; nobody listened", 204: "done", 206: "the part that was asked for",
    304: "the asker has it", 400: "not a legal name or request", 401: "who are you?", 403: "not allowed", 404: "nothing is there",
    405: "not here; Allow says what is", 406: "no such representation", 409: "the patch's test says no", 412: "the condition does not hold", 413: "too large",
    415: "a format that cannot be taken", 416: "no such part", 422: "understood, cannot be applied", 426: "WebSocket version 13 is wanted", 101: "WebSocket from here on",
    429: "over a limit; Retry-After", 502: "the owner cannot be reached", 504: "the owner did not answer", 500: "our fault, or the owner's",
}
ANY = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
NAME = {"name": "path", "in": "path", "required": True, "schema": {"type": "string"}, "allowReserved": True,
        "description": "segments joined by '/', each percent-encoded; '+' is any one segment and a last '%23' all that follows, for reading"}


def header(name, description):
    return {"name": name, "in": "header", "schema": {"type": "string"}, "description": description}


def query(name, description, kind="string"):
    return {"name": name, "in": "query", "allowEmptyValue": True, "schema": {"type": kind}, "description": description}


def answers(*statuses, content=None):
    made = {}
    for status in statuses:
        made[str(status)] = {"description": WORDS[status]}
        if status >= 400:
            made[str(status)]["content"] = PROBLEM
        elif status in (200, 206) and content:
            made[str(status)]["content"] = content
    return made


def verb(summary, *statuses, content=None, parameters=(), body=False):
    made = {"summary": summary, "responses": answers(*statuses, content=content)}
    if parameters:
        made["parameters"] = list(parameters)
    if body:
        made["requestBody"] = {"content": ANY}
    return made


ACCEPT = header("Accept", "formats wanted, with weights; text/event-stream watches")
IF_MATCH = header("If-Match", "entity tags the value must have, or *")
IF_NONE_MATCH = header("If-None-Match", "entity tags the asker has, or *")
READING = (ACCEPT, IF_NONE_MATCH, header("Range", "one range of bytes"), header("Prefer", "wait=n: seconds to wait for something new"),
           header("Last-Event-ID", "the last event that was seen"), query("observe", "watch with server-sent events"), query("list", "names below"))
WRITING = (IF_MATCH, IF_NONE_MATCH, header("Cache-Control", "max-age=n: seconds the value lives"))
JSON = {"application/json": {"schema": {}}}
TEXT = {"text/plain": {"schema": {"type": "string"}}}


def describe(version):
    return {
        "openapi": "3.1.0",
        "info": {"title": "bridge", "version": version, "description": "Resources that MQTT, CoAP and HTTP share. {mount} is what the "
                 "listener's URL says, /resources by default.", "license": {"name": "BSD-3-Clause", "identifier": "BSD-3-Clause"}},
        "paths": {
            "/resources/{path}": {
                "parameters": [NAME],
                "get": verb("The value, the values of a pattern, the names below, or events", 200, 206, 304, 400, 401, 403, 404, 406, 416, 500, 504, content=ANY, parameters=READING),
                "head": verb("As GET, without the body", 200, 304, 404, parameters=READING),
                "put": verb("Sets the last value", 201, 204, 400, 401, 403, 405, 412, 413, 415, parameters=WRITING, body=True),
                "post": verb("An event that is not kept, or a question to the owner", 200, 202, 204, 405, content=ANY, body=True),
                "patch": verb("Changes part of the value: merge-patch, json-patch, senml-etch", 201, 204, 409, 412, 415, 422, parameters=WRITING, body=True),
                "delete": verb("Removes the value", 204, 404, 405, 412, parameters=(IF_MATCH,)),
                "options": verb("What may be done; CORS preflight", 204),
            },
            "/resources/": {"get": verb("The names at the top, or with ?observe events of everything", 200, content=JSON, parameters=(query("observe", "watch"),)),
                            "put": verb("There is no value here", 405)},
            "/": {"get": verb("The page; with Upgrade: websocket, as at any target, MQTT or JSON", 101, 200, 400, 426, content={"text/html": {}}),
                  "post": verb("Nothing is taken here", 405)},
            "/healthz": {"get": verb("ok", 200, content=TEXT)},
            "/metrics": {"get": verb("Numbers in the text format of Prometheus", 200, content=TEXT)},
            "/api/stats": {"get": verb("Numbers", 200, content=JSON)},
            "/api/explain": {"get": verb("Where a message for a path goes, and why", 200, 400, content=JSON, parameters=(query("path", "which"),))},
            "/api/openapi.json": {"get": verb("This", 200, content=JSON)},
            "/.well-known/core": {"get": verb("What is there (RFC 6690)", 200, content={"application/link-format": {}})},
        },
    }


if __name__ == "__main__":
    json.dump(describe(sys.argv[1]), sys.stdout, separators=(",", ":"))
