"""What is measured, against whom, and what is wanted of it."""
from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Check:
    """One line of the table.  `how`: cost = peer / ours; gain = ours / peer; most, least = ours against a number;
    show = no demand.  `key` is a field of the load client's JSON, or per_cpu_second = 1e6 / cpu_per_million."""
    key: str
    how: str = "cost"
    wanted: float | None = None
    label: str = ""


@dataclass(frozen=True)
class Scenario:
    name: str
    load: str                          # program and its arguments
    peer: str | None = None            # mosquitto, nginx, libcoap; bridged: ours with `peer_load`
    checks: tuple[Check, ...] = ()
    schemes: tuple[str, ...] = ("mqtt",)
    peer_load: str | None = None       # where it differs
    seconds: float = 2.0               # scales with --quick; 0: the load counts, not the clock
    rounds: int | None = None
    ours: str = "bridged"
    note: str = field(default="", compare=False)


def cpu(wanted: float | None = None) -> tuple[Check, ...]:
    return (Check("per_cpu_second", "gain", wanted, "per CPU-second"),)


def mqtt(name: str, load: str, wanted: float | None, **more) -> Scenario:
    return Scenario(name, "mqtt_load " + load, "mosquitto", cpu(wanted), **more)


PAIRS = "pairs --publishers 50 --subscribers 50"
LATENCY = (Check("p50_us", "cost", 1.0, "p50 us"), Check("p99_us", "cost", 1.0, "p99 us"))
LIMIT = "the peer column is a relay that moves the same bytes and looks at nothing"
SLOW = (Check("p50_us", "cost", None, "others' p50 us"), Check("p99_us", "cost", None, "others' p99 us"),
        Check("memory_peak", "show", None, "server bytes, peak"), Check("slow_delivered", "show", None, "delivered to the slow"))

SCENARIOS = [
    mqtt("fanout", "fanout --subscribers 100", 30),
    mqtt("fanin", "fanin --publishers 50", 20),
    mqtt("pairs", PAIRS, 20),
    mqtt("pairs-qos1", PAIRS + " --qos 1 --window 100", 15),
    mqtt("pairs-qos2", "pairs --publishers 20 --subscribers 20 --qos 2 --window 20", 15,
         note="with more than its max_inflight_messages (20) QoS 2 on the way from a client mosquitto delivered nothing more"),
    Scenario("pairs-durable", "mqtt_load " + PAIRS + " --qos 1 --window 100 --keep 1", "mosquitto-durable",
             (*cpu(5), Check("per_cpu_second", "least", 100000, "per CPU-second")), ours="bridged-durable",
             note="sessions that stay; ours acknowledges after its commit, mosquitto before it"),
    Scenario("pairs-durable-memory", "mqtt_load " + PAIRS + " --qos 1 --window 100 --keep 1", "bridged", cpu(), ours="bridged-durable",
             note="the same against our own memory store"),
    Scenario("pairs-memory", "mqtt_load " + PAIRS + " --qos 1 --window 100 --keep 1", "bridged", cpu(0.97), ours="bridged-memory",
             note="memory: against no store at all"),
    Scenario("limit-fanout", "mqtt_load fanout --subscribers 100", "relay", cpu(), note=LIMIT),
    Scenario("limit-fanin", "mqtt_load fanin --publishers 50", "relay", cpu(), note=LIMIT),
    Scenario("limit-pairs", "mqtt_load " + PAIRS, "relay", cpu(), note=LIMIT),
    mqtt("pairs-1k", PAIRS + " --payload 1024 --window 200", None),
    mqtt("pairs-16k", PAIRS + " --payload 16384 --window 20", None),
    mqtt("wildcards", "wild --publishers 10 --subscribers 100 --filters 100000", 10),
    Scenario("retained", "mqtt_load retained --qos 1 --payload 20 --count 100000", "mosquitto",
             (Check("total_cpu_per_million", "cost", 4, "store + deliver, CPU us each"),
              Check("cpu_per_million", "cost", None, "store"),
              Check("deliver_cpu_per_million", "cost", None, "deliver")), seconds=0),
    Scenario("pairs-idle", "mqtt_load " + PAIRS + " --idle 5000", "bridged", cpu(0.9), peer_load="mqtt_load " + PAIRS,
             note="the peer column is bridged itself without the 5,000 idle connections"),
    Scenario("connect", "mqtt_load connect --count 5000", "mosquitto",
             (Check("rate", "gain", 0.6, "connects/s"), Check("cpu_per_million", "cost", None, "CPU us each"),
              Check("bytes_each", "most", 4096, "bytes each")), seconds=0),
    Scenario("steady", "mqtt_load steady --rate 20000 --idle 5000", "mosquitto",
             (*LATENCY, Check("cpu_per_million", "cost", None, "CPU us each"))),
    Scenario("slow", "mqtt_load slow --rate 5000 --slow 1000 --feed-rate 10 --feed-payload 16384", "mosquitto",
             SLOW, rounds=1, note="1,000 subscribers stop reading; the kernel's buffers still hold all they miss"),
    Scenario("slow-full", "mqtt_load slow --rate 5000 --slow 100 --feed-rate 400 --feed-payload 8192", "mosquitto",
             SLOW, rounds=1, note="100 subscribers stop reading and miss 6 MB each, twice what the kernel holds"),
    mqtt("tls-pairs", PAIRS + " --tls 1", 5, schemes=("mqtts",)),
    Scenario("value-memory", "mqtt_load retained --qos 0 --payload 20 --count 200000", "mosquitto",
             (Check("bytes_each", "most", 250, "bytes a value"),), seconds=0, rounds=1),
    Scenario("http-get", "http_load get --path /resources/bench/value", "nginx", cpu(0.55), ("http",)),
    Scenario("http-put", "http_load put --path /resources/bench/value", "nginx", cpu(None), ("http",)),
    Scenario("http2-get", "h2_load --path /resources/bench/value", "nginx-h2", cpu(None), ("http",), peer_load="h2_load --put 0"),
    Scenario("sse", "http_load sse --watchers 1000 --path /resources/bench/value", None,
             (Check("per_cpu_second", "least", 300000, "events per CPU-second"),), ("http",)),
]

