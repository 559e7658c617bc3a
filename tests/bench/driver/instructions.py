"""Instructions of a request, or of an event of a stream, counted by callgrind.

Those of a request are the same on a busy machine. Of events fewer come at a time where there is time for each. Only those of the process itself are counted, none of the kernel's. A wasm filter's are not: V8 makes new code as it runs.
"""

import contextlib
import http.client
import re
import subprocess
import threading
import time
import urllib.parse

from . import scenarios, table
from .gateways import BareEnvoy, UnfilteredEnvoy, WeirModule
from .rounds import say

from harness.process import Failed, wait_for

#: So many requests go before, in which all is made that is made once.
FIRST, COUNTED = 100, 300
STREAMS, STREAM_SECONDS = 10, 4
#: Not those that sign, as valgrind lacks the instructions for SHA-256; nor large bodies, of whose copies it counts each byte.
NAMES = ["chat-16", "paced"]
TOTALS = re.compile(r"^totals: (\d+)$", re.MULTILINE)
GATEWAYS = [BareEnvoy, UnfilteredEnvoy, WeirModule]


def count(stage, names=None):
    """By scenario: its unit, and instructions per unit by gateway."""
    counted = {}
    for scenario in scenarios.ALL:
        if scenario.name not in (names or NAMES):
            continue
        of = counted[scenario.name] = {"unit": scenario.unit, "instructions": {}}
        for make in GATEWAYS:
            say(f"{scenario.name}: {make.name}")
            of["instructions"][make.name] = of_one(stage, make, scenario)
    return counted


def of_one(stage, make, scenario):
    with counting(stage, make, scenario) as (running, counter):
        if scenario.endless:
            return of_streams(running, scenario, counter)
        return total(of_requests(running, scenario, counter, COUNTED)) / COUNTED


@contextlib.contextmanager
def counting(stage, make, scenario):
    """A gateway under callgrind that serves, and its counter."""
    out = stage.directory / "callgrind"
    valgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}"]
    slow = type(make.__name__, (make,), {"under": valgrind, "patience": 300})
    running = stage.start(slow())
    try:
        wrong = stage.wrong(running, scenario, patience=120)
        if wrong:
            raise Failed(f"{running.name}: {scenario.name}: {wrong}")
        with Counter(running, out) as counter:
            yield running, counter
    finally:
        stage.stop(running)


class Counter:
    """What callgrind counts between `begin` and `end`."""

    def __init__(self, running, out):
        self._pid, self._out = running.gateway.pids()[0], out

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for file in self._files():
            file.unlink()

    def begin(self):
        self._tell("--instr=on")
        # What it takes to begin is none of it.
        self._tell("--zero")

    def end(self):
        """What callgrind has written."""
        self._tell("--dump")
        written = wait_for(self._written, what="callgrind's totals")
        self._tell("--instr=off")
        return written

    def _tell(self, what):
        subprocess.run(["callgrind_control", what, str(self._pid)], check=True, capture_output=True, timeout=120)

    def _files(self):
        return sorted(self._out.parent.glob(f"{self._out.name}*"))

    def _written(self):
        texts = [file.read_text(errors="replace") for file in self._files()]
        return next((text for text in texts if TOTALS.search(text)), None)


def total(written):
    """All instructions."""
    return int(TOTALS.search(written)[1])


def connection(running):
    place = urllib.parse.urlsplit(running.url)
    return http.client.HTTPConnection(place.hostname, place.port, timeout=120)


def ask(client, running, scenario):
    client.request("POST", scenario.path, scenario.bytes(), {"content-type": "application/json", **running.headers})
    return client.getresponse()


def of_requests(running, scenario, counter, count):
    """What callgrind writes of so many, one after another."""
    client = connection(running)
    for _ in range(FIRST):
        ask(client, running, scenario).read()
    counter.begin()
    for _ in range(count):
        ask(client, running, scenario).read()
    written = counter.end()
    client.close()
    return written


def of_streams(running, scenario, counter):
    events, stop = [0] * STREAMS, threading.Event()

    def read(at):
        client = connection(running)
        answer = ask(client, running, scenario)
        while not stop.is_set():
            events[at] += answer.read1(1 << 16).count(b"\n\n")
        client.close()

    readers = [threading.Thread(target=read, args=(at,)) for at in range(STREAMS)]
    for reader in readers:
        reader.start()
    try:
        wait_for(lambda: all(events), what="an event on each stream")
        counter.begin()
        before = sum(events)
        time.sleep(STREAM_SECONDS)
        counted, after = total(counter.end()), sum(events)
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    return counted / (after - before)


def page(machine, counted):
    head = ["instructions", *[make.name for make in GATEWAYS]]
    rows = []
    for name, of in counted.items():
        first, *others = [of["instructions"][make.name] for make in GATEWAYS]
        figures = [f"{first:,.0f}", *[f"{other:,.0f} ({other / first:.2f})" for other in others]]
        rows.append([f"{name}, per {of['unit']}", *figures])
    return f"Weir {machine['git']}, Envoy {machine['envoy']}\n\n{table.grid(head, rows)}\n"
