"""A configuration of the filter that cannot be read: the one before stays at work, and without one nothing passes."""

import json
import os
import subprocess

import httpx
import pytest

from conftest import free_port
from harness import gateway as gateways
from harness import resources
from harness.process import Process, wait_for
from harness.samples import HELLO

MODEL = "llama"


class Rendered:
    """An Envoy of one's own on what `weir render` wrote."""

    def __init__(self, folder, port):
        self.folder, self.url = folder, f"http://127.0.0.1:{port}"
        variables = folder / "envoy.env"
        lines = variables.read_text().splitlines() if variables.exists() else []
        command = [gateways.envoy(), "-c", folder / "envoy.json", "--concurrency", "2", "--use-dynamic-base-id"]
        self.process = Process(command, env=dict(line.split("=", 1) for line in lines), cwd=folder)

    def chat(self):
        body = {"model": MODEL, "messages": HELLO}
        try:
            return httpx.post(f"{self.url}/v1/chat/completions", json=body, timeout=20)
        except httpx.TransportError:
            return None


def break_filter(folder):
    """Gives the filter, in all its roles, a field that it does not know: so a filter too old for its configuration finds it."""
    for path in (folder / "xds").glob("ecds-*.json"):
        if path.name == "ecds-local-limits.json":
            continue
        response = json.loads(path.read_text())
        typed = response["resources"][0]["typed_config"]
        value = typed["filter_config"] if "filter_config" in typed else typed["config"]["configuration"]
        value["value"] = json.dumps({**json.loads(value["value"]), "from_the_future": 1})
        response["version_info"] += "-wrong"
        new = path.with_suffix(".new")
        new.write_text(json.dumps(response))
        os.replace(new, path)


@pytest.fixture
def rendered(shared_providers, tmp_path):
    manifest = tmp_path / "manifest.yaml"
    text = resources.dump([
        *resources.gateway(),
        *resources.backend("qwen3", shared_providers["qwen3"].url),
        *resources.backend("gpt-oss", shared_providers["gpt-oss"].url),
        resources.route(resources.rule(MODEL, "qwen3", "gpt-oss")),
    ])
    manifest.write_text(text)
    port, folder = free_port(), tmp_path / "envoy"
    form = ["--filter", gateways.FILTER] if gateways.FILTER else []
    command = [gateways.WEIR, "render", "-f", manifest, "--to", "envoy", "-o", folder]
    subprocess.run([*command, "--port", str(port), "--admin-port", str(free_port()), *form], check=True)
    started = []

    def start():
        started.append(Rendered(folder, port))
        return started[0]

    start.folder = folder
    yield start
    for envoy in started:
        envoy.process.stop()


def said(envoy, consequence):
    return any("the configuration cannot be read" in line and consequence in line for line in envoy.process.lines)


def test_a_fresh_envoy_refuses_every_request(rendered):
    break_filter(rendered.folder)
    envoy = rendered()
    answer = wait_for(envoy.chat, 60, what="an answer")
    assert answer.status_code == 503
    assert "no configuration that it can read" in answer.json()["error"]["message"]
    anything = httpx.get(f"{envoy.url}/docs")
    assert anything.status_code == 503
    message = {"model": MODEL, "max_tokens": 5, "messages": HELLO}
    anthropic = httpx.post(f"{envoy.url}/anthropic/v1/messages", json=message)
    assert (anthropic.status_code, anthropic.json()["type"]) == (503, "error")
    assert said(envoy, "every request is answered with 503")
    assert any("from_the_future" in line for line in envoy.process.lines), "the log says what is wrong"


def test_the_one_before_stays_at_work(rendered):
    envoy = rendered()

    def serves():
        answer = envoy.chat()
        return answer is not None and answer.status_code == 200

    wait_for(serves, 60, what="an answer")
    break_filter(rendered.folder)
    wait_for(lambda: said(envoy, "the one before stays at work"), 10, what="a line in the log")
    for _ in range(20):
        answer = envoy.chat()
        assert answer.status_code == 200, answer.text
