"""The tables of docs/ are what the code says: outcomes, options of listeners, limits, numbers, symbols."""
import ast
import os
import re
import subprocess
from pathlib import Path

import pytest

from peers.tools import need

ROOT = Path(__file__).resolve().parents[2]
INSIDE = ROOT / "libbridge"
BUILD = Path(os.environ.get("LIBBRIDGE_BUILD") or ROOT / "build").resolve()


def rows(document, first):
    """The rows of the tables in docs/<document> whose first column matches; each a list of its columns."""
    found = []
    for line in (ROOT / "docs" / document).read_text().splitlines():
        columns = [column.strip() for column in line.strip().strip("|").split("|")]
        if line.startswith("|") and re.fullmatch(first, columns[0]):
            found.append(columns)
    assert found, f"docs/{document} has no such table"
    return found


def source(name):
    return (INSIDE / name).read_text()


# ---- status.md

STATUS = {row[0]: row for row in rows("status.md", r"[A-Z]+")}
HEADER = (ROOT / "include" / "bridge" / "bridge.h").read_text()


def statuses():
    said = dict(re.findall(r"X\((\w+), (-\d+),", HEADER))
    return {"OK": "0", **dict(re.findall(r"BRIDGE_(CREATED|VALID|UNHEARD) = (\d)", HEADER)), **said}


def test_every_status_is_in_the_table_with_its_number():
    assert {name: row[1] for name, row in STATUS.items()} == statuses()


def test_the_http_column():
    body = source("adapter/http/answer.c")
    said, waiting = {}, []
    for name, code in re.findall(r"case BRIDGE_(\w+):(?: return (\d+))?", body):
        waiting.append(name)
        if code:
            said.update({each: code for each in waiting})
            waiting = []
    assert len(said) > 15
    for name, row in STATUS.items():
        assert row[3].startswith(said.get(name, "500")), f"docs/status.md says HTTP {row[3]} for {name}"


def test_the_coap_column():
    names = dict(re.findall(r"(COAP_\w+) = COAP_CODE\((\d, ?\d+)\)", source("adapter/coap/wire.h"))) or \
        dict(re.findall(r"(COAP_\w+) = (0x\w+|\d+)", source("adapter/coap/wire.h")))
    said = dict(re.findall(r"\{BRIDGE_(\w+), (COAP_\w+)\}", source("adapter/coap/answer.c")))
    assert len(said) > 15

    def dotted(name):
        value = names[name]
        if "," in value:
            return "{}.{:02d}".format(*(int(part) for part in value.split(",")))
        return f"{int(value, 0) >> 5}.{int(value, 0) & 31:02d}"
    for name, row in STATUS.items():
        if int(row[1]) < 0:
            assert row[2].startswith(dotted(said[name]) if name in said else "5.00"), f"docs/status.md says CoAP {row[2]} for {name}"


def test_the_mqtt_column():
    reasons = dict(re.findall(r"(WIRE_\w+) = (0x\w+|0)\b", source("adapter/mqtt/wire.h")))
    body = re.search(r"uint8_t mqtt_reason\(.*?\n}", source("adapter/mqtt/reason.c"), re.S)[0]
    said, waiting = {}, []
    for name, reason in re.findall(r"case BRIDGE_(\w+):(?: return (\w+))?", body):
        waiting.append(name)
        if reason:
            said.update({each: int(reasons[reason], 16) for each in waiting})
            waiting = []
    for name, row in STATUS.items():
        wanted = said.get(name, 0 if int(row[1]) >= 0 else 0x80)
        assert not row[4] or int(row[4], 16) == wanted, f"docs/status.md says {row[4]} for {name}, mqtt_reason() 0x{wanted:02x}"


def test_the_python_column():
    pytest.importorskip("libbridge.testing")
    from libbridge import errors
    for name, row in STATUS.items():
        if int(row[1]) < 0:
            said = type(errors.error_for(int(row[1])))
            bases = [base.__name__ for base in said.__bases__ if base is not errors.BridgeError]
            assert row[5] == ", ".join([said.__name__, *bases]), name


# ---- urls.md

def words_in(name, array):
    found = re.search(rf"\b{array}\[\] = \{{(.*?)\}};", source(name), re.S)
    assert found, f"no list {array} in {name}"
    return set(re.findall(r'"(\w+)"', found[1]))


