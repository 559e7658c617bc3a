"""Calls between Envoy and the filter in one request, and what the filter allocates for it: the same on any machine.

Those of the native module are in callgrind's records of calls, those of the wasm filter in Envoy's own trace.
"""

import collections
import re
import time

from . import instructions, scenarios
from .gateways import WeirModule, WeirWasm
from .rounds import say

from harness.process import Failed

#: What a request may take. Fewer is better: then this is what is to be changed.
ALLOWED = {
    "Weir module": {
        "chat-16": {"callbacks": 31, "hooks": 9, "allocations": 31},
        "translate": {"callbacks": 50, "hooks": 9, "allocations": 110},
    },
    "Weir wasm": {
        "chat-16": {"callbacks": 17, "hooks": 16},
        "translate": {"callbacks": 29, "hooks": 17},
    },
}
#: More than what else is counted beside them: that is left over when all calls are divided by this.
REQUESTS = {"Weir module": 100, "Weir wasm": 50}
ALLOCATORS = re.compile(r"^(tc_)?(malloc|calloc|realloc|aligned_alloc|memalign|posix_memalign)\b")
CALLBACK, HOOK = "envoy_dynamic_module_callback_", "envoy_dynamic_module_on_"
#: The thread, which way a call goes, where it begins, and its name; `host<-vm` where a hook ends.
TRACED = re.compile(r"\]\[(\d+)\]\[trace\]\[wasm\].*\[(vm->host|host->vm|host<-vm)\] (?:\w+\.)?(\w+)")
#: Hooks of no request. On a busy machine more of them come to each.
TIMED = {"proxy_on_tick", "proxy_on_http_call_response"}


def of_module(text, library="libweir"):
    """By kind and name: the calls that callgrind's file tells of, into the module and out of it."""
    named = {"ob": {}, "fn": {}}

    def name(kind, text):
        number, _, given = text.partition(" ")
        return named[kind].setdefault(number, given) if given else named[kind].get(number, "")

    counted = collections.defaultdict(collections.Counter)
    caller = callee = called = ""
    for line in text.splitlines():
        key, _, value = line.partition("=")
        match key:
            case "ob":
                caller = name("ob", value)
            case "fn":
                name("fn", value)
                callee = caller
            case "cob":
                callee = name("ob", value)
            case "cfn":
                called = name("fn", value)
            case "calls":
                count = int(value.split()[0])
                if library in caller and library not in callee:
                    if called.startswith(CALLBACK):
                        counted["callbacks"][called.removeprefix(CALLBACK)] += count
                    elif ALLOCATORS.match(called):
                        counted["allocations"][called] += count
                elif library in callee and library not in caller:
                    counted["hooks"][called.removeprefix(HOOK)] += count
                callee = caller
    return counted


def of_wasm(lines):
    """The same of what Envoy traces."""
    counted, aside = collections.defaultdict(collections.Counter), set()
    for thread, way, called in (match.groups() for match in map(TRACED.search, lines) if match):
        if called in TIMED:
            (aside.add if way == "host->vm" else aside.discard)(thread)
        elif thread not in aside and way != "host<-vm":
            counted["callbacks" if way == "vm->host" else "hooks"][called] += 1
    return counted


def count(stage, make, scenario):
    """By kind: how many one request takes, and those of all requests by name."""
    requests = REQUESTS[make.name]
    if make.form == "module":
        with instructions.counting(stage, make, scenario) as (running, counter):
            text = instructions.of_requests(running, scenario, counter, requests)
        counted = of_module(text)
    else:
        counted = traced(stage, make, scenario, requests)
    return {kind: (of.total() // requests, dict(sorted(of.items()))) for kind, of in counted.items()}


def traced(stage, make, scenario, requests):
    telling = type(make.__name__, (make,), {"options": ["--component-log-level", "wasm:trace"]})
    running = stage.start(telling())
    try:
        wrong = stage.wrong(running, scenario)
        if wrong:
            raise Failed(f"{running.name}: {scenario.name}: {wrong}")
        client = instructions.connection(running)
        lines = running.gateway.lines()
        # What is made once is made in the first.
        for _ in range(2):
            before = told(lines)
            for _ in range(requests):
                instructions.ask(client, running, scenario).read()
        after = told(lines)
        client.close()
        return of_wasm(lines[before:after])
    finally:
        stage.stop(running)


def told(lines):
    """How many there are when all is said of what was answered. Timers go on."""
    time.sleep(1)
    return len(lines)


def check(stage, chosen):
    """What takes more than the table has in the scenarios of these names: a line each."""
    wrong = []
    for make in (WeirModule, WeirWasm):
        for scenario in scenarios.ALL:
            allowed = ALLOWED[make.name].get(scenario.name)
            if allowed is None or scenario.name not in chosen:
                continue
            counted = count(stage, make, scenario)
            for kind, most in allowed.items():
                total, calls = counted.get(kind, (0, {}))
                line = f"{scenario.name}: {make.name}: {total} {kind} for a request"
                # None at all: nothing was counted.
                if total > most or not total:
                    wrong.append(f"{line}, {most} are allowed; of {REQUESTS[make.name]}: {calls}")
                elif total < most:
                    line += f", fewer than the {most} that are allowed: lower that"
                say(line)
    return wrong
