#!/usr/bin/env python3
"""The benchmark: Weir, bare Envoy and others side by side, in one run.

Gateways are alive together on one core; the load and the model server have another. Rounds are interleaved, and every ratio is to bare
Envoy in the same round. See docs/benchmarks/README.md for what is measured and how.
"""

import argparse
import json
import os
import pathlib
import re
import resource
import signal
import sys
import tempfile

from driver import calls, instructions, machine, parts, rounds, scenarios, special, table
from driver.gateways import CORE, BareEnvoy, Failed, WeirModule, WeirWasm

NAMES = [scenario.name for scenario in scenarios.ALL] + ["fixed-rate", "idle", "models"]


def arguments():
    parser = argparse.ArgumentParser(description="Weir, bare Envoy and others side by side")
    parser.add_argument("--quick", action="store_true", help="rounds of a second: for a first look")
    parser.add_argument("--smoke", action="store_true", help="checks that the benchmark works, and the number of calls and allocations of a request; measures no time of use")
    parser.add_argument("--peers", action="store_true", help="install and measure the peers, too")
    parser.add_argument("--aigw-extproc", metavar="PATH", help="measure Envoy AI Gateway's external processor, which someone has built")
    parser.add_argument("--scenario", action="append", metavar="NAME", choices=NAMES, help=f"only this one; of {', '.join(NAMES)}")
    parser.add_argument(
        "--gateway",
        action="append",
        default=[],
        metavar="TEXT",
        help="only gateways whose name contains it, and bare Envoy; NAME=COMMAND,PORT: one more, which listens on 127.0.0.1:PORT "
        "and finds the model server on 127.0.0.1:$UPSTREAM_PORT",
    )
    parser.add_argument("--instructions", action="store_true", help="count instructions under valgrind in place of time")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--round-seconds", type=float, help="length of a round (default 3)")
    parser.add_argument("--rate", type=float, help="requests per second of the fixed rate")
    parser.add_argument("--out", type=pathlib.Path, help="where JSON, table and plots go (default docs/benchmarks for a full run)")
    cpus = sorted(os.sched_getaffinity(0))
    parser.add_argument("--gateway-cpu", type=int, default=cpus[0], help="the gateways' core")
    parser.add_argument("--load-cpu", type=int, default=cpus[-1], help="the core of the load and the model server")
    options = parser.parse_args()
    for text in options.gateway:
        if "=" in text and not re.fullmatch(r"[^=]+=.+,\d+", text, re.DOTALL):
            parser.error(f"argument --gateway: {text!r} is not NAME=COMMAND,PORT")
    if options.instructions and not set(options.scenario or []) <= {scenario.name for scenario in scenarios.ALL}:
        parser.error("--instructions counts those of scenarios with rounds only")
    if options.gateway_cpu == options.load_cpu:
        parser.error("the gateways and the load need a core each")
    if options.smoke:
        options.rounds, options.round_seconds = 1, 0.3
    options.round_seconds = options.round_seconds or (1.0 if options.quick else 3.0)
    options.warm_up = min(0.5, options.round_seconds / 3)
    full = not (options.quick or options.smoke or options.scenario or options.gateway)
    options.out = options.out or (parts.ROOT / "docs" / "benchmarks" if full else parts.TARGET / "bench")
    options.streams = [100] if options.smoke else [1000] if options.quick else [1000, 5000]
    options.models = [100] if options.smoke else [10, 1000, 10000]
    options.plots = not options.smoke
    return options


def candidates(options):
    """The classes of all gateways that are wanted."""
    others = [text for text in options.gateway if "=" in text]
    texts = [text.lower() for text in options.gateway if text not in others]

    def is_wanted(each):
        return not texts or each is BareEnvoy or any(text in each.name.lower() for text in texts)

    wanted = [each for each in ([BareEnvoy, WeirWasm] if options.smoke else CORE) if is_wanted(each)]
    if options.peers or options.aigw_extproc or others:
        import peers

        if options.peers:
            for peer in filter(is_wanted, peers.PEERS):
                if peer.missing():
                    rounds.say(f"installing {peer.name}")
                    peer.install()
                wanted.append(peer)
        if options.aigw_extproc:
            wanted.append(built(peers.AiGateway, options.aigw_extproc))
        wanted += [peers.other(text) for text in others]
    return wanted


