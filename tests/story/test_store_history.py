"""Values have a past: recorded by pattern, read over any protocol (docs/store.md)."""
import csv
import io
import json
import urllib.error
import urllib.parse
import urllib.request

import pytest
from conftest import built_adapters
from peers import mqtt
from peers.tools import need

pytestmark = pytest.mark.skipif(not {"mqtt", "http", "coap"} <= set(built_adapters()), reason="needs all three protocols")
CONFIG = """{"listen": ["mqtt://127.0.0.1:0", "http://127.0.0.1:0/resources", "coap://127.0.0.1:0/r"],
  "store": "sqlite:past.db?commit=1", "history": {"s/#": {"records": 5000}, "s/rare/#": {"resolution": "1h"}, "s/few": {"records": 3}}}"""


@pytest.fixture
def start(start_bridged, tmp_path):
    (tmp_path / "c.json").write_text(CONFIG)
    return lambda: start_bridged(options=["-c", "c.json"], listeners=3)


def put(bridged, path, data, kind="text/plain"):
    url = f"{bridged.url('http')}/{path}"
    with urllib.request.urlopen(urllib.request.Request(url, data=data.encode(), method="PUT", headers={"Content-Type": kind}), timeout=30):
        pass


def ask(bridged, question, accept=None):
    url = f"{bridged.url('http').removesuffix('/resources')}/history/{question}"
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": accept} if accept else {}), timeout=30) as answer:
        return answer.read().decode()


def values(bridged, question):
    return [record["value"] for record in json.loads(ask(bridged, question))]


def senml(*records):
    return json.dumps([{"n": name, "t": time, "v": value} for name, time, value in records])


def test_what_was_put_and_published_is_read_again_also_after_a_kill(start):
    bridged = start()
    for n in range(3):
        put(bridged, "s/a", f"{n}.5")
    c = mqtt.Client(bridged.port("mqtt"), version=5).connect("c")
    c.publish("s/a", b"not kept", qos=1)
    c.publish("other", b"1", qos=1)
    bridged.process.kill()
    bridged.process.wait()
    bridged.end = lambda: None

    bridged = start()

    records = json.loads(ask(bridged, "s/a"))
    assert [r["value"] for r in records] == [0.5, 1.5, 2.5, "not kept"]
    assert records[3]["origin"] == "mqtt:c" and records[0]["format"] == "text"
    assert sorted(r["time"] for r in records) == [r["time"] for r in records]
    with pytest.raises(urllib.error.HTTPError, match="404"):
        ask(bridged, "other")


def test_the_words_of_a_question(start):
    bridged = start()
    put(bridged, "s/p", senml(*[("", 1700000000 + 30 * n, n) for n in range(10)]), "application/senml+json")

    assert values(bridged, "s/p?limit=2") == [0, 1]
    assert values(bridged, "s/p?limit=2&order=down") == [9, 8]
    assert values(bridged, "s/p?from=1700000060&to=1700000120000") == [2, 3, 4]
    assert values(bridged, "s/p?from=2023-11-14T22:17:20Z") == [8, 9]
    assert values(bridged, "s/p?aggregate=mean&step=1m&from=1699999980") == [0.5, 2.5, 4.5, 6.5, 8.5]
    assert values(bridged, "s/p?aggregate=sum") == [45]
    assert values(bridged, "s/p?aggregate=count") == [10]
    assert values(bridged, "s/p?from=2023-11-15T00:17:20%2B02:00") == [8, 9] == values(bridged, "s/p?from=2023-11-14T19:17:20-03:00")
    for wrong in ("limit=0", "from=yesterday", "from=2023-11-14T22:17:20%2Bab:cd", "from=2023-11-14T22:17:20%2B24:00", "from=2023-11-14T22:17:20%2B1:00", "step=x", "as=xml", "aggregate=median", "banana=1"):
        with pytest.raises(urllib.error.HTTPError, match="400"):
            ask(bridged, f"s/p?{wrong}")


@pytest.mark.parametrize("question, there", [("from=1e30", 0), ("from=-1e30", 2), ("to=9223372036854775807", 2), ("from=-9223372036854775808", 2),
                                             ("from=inf", 0), ("to=-99999999999999999999d", 0), ("from=-9e300d", 2), ("from=2023-11-14T00:00:00.5e300Z", 0)])
def test_times_beyond_all_times(start, question, there):
    bridged = start()
    put(bridged, "s/p", senml(("", 1700000000, 1), ("", 1700000001, 2)), "application/senml+json")

    assert len(values(bridged, f"s/p?{question}")) == there


def test_steps_of_any_size(start):
    bridged = start()
    put(bridged, "s/p", senml(("", 1700000000, 1), ("", 1700000001, 2)), "application/senml+json")

    assert values(bridged, "s/p?aggregate=sum&step=3000000d") == [3]
    for wrong in ("106751991168d", "9223372036854775807", "281474976710657ms"):
        with pytest.raises(urllib.error.HTTPError, match="400"):
            ask(bridged, f"s/p?aggregate=sum&step={wrong}")
    with pytest.raises(urllib.error.HTTPError, match="400"):
        ask(bridged, "s/p?from=nan")


