#!/usr/bin/env python3
"""Runs ours and the peer side by side and prints a table.  docs/bench.md tells how to read it.

    bench/run.py                     everything (about six minutes)
    bench/run.py fanout pairs        these
    bench/run.py --quick             one short round of everything
    bench/run.py --peers-only        the peers alone, to see whether the machine is in its usual mood
"""
from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from scenarios import SCENARIOS, Check, Scenario
from servers import KINDS, Bridged, Failed, settle

ROOT = Path(__file__).resolve().parent.parent


def options() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("names", nargs="*", help="scenarios; all of them when none is named")
    p.add_argument("--build", default=str(ROOT / "build"), help="build folder (configured with -Dbench=true)")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--seconds", type=float, default=1.0, help="factor on each scenario's time")
    p.add_argument("--quick", action="store_true", help="one round, a third of the time")
    p.add_argument("--first", action="store_true",
                   help="real-time priority (root), for latencies on a machine where others work")
    p.add_argument("--peers-only", action="store_true")
    p.add_argument("--ours-only", action="store_true")
    p.add_argument("--json", help="write every single result to this file")
    p.add_argument("--list", action="store_true")
    p.add_argument("-v", "--verbose", action="store_true")
    o = p.parse_args()
    if o.quick:
        o.rounds, o.seconds = 1, 0.35
    return o


class Bench:
    def __init__(self, o: argparse.Namespace, folder: Path):
        self.o, self.folder = o, folder
        cpus = sorted(os.sched_getaffinity(0))
        self.server_cpu, self.load_cpu = (cpus[0], cpus[1]) if len(cpus) > 1 else (None, None)
        self.results: list[dict] = []
        self.turn = 0

    def once(self, kind: str, scenario: Scenario, load: str) -> dict:
        """A fresh server, one run of the load client, its JSON."""
        self.turn += 1
        server = KINDS[kind](self.folder / f"{self.turn:03}-{kind}", self.server_cpu, self.o.first)
        server.start(list(scenario.schemes))
        try:
            result = self.load(server, scenario, load)
        finally:
            server.stop()
        result |= {"name": scenario.name, "server": kind, "load": load}
        if result.get("cpu_per_million"):
            result["per_cpu_second"] = 1e6 / result["cpu_per_million"]
        self.results.append(result)
        if self.o.verbose:
            print(json.dumps(result), file=sys.stderr)
        return result

    def load(self, server, scenario: Scenario, load: str) -> dict:
        program, *args = load.split()
        port = next(server.ports[s] for s in ("lwm2m", "mqtt", "mqtts", "http", "coap") if s in server.ports)
        args += ["--port", str(port), "--server", ",".join(map(str, server.pids))]
        if program == "cross_load":
            args += ["--coap-port", str(server.ports["coap"])]
        if program == "lwm2m_load" and "mqtt" in server.ports:
            args += ["--mqtt-port", str(server.ports["mqtt"])]
        if scenario.seconds:
            args += ["--seconds", f"{max(0.3, scenario.seconds * self.o.seconds):.2f}"]
        try:
            done = subprocess.run([f"{self.o.build}/bench/{program}", *args], capture_output=True, text=True,
                                  timeout=120, preexec_fn=lambda: settle(self.load_cpu, self.o.first))
        except subprocess.TimeoutExpired:
            raise server.fail(f"{program} did not end in 120 s") from None
        if done.returncode not in (0, 1) or not done.stdout.startswith("{"):
            raise server.fail(f"{program}: {done.stderr.strip() or done.returncode}")
        return json.loads(done.stdout.splitlines()[-1]) | {"complaint": done.stderr.strip()}

    def both(self, s: Scenario) -> tuple[list[dict], list[dict]]:
        """Peer, ours, peer, ours: what else the machine does hits both."""
        ours, theirs = [], []
        for _ in range(min(self.o.rounds, s.rounds or self.o.rounds)):
            if s.peer and not self.o.ours_only and not (self.o.peers_only and s.peer == "bridged"):
                theirs.append(self.once(s.peer, s, s.peer_load or s.load))
            if not self.o.peers_only:
                ours.append(self.once(s.ours, s, s.load))
        return ours, theirs


