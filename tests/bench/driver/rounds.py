"""Rounds: every gateway in turn, again and again, so that what the machine does besides hits all of them alike."""

import json
import os
import statistics
import subprocess
import sys
import time

from . import machine, parts
from .scenarios import ask

from harness.process import Failed, Process

#: All requests are one user's, as in the blueprint, where each user has a budget.
USER = {"x-user-id": "bench"}
#: How long a gateway may take until it answers rightly for the first time.
PATIENCE = 30
#: The same for one that has answered before.
PATIENCE_LATER = 3


def say(text):
    print(text, file=sys.stderr, flush=True)


class Clock:
    """Says how far the run is."""

    def __init__(self, seconds):
        self._begun = time.monotonic()
        self._planned = max(seconds, 1e-9)
        self._done = 0.0

    def step(self, text, seconds=0.0):
        self._done = min(self._done, self._planned)
        spent = time.monotonic() - self._begun
        # At first there is only the plan; later, how it went.
        pace = spent / self._done if self._done > 10 else 1.0
        left = max(0, (self._planned - self._done) * pace)
        say(f"[{spent // 60:2.0f}:{spent % 60:02.0f}, about {left // 60:.0f}:{left % 60:02.0f} to go] {text}")
        self._done += seconds


class Upstream:
    """The model server."""

    def __init__(self, cpu):
        self.process = Process(["taskset", "--cpu-list", cpu, parts.load(), "upstream"])
        self.port = int(self.process.wait_line(r"listening on http://127\.0\.0\.1:(\d+)", timeout=10)[1])

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        self.process.kill()


class Running:
    """A gateway that was started."""

    def __init__(self, gateway, url):
        self.gateway = gateway
        self.name = gateway.name
        self.url = url

    @property
    def headers(self):
        return {**USER, **getattr(self.gateway, "headers", {})}

    def log(self):
        return self.gateway.log() if hasattr(self.gateway, "log") else ""


class Stage:
    """The cores, the model server, and how long rounds are."""

    def __init__(self, options, directory):
        self.gateway_cpu, self.load_cpu = options.gateway_cpu, options.load_cpu
        self.seconds, self.warm_up, self.count = options.round_seconds, options.warm_up, options.rounds
        self.directory = directory
        self.upstream = Upstream(self.load_cpu)
        self.running = []

    def start(self, gateway):
        """Starts a gateway."""
        url = gateway.start(self.upstream.port, self.gateway_cpu)
        running = Running(gateway, url)
        self.running.append(running)
        return running

    def stop(self, running):
        self.running.remove(running)
        running.gateway.stop()

    def close(self):
        for running in list(self.running):
            self.stop(running)
        self.upstream.stop()

    def wrong(self, running, scenario, patience=PATIENCE):
        """What is wrong with a gateway's answer to a scenario, None if nothing is. It may need some time at first."""
        end = time.monotonic() + patience
        while True:
            wrong = ask(scenario, running.url, running.headers, getattr(running.gateway, "passes", False))
            if wrong is None or time.monotonic() > end:
                return wrong
            time.sleep(0.2)

    def command(self, kind, running, scenario, *options):
        body = self.directory / f"{scenario.name}.json"
        body.write_bytes(scenario.bytes())
        command = ["taskset", "--cpu-list", self.load_cpu, parts.load(), kind]
        command += ["--url", running.url + scenario.path, "--body", body, "--models", scenario.models]
        for name, value in running.headers.items():
            command += ["--header", f"{name}: {value}"]
        return [str(word) for word in [*command, *options]]

    def load(self, running, scenario, seconds=None):
        """One round of one gateway."""
        seconds = seconds or self.seconds
        options = ["--connections", scenario.connections, "--seconds", seconds, "--warm-up", self.warm_up]
        options += ["--upstream-pid", self.upstream.pid]
        for pid in running.gateway.pids():
            options += ["--pid", pid]
        if scenario.rate:
            options += ["--rate", scenario.rate]
        command = self.command("load", running, scenario, *options)
        core, used = machine.Core(self.gateway_cpu), machine.cpu_seconds(running.gateway.pids())
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
        busy, elapsed = core.since()
        # What others did on the gateways' core: the more, the less is the figure worth.
        others = max(0.0, busy - (machine.cpu_seconds(running.gateway.pids()) - used)) / elapsed
        if done.returncode != 0:
            raise Failed(f"the load failed: {done.stderr.strip()}")
        measured = json.loads(done.stdout)
        units = measured["events"] if scenario.unit == "event" else measured["requests"]
        measured["per_second"] = units / measured["seconds"]
        measured["cpu_us"] = measured["cpu_ns"] / 1000 / units if units else None
        # One core each: what is near 1 was the limit.
        measured["gateway_busy"] = measured["cpu_ns"] / 1e9 / measured["seconds"]
        measured["load_busy"] = measured["load_cpu_ns"] / 1e9 / measured["seconds"]
        measured["others_busy"] = others
        measured["memory"] = machine.memory(running.gateway.pids())
        return measured