def options_known():
    """scheme -> the options that its adapter takes, read from the lists it gives to url_check()."""
    everybody = words_in("core/url.c", "of_all")
    tls = words_in("loop/tls_said.c", "tls_url_options")
    mqtt = words_in("adapter/mqtt/mqtt.c", "own") | set(re.findall(r"^    X\((\w+), ", source("adapter/mqtt/mqtt.c"), re.M))
    http = words_in("adapter/http/http.c", "own_options") | words_in("adapter/http/cors.c", "cors_options")
    hook, far = (words_in("adapter/http/out.c", f"{kind}_options") for kind in ("hook", "far"))
    coap = words_in("adapter/coap/said.c", "options")
    coaps = words_in("adapter/coap/dtls.c", "coap_dtls_options")
    return {"all": everybody, "tls": tls, "mqtt": mqtt, "http": http, "hook": hook, "far": far, "coap": coap,
            "lwm2m": words_in("adapter/lwm2m/lwm2m.c", "options"), "coaps": coaps,
            "uplink": (words_in("adapter/uplink/options.c", "own") - {"in", "both"}) | set(re.findall(r"^    X\((\w+), ", source("adapter/uplink/options.c"), re.M)),
            "writer": words_in("adapter/writer/writer.c", "own"), "postgres": words_in("adapter/writer/postgres.c", "options"),
            "influx": words_in("adapter/writer/influx.c", "options"),
            "uplinks": words_in("adapter/uplink/options.c", "secure"),
            "foreign": words_in("adapter/coap/foreign.c", "options"), "secrets": words_in("adapter/coap/client_secrets.c", "coap_secrets_options")}


@pytest.mark.parametrize("family", ["all", "tls", "mqtt", "http", "hook", "far", "coap", "lwm2m", "coaps", "foreign", "secrets", "uplink", "uplinks", "writer", "postgres", "influx"])
def test_every_option_of_a_listener_is_in_urls_md(family):
    text = (ROOT / "docs" / "urls.md").read_text()
    section = re.search(rf"<!-- options: {family} -->\n(.*?)(?=\n## |\n<!-- |\Z)", text, re.S)
    assert section, f"docs/urls.md has no table of options for {family}"
    documented = set(re.findall(r"^\| `(\w+)` ", section[1], re.M))
    assert documented == options_known()[family]


def test_every_scheme_is_in_urls_md():
    documented = {row[0].strip("`").removesuffix("://") for row in rows("urls.md", r"`[\w+]+://`")}
    built = set()
    for file in sorted(INSIDE.glob("adapter/*/*.c")):
        for listed in re.findall(r"\bschemes\[\] = \{(.*?)\}", file.read_text(), re.S):
            built |= set(re.findall(r'"([\w+]+)"', listed))
    assert built <= documented


# ---- limits.md

def number(text):
    """'1,000' '16 MiB' '10 s' -> what it may be in code: as it stands, or in bytes or milliseconds."""
    found = re.match(r"([\d,.]+)\s*(KiB|MiB|GiB|ms|s|min|h|d)?\b", text)
    assert found, f"not a number: {text}"
    value = float(found[1].replace(",", ""))
    factor = {None: 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "ms": 1, "s": 1000, "min": 60000, "h": 3600000, "d": 86400000}
    return {value, value * factor[found[2]]}


def evaluate(text, known):
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S).strip()
    text = re.sub(r"\(size_t\)|(?<=\d)[uU]?[lL]{0,2}\b", "", text)
    text = re.sub(r"[A-Z][A-Z_0-9]{3,}", lambda m: str(known[m[0]]), text)
    tree = ast.parse(text, mode="eval")
    allowed = (ast.Expression, ast.BinOp, ast.Constant, ast.Add, ast.Sub, ast.Mult, ast.LShift, ast.Div)
    assert all(isinstance(node, allowed) for node in ast.walk(tree)), text
    return float(eval(compile(tree, "", "eval")))  # numbers and signs only, as just seen


