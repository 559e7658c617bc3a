"""Sends every installed peer one chat, whole and streamed, and says what came back: `python3 -m peers.check` in tests/bench.

The upstream is the stand-in OpenAI API of the end-to-end tests. Arguments are the names of peers to check, or parts of them;
`--aigw-extproc PATH` adds Envoy AI Gateway's processor. Ends with 1 when a peer that is installed does not work.
"""

import argparse
import json
import os
import pathlib
import sys
import tempfile
import urllib.error
import urllib.request

from . import PEERS, AiGateway, MinimalExtProc
from .gateway import Process, ROOT, wait_for

MODEL = "gpt-4o-mini"
TEXT = "one two three"


def ask(gateway, url, stream):
    """The answer's content type and body."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": TEXT}]}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    headers = {"content-type": "application/json", **gateway.headers}
    request = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.headers["content-type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        raise ValueError(f"{error}: {error.read().decode()[:1000]}") from None


def total_tokens(body):
    return json.loads(body)["usage"]["total_tokens"]


def events(body):
    """The data of a stream's events, without the end mark, which must be there."""
    lines = [line.removeprefix("data:").strip() for line in body.splitlines() if line.startswith("data:")]
    if lines[-1:] != ["[DONE]"]:
        raise ValueError(f"a stream without an end: {body[-200:]!r}")
    return [json.loads(line) for line in lines[:-1]]


def check(gateway, upstream, cpu):
    """What was seen, in words; fails when the answers are not those of the upstream."""
    url = gateway.start(upstream, cpu)
    try:
        _, whole = ask(gateway, url, stream=False)
        total = total_tokens(whole)
        kind, streamed = ask(gateway, url, stream=True)
        if not kind.startswith("text/event-stream"):
            raise ValueError(f"a stream of {kind}")
        all_events = events(streamed)
        usage = [event["usage"]["total_tokens"] for event in all_events if event.get("usage")]
        if total <= 0 or usage[-1:] != [total]:
            raise ValueError(f"{total} tokens in the whole answer, {usage} in the stream")
        return f"{total} tokens, {len(all_events)} events, {len(gateway.pids())} processes"
    finally:
        gateway.stop()


def check_metadata(gateway, log):
    """Whether the processor told Envoy the usage of both answers: in the log, two lines with the same figures."""
    text = wait_for(lambda: log.exists() and log.read_text(), what="an access log")
    lines = [json.loads(line) for line in text.splitlines()]
    if len(lines) != 2 or lines[0] != lines[1] or not lines[0]["llm_total_token"]:
        raise ValueError(f"{gateway.name} logged {lines}")
    return f"metadata {lines[0]}"


def main():
    parser = argparse.ArgumentParser(description="checks that the installed peers answer")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--aigw-extproc", metavar="PATH")
    parser.add_argument("--cpu", type=int, default=0)
    arguments = parser.parse_args()

    program = os.environ.get("WEIR_PROVIDERS", ROOT / "target" / "release" / "weir-providers")
    providers = Process([program, "--openai", "upstream=0"])
    upstream = int(providers.wait_line(r"^upstream http://127\.0\.0\.1:(\d+)", timeout=10)[1])
    failed = False
    with tempfile.TemporaryDirectory() as directory:
        makers = {peer.name: peer for peer in PEERS}
        logs = {}

        def logged(name, make):
            logs[name] = pathlib.Path(directory) / f"{len(logs)}.log"
            makers[name] = lambda: make(access_log=logs[name])

        logged(MinimalExtProc.name, MinimalExtProc)
        if arguments.aigw_extproc:
            logged(AiGateway.name, lambda access_log: AiGateway(arguments.aigw_extproc, access_log))
        for name, make in makers.items():
            if arguments.names and not any(part.lower() in name.lower() for part in arguments.names):
                continue
            gateway = make()
            missing = gateway.missing()
            if missing:
                print(f"{name}: not installed: {missing}")
                continue
            try:
                seen = check(gateway, upstream, arguments.cpu)
                if name in logs:
                    seen += ", " + check_metadata(gateway, logs[name])
                print(f"{name}: {seen}")
            except Exception as error:  # whatever it is, the others are to be checked too
                print(f"{name}: FAILED: {error}")
                failed = True
    providers.stop()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
