"""A configuration of the filter that cannot be read: the one before stays at work, and without one nothing passes."""

import json
import os

import httpx
import pytest

from harness import resources
from harness.ports import free_port
from harness.process import wait_for
from harness.rendered import Rendered, render
from harness.samples import HELLO

MODEL = "llama"


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
    manifest = [
        *resources.gateway(),
        *resources.backend("qwen3", shared_providers["qwen3"].url),
        *resources.backend("gpt-oss", shared_providers["gpt-oss"].url),
        resources.route(resources.rule(MODEL, "qwen3", "gpt-oss")),
    ]
    port, folder = free_port(), tmp_path / "envoy"
    done = render(manifest, folder, port, free_port())
    assert done.returncode == 0, done.stderr
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
    answer = wait_for(lambda: envoy.chat(MODEL, HELLO), 60, what="an answer")
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
        answer = envoy.chat(MODEL, HELLO)
        return answer is not None and answer.status_code == 200

    wait_for(serves, 60, what="an answer")
    break_filter(rendered.folder)
    wait_for(lambda: said(envoy, "the one before stays at work"), 10, what="a line in the log")
    for _ in range(20):
        answer = envoy.chat(MODEL, HELLO)
        assert answer.status_code == 200, answer.text