def constants():
    """NAME -> value for all that looks like a constant, and "mqtt max_inflight", "coap max_peers" for settings."""
    known = {"UINT32_MAX": 2**32 - 1, "UINT16_MAX": 65535, "SIZE_MAX": 2**64 - 1}
    for file in sorted(INSIDE.rglob("*.[ch]")):
        text = re.sub(r"/\*.*?\*/", "", file.read_text(), flags=re.S)
        for name, value in re.findall(r"\b([A-Z][A-Z0-9_]{3,}) = ([^,}\n]+)", text) + re.findall(r"#define ([A-Z_]{4,}) (\(.+\))$", text, re.M):
            try:
                known[name] = evaluate(value, known)
            except (AssertionError, KeyError, SyntaxError, ValueError):
                pass
    for name, value in re.findall(r"^    X\((\w+), ([^,]+), ", source("adapter/mqtt/mqtt.c"), re.M):
        known[f"mqtt {name}"] = evaluate(value, known)
    for name, value in re.findall(r"^    X\((\w+), ([^,]+), ", source("adapter/lwm2m/lwm2m.c"), re.M):
        known[f"lwm2m {name}"] = evaluate(value, known)
    for name, value in re.findall(r"^    OR\((\w+), (.+)\);", source("adapter/coap/engine.c"), re.M):
        known[f"coap {name}"] = evaluate(value, known)
    return known


def test_every_number_in_limits_md_is_the_one_in_the_code():
    known, wrong = constants(), []
    for line in (ROOT / "docs" / "limits.md").read_text().splitlines():
        columns = [column.strip() for column in line.strip().strip("|").split("|")]
        if not line.startswith("|") or len(columns) < 3 or not (found := re.fullmatch(r"`([\w ]+)`", columns[-1])):
            continue
        if found[1] not in known:
            wrong.append(f"{found[1]} is not in the code")
        elif known[found[1]] not in number(columns[1]):
            wrong.append(f"{found[1]} is {known[found[1]]:g}, not {columns[1]}")
    assert not wrong


def test_no_limit_of_the_hub_or_a_listener_is_forgotten_in_limits_md():
    text = (ROOT / "docs" / "limits.md").read_text()
    wanted = {name for name in constants() if re.match(r"(mqtt|coap) |HUB_MAX_|HTTP_(MAX|HEAD_T|BODY_T|IDLE)|PATH_|CODEC_MAX", name)}
    assert len(wanted) > 30
    assert not {name for name in wanted if f"`{name}`" not in text}


# ---- metrics.md

def test_every_number_of_a_running_bridge_is_in_metrics_md():
    pytest.importorskip("libbridge.testing")
    from libbridge import Bridge
    documented = {row[0].strip("`") for row in rows("metrics.md", r"`bridge_\w+`")}
    with Bridge("mqtt://127.0.0.1:0", "coap://127.0.0.1:0/r?proxy=127.0.0.1", "http://127.0.0.1:0/resources", "lwm2m://127.0.0.1:0") as bridge:
        bridge.connect("http://127.0.0.1:1/?watch=a")
        bridge.connect("http://127.0.0.1:1/?as=b/{c}")
        bridge.connect("coap://127.0.0.1:1/?as=c/{d...}")
        bridge.connect("mqtt://127.0.0.1:1?out=d")
        bridge.connect("influxdb://127.0.0.1:1/e")
        told = {name.partition("{")[0] for name in bridge.stats()}
    assert told == documented


def test_names_of_numbers_say_what_they_count():
    for name, kind, *_ in rows("metrics.md", r"`bridge_\w+`"):
        assert (kind == "counter") == name.strip("`").endswith("_total"), name


# ---- abi.md

def test_every_exported_symbol_is_in_abi_md():
    library = BUILD / "libbridge.so"
    if not library.exists():
        pytest.skip(f"no {library}")
    if "-fsanitize" in (BUILD / "build.ninja").read_text():
        pytest.skip("a sanitized library exports more")
    text = subprocess.run([need("nm"), "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
    exported = {line.split()[-1] for line in text.splitlines() if line.split()[-2] in "TDBRW"}
    assert {row[0].strip("`") for row in rows("abi.md", r"`bridge_\w+`")} == exported


def test_every_public_function_is_exported_and_documented():
    declared = set(re.findall(r"^BRIDGE_API [^;(]*?\b(bridge_\w+)\(", HEADER, re.M))
    assert len(declared) > 30
    assert declared <= {row[0].strip("`") for row in rows("abi.md", r"`bridge_\w+`")}


# ---- known-gaps.md

def test_known_gaps_has_all_wishes():
    numbers = [int(row[0]) for row in rows("known-gaps.md", r"\d+")]
    assert numbers == list(range(1, 49))
