#!/usr/bin/env python3
"""The demo: the EKS blueprint's resources with its small budgets, in front of three stand-in providers on this machine.

Only the addresses of the backends are replaced (and with them TLS, which loopback does not need). Prints the address and
two commands to try, and runs until it is stopped. Options after the name go to `weir run`; but with `--real-model PYTHON` the two
OpenAI-compatible backends are a small model, run by llama.cpp from that Python's packages, under the blueprint's large budgets.
"""

import argparse
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BLUEPRINT = ROOT / "manifests" / "eks"
RELEASE = ROOT / "target" / "release"
KEY = {"AWS_ACCESS_KEY_ID": "AKIADEMO", "AWS_SECRET_ACCESS_KEY": "demo-secret"}


def localized(text, addresses):
    """The resources with each `hostname: NAME` and its port replaced by a loopback address, and without TLS to them."""
    for host, address in addresses.items():
        ip, port = address.removeprefix("http://").split(":")
        pattern = rf"fqdn:\s+hostname: {re.escape(host)}\s+port: \d+"
        text, count = re.subn(pattern, f"ip: {{address: {ip}, port: {port}}}", text)
        if count != 1:
            raise SystemExit(f"demo: the blueprint has {count} backends at {host}, not 1")
    documents = [document for document in text.split("\n---\n") if "kind: BackendTLSPolicy" not in document]
    return "\n---\n".join(documents)


def start(command, names):
    """A process that prints its addresses, and these by name: one line for each, with the name in front where there are several."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    addresses = {}
    for line in filter(str.strip, process.stdout):
        *name, address = line.split()
        addresses[name[0] if name else names[0]] = address
        if len(addresses) == len(names):
            return process, addresses
    raise SystemExit(f"demo: {pathlib.Path(command[0]).name} did not start")


def start_providers(*openai):
    """The stand-ins: Bedrock, and these OpenAI-compatible servers."""
    command = [RELEASE / "weir-providers", "--bedrock", "bedrock=0", "--delay-ms", "30"]
    command += ["--aws-access-key-id", KEY["AWS_ACCESS_KEY_ID"], "--aws-secret-access-key", KEY["AWS_SECRET_ACCESS_KEY"]]
    for name in openai:
        command += ["--openai", f"{name}=0"]
    return start(command, ["bedrock", *openai])


def start_model(python):
    print("starting llama.cpp with Gemma 3 270M, whose use Google's terms allow: https://ai.google.dev/gemma/terms", flush=True)
    folder = ROOT / ".weir" / "real-model"
    return start([python, ROOT / "tests" / "real_model" / "serve.py", folder], ["model"])


SMALL_BUDGETS = "Each user has 25 tokens per hour and model here, 20 of them for the answers: the second or third request is a 429."
LARGE_BUDGETS = "Both names of open models are one real, small model here, which answers through either API."


def introduce(url, budgets):
    print(
        f"""
Three models are behind {url}. Try, in another terminal:

  curl -N {url}/v1/chat/completions -H 'content-type: application/json' -H 'x-user-id: me' \\
    -d '{{"model": "Qwen/Qwen3-1.7B", "stream": true, "messages": [{{"role": "user", "content": "Hello"}}]}}'

  curl {url}/anthropic/v1/messages -H 'content-type: application/json' -H 'x-user-id: me' \\
    -d '{{"model": "anthropic.claude-3-haiku-20240307-v1:0", "max_tokens": 50, "messages": [{{"role": "user", "content": "Hello"}}]}}'

{budgets} All three models, then the budgets:

  python3 manifests/eks/clients/multi_model.py {url}
  python3 manifests/eks/clients/rate_limit.py {url}
""",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    parser.add_argument("--real-model", metavar="PYTHON")
    options, arguments = parser.parse_known_args()
    if options.real_model:
        model, served = start_model(options.real_model)
        providers, addresses = start_providers()
        started = [model, providers]
        addresses |= {"qwen3": served["model"], "gpt-oss": served["model"]}
        limits, budgets = "ai-gateway-rate-limit.yaml", LARGE_BUDGETS
    else:
        providers, addresses = start_providers("qwen3", "gpt-oss")
        started = [providers]
        limits, budgets = "backend-traffic-policy.yaml", SMALL_BUDGETS
    hosts = {
        "qwen3.default.svc.cluster.local": addresses["qwen3"],
        "gpt-oss.default.svc.cluster.local": addresses["gpt-oss"],
        "bedrock-runtime.us-west-2.amazonaws.com": addresses["bedrock"],
    }
    with tempfile.TemporaryDirectory(prefix="weir-demo-") as folder:
        backends = pathlib.Path(folder) / "model-backends.yaml"
        backends.write_text(localized((BLUEPRINT / "model-backends.yaml").read_text(), hosts))
        rate_limiting = BLUEPRINT / "rate-limiting"
        files = [BLUEPRINT / "gateway.yaml", backends, rate_limiting / "ai-gateway-route.yaml", rate_limiting / limits]
        command = [RELEASE / "weir", "run", "--port", "1975", *arguments]
        for file in files:
            command += ["-f", file]
        weir = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **KEY})
        for stop in (signal.SIGINT, signal.SIGTERM):
            signal.signal(stop, lambda *_: weir.send_signal(signal.SIGTERM))
        try:
            for line in weir.stdout:
                print(line, end="", flush=True)
                if line.startswith("listening on "):
                    introduce(line.split()[-1], budgets)
            return weir.wait()
        finally:
            for process in started:
                process.terminate()
                process.wait()


if __name__ == "__main__":
    sys.exit(main())