for verb in ("get", "put"):
    for ports in (4, 1000):
        SCENARIOS.append(Scenario(f"coap-{verb}-{ports}", f"coap_load {verb} --ports {ports}", "libcoap", cpu(1.2), ("coap",)))
SCENARIOS += [
    Scenario("coap-get-10000", "coap_load get --ports 10000", "bridged", cpu(0.8), ("coap",),
             peer_load="coap_load get --ports 1000", note="the peer column is bridged itself with 1,000 client ports"),
    Scenario("coap-observe", "coap_load observe --observers 10000 --ports 1000", None,
             (Check("per_cpu_second", "show", None, "notifications per CPU-second"),
              Check("all_p50_us", "show", None, "us until all heard")), ("coap",)),
    Scenario("coap-blocks", "coap_block --size 1000000", "libcoap",
             (Check("put_megabytes_per_second", "gain", None, "PUT of 1 MB, MB/s"),
              Check("get_megabytes_per_second", "gain", None, "GET of it, MB/s"),
              Check("memory_growth", "show", None, "bytes more")), ("coap",), seconds=0),
    Scenario("http-upload", "http_upload --size 100000000", None,
             (Check("status", "show", None, "status (413: refused)"),
              Check("memory_growth", "most", 4e6, "bytes more, peak")), ("http",), seconds=0, rounds=1),
    Scenario("coap-to-mqtt", "cross_load mqtt", None,
             (Check("p50_us", "show", None, "p50 us"), Check("p99_us", "show", None, "p99 us")), ("mqtt", "coap")),
    Scenario("coap-to-sse", "cross_load sse", None,
             (Check("p50_us", "show", None, "p50 us"), Check("p99_us", "show", None, "p99 us")), ("http", "coap")),
]

OWNED = (Check("per_cpu_second", "cost", 0.8, "C handler / stored value, per CPU-second"),)
SCENARIOS += [
    Scenario("owner-get-coap", "coap_load get --ports 4", "owner", OWNED, ("coap",), note="the peer column is a handler in C"),
    Scenario("owner-get-http", "http_load get --path /resources/bench/value", "owner", OWNED, ("http",), note="the peer column is a handler in C"),
]

LWM2M = ("lwm2m", "mqtt")
SCENARIOS += [
    Scenario("lwm2m-register", "lwm2m_load register --devices 10000 --links 30", None,
             (Check("per_cpu_second", "least", 30000, "registrations per CPU-second"),
              Check("bytes_each", "most", 2048, "bytes a device")), LWM2M, seconds=0),
    Scenario("lwm2m-update", "lwm2m_load update --devices 10000", None,
             (Check("per_cpu_second", "least", 60000, "updates per CPU-second"),), LWM2M),
    Scenario("lwm2m-notify", "lwm2m_load notify --devices 10000", None,
             (Check("per_cpu_second", "least", 50000, "notifications per CPU-second"),), LWM2M, note="all the way to an MQTT subscriber"),
    Scenario("lwm2m-100k", "lwm2m_load register --devices 100000", "bridged", cpu(0.7), LWM2M, seconds=0, rounds=1,
             peer_load="lwm2m_load register --devices 1000", note="the peer column is bridged itself with 1,000 devices"),
    Scenario("lwm2m-update-100k", "lwm2m_load update --devices 100000", "bridged", cpu(0.7), LWM2M, rounds=1,
             peer_load="lwm2m_load update --devices 1000", note="the peer column is bridged itself with 1,000 devices"),
]

UPLINK = "an uplink in the load program's process: to bridged (ours), to mosquitto (peer)"
SCENARIOS += [
    Scenario(f"uplink-{way}{more}", f"uplink {way}{option}", "mosquitto",
             (Check("per_second", "show", None, "messages/s"), Check("per_cpu_second", "show", None, "the uplink's, per CPU-second"),
              Check("broker_per_cpu_second", "show", None, "the broker's, per CPU-second"),
              Check("share", "show", None, "the uplink's share of a core"), Check("broker_share", "show", None, "the broker's share")), note=UPLINK)
    for way in ("out", "in") for more, option in (("", ""), ("-v5", " --version 5"))
]
