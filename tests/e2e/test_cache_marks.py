"""`weir.dev/cache-marks`: prompts without marks get some where the model wants them."""

import json

import pytest

from harness import providers as stand_ins
from harness import resources
from harness.samples import HELLO

MARKED = {"weir.dev/cache-marks": "true"}
TOOL = {"name": "weather", "description": "The weather", "input_schema": {"type": "object"}}


@pytest.fixture(scope="module")
def gateway(shared_providers, start_gateway):
    backends = [
        *resources.backend("claude", shared_providers["claude"].url, "Anthropic"),
        *resources.anthropic_key("claude", stand_ins.ANTHROPIC_KEY),
        *resources.backend("qwen3", shared_providers["qwen3"].url),
    ]
    for each in backends:
        if each["kind"] == "AIServiceBackend":
            each["metadata"]["annotations"] = MARKED
    rules = [resources.rule(name, name) for name in ("claude", "qwen3")]
    return start_gateway([*resources.gateway(), *backends, resources.route(*rules)])


def sent(providers, name):
    return json.loads(providers[name].requests("/v1/")[0]["body"])


def test_anthropics_client(gateway, providers):
    client = gateway.anthropic()
    answer = client.messages.create(model="claude", max_tokens=9, system="Be brief.", messages=HELLO, tools=[TOOL])
    assert answer.content
    body = sent(providers, "claude")
    places = [body["tools"][-1], body["system"][-1], body["messages"][-1]["content"][-1]]
    assert [place["cache_control"] for place in places] == [{"type": "ephemeral"}] * 3


def test_openais_client(gateway, providers):
    messages = [{"role": "system", "content": "Be brief."}, *HELLO]
    with gateway.openai().chat.completions.create(model="claude", messages=messages, stream=True) as stream:
        assert list(stream)
    body = sent(providers, "claude")
    places = [body["system"][-1], body["messages"][-1]["content"][-1]]
    assert [place["cache_control"] for place in places] == [{"type": "ephemeral"}] * 2


def test_a_model_without_marks_sees_none(gateway, providers):
    assert gateway.anthropic().messages.create(model="qwen3", max_tokens=9, messages=HELLO).content
    assert "cache_control" not in json.dumps(sent(providers, "qwen3"))


def test_who_marks_has_the_say(gateway, providers):
    text = {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    gateway.anthropic().messages.create(model="claude", max_tokens=9, system=[text], messages=HELLO)
    body = sent(providers, "claude")
    assert body["system"] == [text]
    assert json.dumps(body).count("cache_control") == 1