def number(x: float | None) -> str:
    if x is None:
        return "-"
    if x >= 1e6:
        return f"{x / 1e6:.2f} M"
    if x >= 1e4:
        return f"{x / 1e3:.0f} k"
    return f"{x:.0f}" if x >= 100 else f"{x:.2f}"


def judge(check: Check, ours: list[dict], theirs: list[dict]) -> tuple[str, str, str, str, str]:
    mine = [r[check.key] for r in ours if check.key in r]
    peer = [r[check.key] for r in theirs if check.key in r]
    a = statistics.median(mine) if mine else None
    b = statistics.median(peer) if peer else None
    ratio, wanted, verdict = None, "", ""
    pairs = [(x, y) for x, y in zip(mine, peer) if x and y]
    if pairs and check.how in ("cost", "gain"):
        ratio = statistics.median(y / x if check.how == "cost" else x / y for x, y in pairs)
    if check.wanted is not None:
        value = a if check.how in ("most", "least") else ratio
        wanted = {"most": "<= ", "least": ">= "}.get(check.how, "") + f"{check.wanted:g}" + \
            ("x" if check.how in ("cost", "gain") else "")
        if value is not None:
            verdict = "ok" if (value <= check.wanted if check.how == "most" else value >= check.wanted) else "SHORT"
    return number(a), number(b), f"{ratio:.2f}x" if ratio else "-", wanted, verdict


WIDTHS = (15, 28, 10, 10, 9, 11, 6)
HEAD = ("scenario", "what", "ours", "peer", "ratio", "wanted", "")


def row(cells: tuple[str, ...]) -> None:
    print("  ".join(f"{c:<{w}}" if i < 2 or i > 4 else f"{c:>{w}}" for i, (c, w) in enumerate(zip(cells, WIDTHS))).rstrip(),
          flush=True)


def report(s: Scenario, ours: list[dict], theirs: list[dict]) -> bool:
    good = True
    for i, check in enumerate(s.checks):
        a, b, ratio, wanted, verdict = judge(check, ours, theirs)
        row((s.name if i == 0 else "", check.label, a, b, ratio, wanted, verdict))
        good &= verdict != "SHORT"
    for side, runs in (("ours", ours), ("peer", theirs)):
        broken = [r for r in runs if not r.get("ok", True)]
        if broken:
            r = broken[0]
            counts = ", ".join(f"{k} {r[k]:g}" for k in ("lost", "extra", "disorder", "wrong", "unacknowledged", "closed",
                                                       "unanswered", "refused") if r.get(k))
            print(f"  {side}: {len(broken)} of {len(runs)} runs not whole: {r.get('why', '')} ({counts}) {r['complaint']}")
            good &= side == "peer"
    return good


def main() -> int:
    o = options()
    if o.list:
        for s in SCENARIOS:
            print(f"{s.name:<15} {s.load}" + (f"\n{'':15} ({s.note})" if s.note else ""))
        return 0
    unknown = set(o.names) - {s.name for s in SCENARIOS}
    if unknown:
        print(f"no such scenario: {', '.join(sorted(unknown))}; --list shows them", file=sys.stderr)
        return 2
    if not (Path(o.build) / "bench" / "mqtt_load").exists():
        print(f"no load clients in {o.build}: meson setup build -Dbench=true --buildtype=release && ninja -C build",
              file=sys.stderr)
        return 2
    Bridged.program = Path(o.build) / "examples" / "bridged" / "bridged"
    good = True
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        os.chmod(folder, 0o755)
        bench = Bench(o, Path(folder))
        row(HEAD)
        for s in SCENARIOS:
            if o.names and s.name not in o.names:
                continue
            try:
                good &= report(s, *bench.both(s))
            except Failed as e:
                print(f"{s.name:<15}  failed: {e}", flush=True)
                good = False
        if o.json:
            Path(o.json).write_text("\n".join(map(json.dumps, bench.results)) + "\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