def test_what_no_double_can_hold_is_no_number(start):
    bridged = start()
    for value in ("1e400", "1e308", "1e308"):
        put(bridged, "s/p", value)

    records = json.loads(ask(bridged, "s/p", "application/senml+json"))
    assert [record.get("vs", record.get("v")) for record in records] == ["1e400", 1e308, 1e308]
    assert json.loads(ask(bridged, "s/p?aggregate=sum", "application/senml+json"))[0]["vs"] == "inf"
    assert values(bridged, "s/p?aggregate=max") == [1e308]


def test_a_path_with_a_comma_is_one_field_with_the_name_of_its_record(start):
    bridged = start()
    put(bridged, "s/a,b", senml(("t", 1700000000, 1)), "application/senml+json")

    assert list(csv.reader(io.StringIO(ask(bridged, "s/%23", "text/csv"))))[1][:3] == ["s/a,b/t", "1700000000000", "1"]


def test_formats_of_an_answer(start):
    bridged = start()
    put(bridged, "s/x", senml(("t", 1700000000, 20.25), ("h", 1700000001, 40)), "application/senml+json")
    put(bridged, "s/y", 'a "b", c')

    rows = list(csv.reader(io.StringIO(ask(bridged, "s/+", "text/csv"))))
    assert rows[0] == ["path", "time", "value", "format", "origin"]
    assert [row[0] for row in rows[1:]] == ["s/x/t", "s/x/h", "s/y"] and rows[3][2] == 'a "b", c'
    assert json.loads(ask(bridged, "s/x", "application/senml+json")) == [{"n": "s/x/t", "t": 1700000000.0, "v": 20.25},
                                                                         {"n": "s/x/h", "t": 1700000001.0, "v": 40}]
    columns = json.loads(ask(bridged, "s/%23?as=columns"))
    assert columns["path"] == ["s/x/t", "s/x/h", "s/y"] and columns["value"] == [20.25, 40, 'a "b", c'] and len(columns["time"]) == 3


def test_at_most_one_record_in_the_resolution(start):
    bridged = start()
    for n in range(5):
        put(bridged, "s/rare/a", str(n))

    assert values(bridged, "s/rare/a") == [0]


def test_no_more_records_than_said_are_kept_for_long(start):
    bridged = start()
    put(bridged, "s/few", senml(*[("", 1700000000 + n, n) for n in range(100)]), "application/senml+json")

    for _ in range(2000):
        if (left := values(bridged, "s/few")) == [97, 98, 99]:
            break
    assert left == [97, 98, 99]


def test_over_coap(start):
    bridged = start()
    put(bridged, "s/c", "7")
    done = need("coap-client-notls")
    import subprocess
    url = f"{bridged.url('coap').removesuffix('/r')}/r/$history/s/c?limit=1"
    said = subprocess.run([done, "-m", "get", url], capture_output=True, text=True, timeout=30).stdout

    assert json.loads(said)[0]["value"] == 7


def test_over_mqtt(start):
    bridged = start()
    put(bridged, "s/m", "8")
    c = mqtt.Client(bridged.port("mqtt"), version=5).connect("c")
    c.subscribe(("answers", 1))

    c.publish("$history/s/m", b"limit=1", qos=1, props={"response_topic": "answers", "correlation": b"42"})

    m = c.message()
    assert m.props["correlation"] == b"42" and json.loads(m.payload)[0]["value"] == 8


def test_a_history_needs_a_store(bridged_program, tmp_path):
    (tmp_path / "c.json").write_text('{"history": {"a": {}}}')

    code, _, said = bridged_program("-c", str(tmp_path / "c.json"))

    assert code != 0 and "needs a store" in said


def test_in_python(tmp_path):
    pytest.importorskip("libbridge.testing")
    from libbridge import Bridge, NotFound

    with Bridge(store=f"sqlite:{tmp_path}/p.db", config={"history": {"s/#": {"keep": "30d"}}}) as b:
        for n in range(4):
            b.publish("s/a", n, retain=True)
        b.post("s/b", "on")

        assert [(r.path, r.value) for r in b.history("s/#")] == [("s/a", 0), ("s/a", 1), ("s/a", 2), ("s/a", 3), ("s/b", "on")]
        assert [r.value for r in b.history("s/a", "-1h", limit=1, newest_first=True)] == [3]
        assert [r.value for r in b.history("s/a", aggregate="mean")] == [1.5]
        frame = b.history_columns("s/a")
        assert frame["path"] == ["s/a"] * 4 and frame["value"] == [0, 1, 2, 3] and abs(frame["time"][0] - frame["time"][3]) < 60
        with pytest.raises(NotFound):
            list(b.history("t"))