def run(stage, scenario, gateways, clock, baseline=None, patience=PATIENCE):
    """All rounds of a scenario: a row for each gateway. `baseline` is the one whose CPU is the measure: the first by default."""
    rows = {running.name: {"gateway": running.name, "rounds": [], "note": None} for running in gateways}
    ready = []
    for running in gateways:
        wrong = stage.wrong(running, scenario, patience)
        if wrong:
            rows[running.name]["note"] = f"not measured: {wrong}"
            say(f"{running.name}: {scenario.name}: {wrong}\n{running.log()}")
        else:
            ready.append(running)
    for number in range(stage.count):
        clock.step(
            f"{scenario.name}, round {number + 1} of {stage.count}", len(gateways) * (stage.seconds + stage.warm_up + 0.1)
        )
        for running in list(ready):
            row = rows[running.name]
            try:
                measured = stage.load(running, scenario)
            except (Failed, subprocess.TimeoutExpired) as failure:
                measured = {"errors": 1, "error": str(failure)}
            if measured["errors"]:
                # A figure with errors in it is none.
                row["note"] = f"not measured: {measured['errors']} errors, the first: {measured['error']}"
                row["rounds"] = []
                say(f"{running.name}: {scenario.name}: {row['note']}\n{running.log()}")
                ready.remove(running)
            else:
                row["rounds"].append(measured)
    rows = list(rows.values())
    summarize(rows, baseline or (gateways[0].name if gateways else None))
    return {
        "name": scenario.name,
        "title": scenario.title,
        "unit": scenario.unit,
        "connections": scenario.connections,
        "rate": scenario.rate,
        "rows": rows,
    }


def summarize(rows, baseline):
    """Adds the medians, and the ratios to the baseline in the same round."""
    measure = next((row for row in rows if row["gateway"] == baseline), None)
    for row in rows:
        rounds = row["rounds"]
        if not rounds:
            continue

        def median(*path):
            values = [value for each in rounds if (value := dig(each, path)) is not None]
            return statistics.median(values) if values else None

        row["median"] = {
            "per_second": median("per_second"),
            "cpu_us": median("cpu_us"),
            "p50_us": median("latency_us", "p50") or median("delay_us", "p50"),
            "p99_us": median("latency_us", "p99") or median("delay_us", "p99"),
            "first_us": median("first_us", "p50"),
            "memory": rounds[-1]["memory"],
            "gateway_busy": median("gateway_busy"),
            "load_busy": median("load_busy"),
            "others_busy": median("others_busy"),
            "unanswered": sum(each["unanswered"] for each in rounds),
        }
        ratios = [
            mine["cpu_us"] / theirs["cpu_us"]
            for mine, theirs in zip(rounds, measure["rounds"] if measure else [])
            if mine["cpu_us"] and theirs["cpu_us"]
        ]
        if ratios:
            row["ratio"] = {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}


def dig(value, path):
    for key in path:
        if value is None:
            return None
        value = value.get(key)
    return value
