"""Scenarios that are not rounds of all gateways: a fixed rate, idle streams, many models."""

import dataclasses
import json
import subprocess
import threading
import time

from . import machine
from .gateways import BareEnvoy
from .rounds import PATIENCE_LATER, run, say
from .scenarios import FIXED, IDLE, MODELS

from harness.process import Failed

#: Part of what the slowest gateway of the core set can do: all must be able to hold the rate for their latency to be compared.
PART = 0.5
#: What is made once is not what a stream takes: so many streams come and go before. Few, for their memory is used again.
FIRST_STREAMS = 20
#: How long opening all of them may take.
OPENING_SECONDS = 60


def fixed_rate(stage, gateways, clock, chat, core, rate=None):
    """Latency at a rate that all of the core set can hold. `chat`: the result of the scenario with 16 connections, if it was run."""
    able = {row["gateway"]: row["median"]["per_second"] for row in (chat or {"rows": []})["rows"] if "median" in row}
    for running in gateways:
        if running.name not in able and stage.wrong(running, FIXED, PATIENCE_LATER) is None:
            able[running.name] = stage.load(running, dataclasses.replace(FIXED, connections=16), 1.0)["per_second"]
    if rate is None:
        rate = PART * min((speed for name, speed in able.items() if name in core), default=1000.0)
    rate = max(1.0, float(f"{rate:.2g}"))
    scenario = dataclasses.replace(FIXED, rate=rate, title=f"Chat, 2 kB, at a fixed {rate:,.0f} requests per second")
    holding = [running for running in gateways if able.get(running.name, 0) > rate]
    result = run(stage, scenario, holding, clock)
    for running in gateways:
        if running not in holding:
            result["rows"].append(
                {"gateway": running.name, "rounds": [], "note": f"not measured: does {able.get(running.name, 0):,.0f} per second"}
            )
    return result


def many_models(stage, forms, counts, clock):
    """The same request for one of many models: it should not matter how many there are."""
    rows = []
    for form in forms:
        missing = form.missing()
        if missing:
            rows.append({"gateway": form.name, "rounds": [], "note": f"not available: {missing}"})
            continue
        started = []
        try:
            for count in counts:
                clock.step(f"models: {form.name} with {count:,} models")
                gateway = form(models=count)
                gateway.name = f"{form.name}, {count:,} models"
                started.append((count, stage.start(gateway)))
            scenarios = {running.name: dataclasses.replace(MODELS, models=count) for count, running in started}
            rows += interleaved(stage, [running for _, running in started], scenarios, clock)
        except Failed as failure:
            rows.append({"gateway": form.name, "rounds": [], "note": f"not measured: {failure}"})
        finally:
            for _, running in started:
                stage.stop(running)
    return {
        "name": "models",
        "title": "Chat, 2 kB, spread over many models; ratios to the fewest models",
        "unit": "request",
        "connections": MODELS.connections,
        "rate": None,
        "rows": rows,
    }


def interleaved(stage, gateways, scenarios, clock):
    """Like [`run`], with a scenario of its own for each gateway."""

    class PerGateway:
        """Stands for the stage, and swaps the scenario."""

        count, seconds, warm_up = stage.count, stage.seconds, stage.warm_up

        @staticmethod
        def wrong(running, scenario, patience):
            return stage.wrong(running, scenarios[running.name], patience)

        @staticmethod
        def load(running, scenario):
            return stage.load(running, scenarios[running.name])

    return run(PerGateway, MODELS, gateways, clock)["rows"]


def idle(stage, classes, counts, clock):
    """Memory per stream that is open and silent. Every gateway is started anew: memory that was used before would be used again."""
    rows = []
    for make in classes:
        row = {"gateway": make.name, "note": None, "streams": []}
        rows.append(row)
        missing = make.missing()
        if missing:
            row["note"] = f"not available: {missing}"
            continue
        clock.step(f"idle: {make.name}", 3 + sum(counts) / 1000)
        gateway = make()
        running = None
        try:
            running = stage.start(gateway)
            wrong = stage.wrong(running, IDLE)
            if wrong:
                raise Failed(wrong)
            hold(stage, running, [FIRST_STREAMS])
            time.sleep(1)
            open_before, before = 0, machine.memory(gateway.pids())
            for count, memory in hold(stage, running, counts):
                each = (memory - before) / (count - open_before)
                row["streams"].append({"from": open_before, "to": count, "bytes_per_stream": each, "memory": memory})
                open_before, before = count, memory
        except (Failed, subprocess.TimeoutExpired, OSError) as failure:
            row["note"] = f"not measured: {failure}"
            say(f"{make.name}: idle: {failure}\n{running.log() if running else ''}")
        finally:
            if running:
                stage.stop(running)
    bare = next((row for row in rows if row["gateway"] == BareEnvoy.name), {"streams": []})
    for row in rows:
        for mine, theirs in zip(row["streams"], bare["streams"]):
            mine["above_bare"] = mine["bytes_per_stream"] - theirs["bytes_per_stream"]
    return {"name": "idle", "title": "Idle streams: memory of each", "rows": rows}


def hold(stage, running, counts):
    """Opens streams up to each count; the counts, with the gateway's memory at that time."""
    command = stage.command("idle", running, IDLE, "--streams", ",".join(map(str, counts)))
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    measured = []
    try:
        for count in counts:
            state = read_state(process, count)
            if state["open"] != count:
                raise Failed(f"{state['open']} of {count} streams are open, {state['error']}")
            time.sleep(0.5)
            measured.append((count, machine.memory(running.gateway.pids())))
            process.stdin.write("\n")
            process.stdin.flush()
    finally:
        process.kill()
        process.wait()
    return measured


def read_state(process, count):
    """What it says once it has opened `count` streams."""
    timer = threading.Timer(OPENING_SECONDS, process.kill)
    timer.start()
    line = process.stdout.readline()
    timer.cancel()
    if not line:
        raise Failed(f"{count} streams were not open within {OPENING_SECONDS} s")
    return json.loads(line)