def test_in_python_by_a_call(tmp_path):
    pytest.importorskip("libbridge.testing")
    from datetime import timedelta

    from libbridge import Bridge, BridgeError

    with Bridge(store=f"sqlite:{tmp_path}/p.db") as b:
        b.record_history("s/#", records=10)
        b.record_history("s/rare", keep=timedelta(days=30), resolution=3600)
        for n in range(3):
            b.publish("s/a", n)
            b.publish("s/rare", n)

        assert [r.value for r in b.history("s/a")] == [0, 1, 2]
        assert [r.value for r in b.history("s/rare")] == [0]
        b.forget_history("s/#")
        b.publish("s/a", 3)
        assert [r.value for r in b.history("s/a")] == [0, 1, 2]
        with pytest.raises(ValueError):
            b.record_history("s/#/no")
    with Bridge() as b, pytest.raises(BridgeError):
        b.record_history("s/#")


def test_in_asyncio(tmp_path):
    pytest.importorskip("libbridge.testing")
    import asyncio

    from libbridge import NotFound
    from libbridge.aio import Bridge

    async def story():
        async with Bridge(store=f"sqlite:{tmp_path}/p.db", config={"history": {"s/#": {"records": 100, "keep": "30d"}}}) as b:
            b.record_history("t", records=100)
            for n in range(4):
                b.publish("s/a", n)
            b.publish("s/b", "on")
            b.publish("t", 7)

            assert [(r.path, r.value) async for r in b.history("s/#")] == [("s/a", 0), ("s/a", 1), ("s/a", 2), ("s/a", 3), ("s/b", "on")]
            assert [r.value async for r in b.history("s/a", "-1h", limit=1, newest_first=True)] == [3]
            assert [r.value async for r in b.history("s/a", aggregate="mean")] == [1.5]
            assert [r.value async for r in b.history("t")] == [7]
            assert (await b.history_columns("s/a"))["value"] == [0, 1, 2, 3]
            with pytest.raises(NotFound):
                [r async for r in b.history("never")]
    asyncio.run(asyncio.wait_for(story(), 60))


def test_a_past_of_any_length_is_read_page_by_page(tmp_path):
    pytest.importorskip("libbridge.testing")
    from datetime import datetime, timedelta, timezone

    from libbridge import Bridge, BridgeError

    large = "x" * 400_000
    with Bridge(store=f"sqlite:{tmp_path}/p.db") as b:
        b.record_history("s/#")
        for n in range(3000):
            b.publish("s/a", n)
        for n in range(6):
            b.publish(f"s/large/{n}", large + str(n))
        b.publish("s/raw", b"\xff\x00")
        b.publish("s/json", {"a": [1]}, origin="sensor:7")

        assert [r.value for r in b.history("s/a")] == list(range(3000))
        assert [r.value for r in b.history("s/a", limit=2100, newest_first=True)] == list(range(2999, 899, -1))
        assert sorted(r.value for r in b.history("s/large/+")) == [large + str(n) for n in range(6)]
        assert [(r.value, r.format) for r in b.history("s/raw")] == [(b"\xff\x00", None)]
        assert [(r.value, r.format, r.origin) for r in b.history("s/json")] == [({"a": [1]}, "json", "sensor:7")]
        ago = datetime.now(timezone.utc) - timedelta(hours=1)
        for start in ago, ago.isoformat(), ago.timestamp(), "-60m", None:
            assert len(list(b.history("s/a", start, "now"))) == 3000
            assert list(b.history("s/a", None, start)) == [] or start is None
        assert b.history_columns("s/a")["value"] == list(range(3000))
        reading = b.history("s/a")
        assert [next(reading).value for _ in range(10)] == list(range(10))
        given_up = b.history("s/#")
        assert next(given_up).path.startswith("s/")
    with pytest.raises(BridgeError):  # the first page was there
        list(reading)


def test_a_past_of_any_length_in_asyncio(tmp_path):
    pytest.importorskip("libbridge.testing")
    import asyncio

    from libbridge.aio import Bridge

    async def story():
        async with Bridge(store=f"sqlite:{tmp_path}/p.db") as b:
            b.record_history("s/#")
            for n in range(3000):
                b.publish("s/a", n)

            assert [r.value async for r in b.history("s/a")] == list(range(3000))
            assert [r.value async for r in b.history("s/a", limit=1500)] == list(range(1500))
            two = await asyncio.gather(b.history_columns("s/a"), b.history_columns("s/+", newest_first=True))
            assert two[0]["value"] == two[1]["value"][::-1] == list(range(3000))
            async for r in b.history("s/#"):
                break
    asyncio.run(asyncio.wait_for(story(), 60))


def test_closing_the_bridge_ends_what_another_thread_reads(tmp_path):
    pytest.importorskip("libbridge.testing")
    import threading

    from libbridge import Bridge, BridgeError

    begun, seen = threading.Event(), []
    b = Bridge(store=f"sqlite:{tmp_path}/p.db")
    b.record_history("s/#")
    for n in range(20000):
        b.publish(f"s/{n % 7}", n)

    def read():
        try:
            while True:
                for record in b.history("s/#"):
                    seen.append(record)
                    begun.set()
        except BridgeError:
            seen.append("closed")
    reader = threading.Thread(target=read)
    reader.start()
    assert begun.wait(60)

    b.close()

    reader.join(60)
    assert not reader.is_alive() and seen[-1] == "closed"
