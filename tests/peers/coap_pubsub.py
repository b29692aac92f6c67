"""What the stories of the pub/sub broker (draft-ietf-core-coap-pubsub) share: configurations of topics, in CBOR."""
import re

from peers import coap
from peers.coap import uint

NAME, DATA, TYPE, FORMAT, TOPIC_TYPE, EXPIRES, SUBSCRIBERS, CHECK, INITIALIZE = range(9)
HISTORY, OLD_INITIALIZE, FILTER = 8, 9, 10   # of older versions of the draft


class Tag(tuple):
    """(number, content)"""


CONF = [(coap.CONTENT_FORMAT, uint(606))]
TEXT = [(coap.CONTENT_FORMAT, b"")]


def cbor(value):
    def head(major, n):
        if n < 24:
            return bytes([major << 5 | n])
        size = 1 if n < 1 << 8 else 2 if n < 1 << 16 else 4 if n < 1 << 32 else 8
        return bytes([major << 5 | 24 + size.bit_length() - 1]) + n.to_bytes(size, "big")
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, Tag):
        return head(6, value[0]) + cbor(value[1])
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(cbor, value))
    return head(5, len(value)) + b"".join(cbor(key) + cbor(item) for key, item in value.items())


def uncbor(data):
    def read(at):
        major, n = data[at] >> 5, data[at] & 31
        at += 1
        if n >= 24:
            size = 1 << n - 24
            n, at = int.from_bytes(data[at:at + size], "big"), at + size
        if major == 0:
            return n, at
        if major in (2, 3):
            return data[at:at + n] if major == 2 else data[at:at + n].decode(), at + n
        if major == 6:
            content, at = read(at)
            return Tag((n, content)), at
        if major == 4:
            items = []
            for _ in range(n):
                item, at = read(at)
                items.append(item)
            return items, at
        assert major == 5
        found = {}
        for _ in range(n):
            key, at = read(at)
            found[key], at = read(at)
        return found, at
    value, end = read(0)
    assert end == len(data)
    return value


def config(answer, says):
    assert (answer.says, answer.uint(coap.CONTENT_FORMAT)) == (says, 606), answer
    return uncbor(answer.payload)


def create(client, name, **more):
    """(where the topic is, where its data are)"""
    answer = client.post("ps", cbor({NAME: name, TYPE: "core.ps.data", **more.get("also", {})}), options=CONF)
    told = config(answer, "2.01")
    return "/".join(part.decode() for part in answer.all(coap.LOCATION_PATH)), told[DATA].lstrip("/")


def listed(answer):
    assert (answer.says, answer.uint(coap.CONTENT_FORMAT)) == ("2.05", 40), answer
    return re.findall(r"<([^>]*)>", answer.payload.decode())
