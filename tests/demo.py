#!/usr/bin/env python3
"""The demo: the EKS blueprint's resources with its small budgets, in front of three stand-in providers on this machine.

Only the addresses of the backends are replaced (and with them TLS, which loopback does not need). Prints the address and
two commands to try, and runs until it is stopped. Options after the name go to `weir run`.
"""

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


def start_providers():
    """The stand-ins, and their addresses by name."""
    command = [RELEASE / "weir-providers", "--openai", "qwen3=0", "--openai", "gpt-oss=0", "--bedrock", "bedrock=0"]
    command += ["--aws-access-key-id", KEY["AWS_ACCESS_KEY_ID"], "--aws-secret-access-key", KEY["AWS_SECRET_ACCESS_KEY"]]
    command += ["--delay-ms", "30"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    addresses = {}
    for line in process.stdout:
        name, address = line.split()
        addresses[name] = address
        if len(addresses) == 3:
            return process, addresses
    raise SystemExit("demo: the stand-in providers did not start")


def introduce(url):
    print(
        f"""
Three models are behind {url}. Try, in another terminal:

  curl -N {url}/v1/chat/completions -H 'content-type: application/json' -H 'x-user-id: me' \\
    -d '{{"model": "Qwen/Qwen3-1.7B", "stream": true, "messages": [{{"role": "user", "content": "Hello"}}]}}'

  curl {url}/anthropic/v1/messages -H 'content-type: application/json' -H 'x-user-id: me' \\
    -d '{{"model": "anthropic.claude-3-haiku-20240307-v1:0", "max_tokens": 50, "messages": [{{"role": "user", "content": "Hello"}}]}}'

Each user has 25 tokens per hour and model here, so the third request or so is a 429. All three models, then the budgets:

  python3 manifests/eks/clients/multi_model.py {url}
  python3 manifests/eks/clients/rate_limit.py {url}
""",
        flush=True,
    )


def main():
    providers, addresses = start_providers()
    hosts = {
        "qwen3.default.svc.cluster.local": addresses["qwen3"],
        "gpt-oss.default.svc.cluster.local": addresses["gpt-oss"],
        "bedrock-runtime.us-west-2.amazonaws.com": addresses["bedrock"],
    }
    with tempfile.TemporaryDirectory(prefix="weir-demo-") as folder:
        backends = pathlib.Path(folder) / "model-backends.yaml"
        backends.write_text(localized((BLUEPRINT / "model-backends.yaml").read_text(), hosts))
        files = [
            BLUEPRINT / "gateway.yaml",
            backends,
            BLUEPRINT / "rate-limiting" / "ai-gateway-route.yaml",
            BLUEPRINT / "rate-limiting" / "backend-traffic-policy.yaml",
        ]
        command = [RELEASE / "weir", "run", "--port", "1975", *sys.argv[1:]]
        for file in files:
            command += ["-f", file]
        weir = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **KEY})
        for stop in (signal.SIGINT, signal.SIGTERM):
            signal.signal(stop, lambda *_: weir.send_signal(signal.SIGTERM))
        try:
            for line in weir.stdout:
                print(line, end="", flush=True)
                if line.startswith("listening on "):
                    introduce(line.split()[-1])
            return weir.wait()
        finally:
            providers.terminate()
            providers.wait()


if __name__ == "__main__":
    sys.exit(main())
