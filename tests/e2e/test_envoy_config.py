"""The commented configuration for an Envoy of one's own does what it says."""

import json
import os
import pathlib
import shutil

import httpx
import pytest
import yaml

from conftest import free_port
from harness.process import Process, wait_for
from harness.providers import AWS_KEY, TARGET
from harness.samples import HELLO, sentence

ROOT = pathlib.Path(__file__).resolve().parents[2]


def envoy():
    """$ENVOY, the PATH's, or the one that build.sh installed."""
    return os.environ.get("ENVOY") or shutil.which("envoy") or ROOT / ".weir" / "venv" / "bin" / "envoy"


def localized(providers, port):
    """The file with ports, paths and backends of this machine, and without TLS."""
    text = (ROOT / "envoy-config" / "envoy.yaml").read_text()
    text = text.replace("/etc/weir/weir.wasm", str(TARGET / "weir.wasm"))
    text = text.replace("port_value: 9901", "port_value: 0").replace("port_value: 1975", f"port_value: {port}")
    for name, host, port in [("qwen3", "127.0.0.1", 8000), ("bedrock", "bedrock-runtime.us-west-2.amazonaws.com", 443)]:
        here = providers[name].port
        address = f"address: {host}, port_value: {port}"
        assert text.count(address) == 1
        text = text.replace(address, f"address: 127.0.0.1, port_value: {here}")
        text = text.replace(f'"hosts": ["{host}:{port}"]', f'"hosts": ["127.0.0.1:{here}"]')
        text = text.replace(f'"hosts": ["{host}"]', f'"hosts": ["127.0.0.1:{here}"]')
    text = text.replace(", envoy.transport_socket_match: {tls: bedrock}", "")
    return yaml.safe_load(text)


@pytest.fixture
def gateway(providers, tmp_path):
    port = free_port()
    file = tmp_path / "envoy.json"
    file.write_text(json.dumps(localized(providers, port)))
    keys = {"AWS_ACCESS_KEY_ID": AWS_KEY["access_key_id"], "AWS_SECRET_ACCESS_KEY": AWS_KEY["secret_access_key"]}
    command = [envoy(), "-c", file, "--concurrency", 1, "--use-dynamic-base-id", "--log-level", "warning"]
    process = Process(command, env=keys)

    def serves():
        try:
            return httpx.get(f"http://127.0.0.1:{port}/v1/models").status_code == 200
        except httpx.TransportError:
            return False

    wait_for(serves, 20, pause=0.1, what="Envoy")
    yield process, f"http://127.0.0.1:{port}"
    process.stop()


def test_it_serves_fails_over_and_keeps_records(gateway, providers):
    process, url = gateway

    def chat():
        request = {"model": "llama", "messages": HELLO}
        answer = httpx.post(f"{url}/v1/chat/completions", json=request, timeout=30)
        return answer.status_code, answer.json()["choices"][0]["message"]["content"]

    assert chat() == (200, sentence("qwen3"))
    providers["qwen3"].fail(503)
    assert chat() == (200, sentence("bedrock"))
    records = wait_for(
        lambda: [json.loads(line) for line in process.lines if '"original_model":"llama"' in line][1:],
        15,
        what="the second record",
    )
    assert (records[0]["backend"], records[0]["attempts"]) == ("bedrock", 2)


def test_an_unknown_model_is_an_error_of_the_clients_api(gateway):
    answer = httpx.post(f"{gateway[1]}/anthropic/v1/messages", json={"model": "gpt-9", "messages": []})
    assert answer.status_code == 404
    assert "gpt-9" in answer.json()["error"]["message"]