def built(gateway, path):
    """A gateway that consists of a program somebody has built, as a class like the others."""
    return type(gateway.__name__, (gateway,), {"__init__": lambda self: gateway.__init__(self, path)})


def measure(options, stage):
    wanted = candidates(options)
    chosen = options.scenario or NAMES
    plain_rounds = [scenario for scenario in scenarios.ALL if scenario.name in chosen]
    each = options.round_seconds + options.warm_up + 0.1
    count = len(wanted) * (len(plain_rounds) + ("fixed-rate" in chosen)) + 2 * len(options.models) * ("models" in chosen)
    idle_seconds = len(wanted) * (3 + sum(options.streams) / 1000) if "idle" in chosen else 0
    clock = rounds.Clock(count * options.rounds * each + idle_seconds)

    missing, gateways, results = {}, [], []
    for make in wanted:
        why = make.missing()
        if why:
            missing[make.name] = f"not available: {why}"
            rounds.say(f"{make.name}: {missing[make.name]}")
    wanted = [make for make in wanted if make.name not in missing]

    if "idle" in chosen:
        results.append(special.idle(stage, wanted, options.streams, clock))
    if plain_rounds or "fixed-rate" in chosen:
        for make in wanted:
            clock.step(f"starting {make.name}")
            try:
                gateways.append(stage.start(make()))
            except Failed as failure:
                missing[make.name] = f"does not start: {failure}"
                rounds.say(f"{make.name}: {missing[make.name]}")
    for scenario in plain_rounds:
        able = [running for running in gateways if scenarios.able(scenario, running.gateway)]
        # The first scenario also waits until a gateway serves at all.
        patience = rounds.PATIENCE if scenario is plain_rounds[0] else rounds.PATIENCE_LATER
        results.append(rounds.run(stage, scenario, able, clock, patience=patience))
    if "fixed-rate" in chosen:
        chat = next((result for result in results if result["name"] == "chat-16"), None)
        core = {make.name for make in CORE}
        results.append(special.fixed_rate(stage, gateways, clock, chat, core, options.rate))
    for running in gateways:
        stage.stop(running)
    if "models" in chosen:
        forms = [form for form in (WeirModule, WeirWasm) if form in wanted]
        results.append(special.many_models(stage, forms, options.models, clock))
    order = {name: at for at, name in enumerate(NAMES)}
    results.sort(key=lambda result: order[result["name"]])
    return results, missing


def main():
    options = arguments()
    # So that what was started is ended, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        described = machine.description()
        parts.load()
        with tempfile.TemporaryDirectory(prefix="weir-bench-") as directory:
            stage = rounds.Stage(options, pathlib.Path(directory))
            try:
                if options.instructions:
                    print(instructions.page(described, instructions.count(stage, options.scenario)))
                    return 0
                results, missing = measure(options, stage)
                # These are exact, so they can be held.
                costly = calls.check(stage, options.scenario or NAMES) if options.smoke else []
            finally:
                stage.close()
    except (parts.Missing, Failed) as missing:
        raise SystemExit(f"bench: {missing}") from None
    told = {
        "machine": described,
        "rounds": options.rounds,
        "round_seconds": options.round_seconds,
        "gateway_cpu": options.gateway_cpu,
        "load_cpu": options.load_cpu,
        "missing": missing,
        "scenarios": results,
    }
    page = table.render(told)
    print(page)
    if options.smoke:
        return smoke_outcome(results, costly)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "results.json").write_text(json.dumps(told, indent=1) + "\n")
    (options.out / "results.md").write_text(page)
    from driver import plots

    drawn = plots.draw(told, options.out)
    rounds.say(f"written: {', '.join(str(path) for path in [options.out / 'results.json', *drawn])}")
    return 0


def smoke_outcome(results, costly):
    """Whether every gateway was measured in every scenario, and no request took more calls than it may."""
    wrong = [f"{result['name']}: {row['gateway']}: {row['note']}" for result in results for row in result["rows"] if row.get("note")]
    empty = [
        f"{result['name']}: {row['gateway']}: nothing was measured"
        for result in results
        for row in result["rows"]
        if not row.get("note") and not row.get("median") and not row.get("streams")
    ]
    for line in wrong + empty + costly:
        rounds.say(f"bench: {line}")
    return 1 if wrong or empty or costly or not results else 0


if __name__ == "__main__":
    sys.exit(main())
