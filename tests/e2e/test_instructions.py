"""Instructions within a conversation, from OpenAI's SDK to Claude wherever it is served. The stand-in refuses them at models
and in places where the real one does."""

import json

import pytest

from harness import providers as stand_ins
from harness import resources
from harness.samples import HELLO, sentence

OPUS, ON_BEDROCK, ON_VERTEX = "claude-opus-4-8", "us.anthropic.claude-opus-4-8", "claude-fable-5"
OLDER, THROUGH_CONVERSE = "claude-opus-4-7", "us.anthropic.claude-opus-5"
PROVIDERS = {OPUS: "claude", ON_BEDROCK: "bedrock", ON_VERTEX: "vertex", OLDER: "claude", THROUGH_CONVERSE: "bedrock"}
BEGIN = {"role": "system", "content": "Be brief."}
WITHIN = {"role": "developer", "content": "Answer in French."}
ANSWER = {"role": "assistant", "content": "Salut"}


@pytest.fixture(scope="module")
def gateway(shared_providers, start_gateway):
    url = {name: shared_providers[name].url for name in PROVIDERS.values()}
    return start_gateway(
        [
            *resources.gateway(),
            *resources.backend("claude", url["claude"], "Anthropic"),
            *resources.anthropic_key("claude", stand_ins.ANTHROPIC_KEY),
            *resources.backend("invoke", url["bedrock"], "AWSAnthropic"),
            *resources.aws_file("invoke", stand_ins.AWS_KEY),
            *resources.backend("converse", url["bedrock"], "AWSBedrock"),
            *resources.aws_file("converse", stand_ins.AWS_KEY),
            *resources.backend("vertex", url["vertex"], "GCPAnthropic"),
            *resources.google_token("vertex", stand_ins.GOOGLE_TOKEN),
            resources.route(
                resources.rule(OPUS, "claude"),
                resources.rule(OLDER, "claude"),
                resources.rule(ON_BEDROCK, "invoke"),
                resources.rule(THROUGH_CONVERSE, "converse"),
                resources.rule(ON_VERTEX, "vertex"),
            ),
        ]
    )


@pytest.mark.parametrize(("model", "stays"), [(model, model not in (OLDER, THROUGH_CONVERSE)) for model in PROVIDERS])
def test_instructions_within(gateway, providers, user, model, stays):
    client = gateway.openai(user)
    messages = [BEGIN, *HELLO, WITHIN, ANSWER, *HELLO, WITHIN]
    answer = client.chat.completions.create(model=model, messages=messages)
    assert answer.choices[0].message.content == sentence(PROVIDERS[model])
    body = json.loads(providers[PROVIDERS[model]].requests()[-1]["body"])
    roles = [message["role"] for message in body["messages"]]
    [line] = gateway.logged(user)
    lost = [loss.split(": ")[0] for loss in line.get("losses", [])]
    if stays:
        assert roles == ["user", "system", "assistant", "user", "system"]
        assert (len(body["system"]), lost) == (1, [])
    else:
        assert roles == ["user", "assistant", "user"]
        assert (len(body["system"]), lost) == (3, ["messages[2]", "messages[5]"])
