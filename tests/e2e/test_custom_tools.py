"""OpenAI's SDK with custom tools, which are given a text, in front of backends that have functions only."""

import json

import pytest
from openai.lib.streaming._deltas import accumulate_delta

from harness import providers as stand_ins
from harness import resources
from harness.samples import HELLO, TOOLS, sentence

CLAUDE, CONVERSE, COMMAND = "claude-native", "us.amazon.nova-lite-v1:0", "command-a-03-2025"
PROVIDERS = {CLAUDE: "claude", CONVERSE: "bedrock", COMMAND: "cohere"}
GRAMMAR = {"type": "grammar", "grammar": {"syntax": "regex", "definition": "[a-z]+"}}
PATCH = {"type": "custom", "custom": {"name": "patch", "description": "Edits files.", "format": GRAMMAR}}
CHOICE = {"type": "custom", "custom": {"name": "patch"}}

pytestmark = [
    pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"]),
    pytest.mark.parametrize("model", PROVIDERS),
]


@pytest.fixture(scope="module")
def gateway(shared_providers, start_gateway):
    return start_gateway(
        [
            *resources.gateway(),
            *resources.backend("claude", shared_providers["claude"].url, "Anthropic"),
            *resources.anthropic_key("claude", stand_ins.ANTHROPIC_KEY),
            *resources.backend("bedrock", shared_providers["bedrock"].url, "AWSBedrock"),
            *resources.aws_file("bedrock", stand_ins.AWS_KEY),
            *resources.backend("cohere", shared_providers["cohere"].url, "Cohere", "v2"),
            *resources.api_key("cohere", stand_ins.COHERE_KEY),
            resources.route(*[resources.rule(model, backend) for model, backend in PROVIDERS.items()]),
        ]
    )


def ask(gateway, stream, user=None, **asked):
    """The message of the answer, and why it ended. The SDK's types of chunks know no custom calls, so it is strict
    about whole answers only: https://github.com/openai/openai-python/issues/2530."""
    if not stream:
        [choice] = gateway.openai(user).chat.completions.create(**asked).choices
        return choice.message.to_dict(), choice.finish_reason
    message, reasons = {}, []
    client = gateway.openai(user, _strict_response_validation=False)
    for chunk in client.chat.completions.create(stream=True, **asked):
        for choice in chunk.choices:
            message = accumulate_delta(message, choice.delta.to_dict())
            reasons.append(choice.finish_reason)
    for call in message.get("tool_calls", []):
        del call["index"]
    return message, reasons[-1]


def test_calls_and_their_results(gateway, providers, user, model, stream):
    asked = {"model": model, "tools": [PATCH, *TOOLS]}
    message, reason = ask(gateway, stream, user, messages=HELLO, tool_choice="required", **asked)
    # Some stand-ins call one tool, some all.
    patch, *others = message["tool_calls"]
    assert (patch["type"], patch["custom"].keys(), reason) == ("custom", {"name", "input"}, "tool_calls")
    assert patch["custom"]["name"] == "patch"
    assert [(call["type"], call["function"]["name"]) for call in others] in ([], [("function", "weather")])
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "done"} for call in message["tool_calls"]]
    answer, reason = ask(gateway, stream, user, messages=[*HELLO, message, *results], **asked)
    assert (answer["content"], reason) == (sentence(PROVIDERS[model]), "stop")
    sent = providers[PROVIDERS[model]].requests()[-1]["body"].replace("\\", "")
    assert json.dumps({"input": patch["custom"]["input"]}, separators=(",", ":")) in sent
    first, _ = gateway.logged(user, 2)
    assert [loss.split(": ")[0] for loss in first["losses"]] == ["tools[0].custom.format"]


def test_a_choice(gateway, providers, model, stream):
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [CHOICE]}}
    for choice in [CHOICE, allowed]:
        message, _ = ask(gateway, stream, model=model, messages=HELLO, tools=[PATCH, *TOOLS], tool_choice=choice)
        assert [call["type"] for call in message["tool_calls"]] == ["custom"]
