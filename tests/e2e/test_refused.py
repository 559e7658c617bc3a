"""What OpenAI's API or its agents allow and Claude refuses, the stand-in as the real one: it arrives in a form that is
taken."""

import json

import openai
import pytest

from harness.resources import CLAUDE
from harness.samples import HELLO, WEATHER

pytestmark = pytest.mark.parametrize(
    ("model", "provider"), [(CLAUDE, "bedrock"), ("claude-native", "claude")], ids=["bedrock", "anthropic"]
)

NAME = "actions/weather.read"
TOOL = {"type": "function", "function": {**WEATHER, "name": NAME}}
FORCED = {"type": "function", "function": {"name": NAME}}


def call(identifier, name=NAME):
    return {"id": identifier, "type": "function", "function": {"name": name, "arguments": "{}"}}


def sent(providers, provider):
    """The last body the provider received."""
    return json.loads(providers[provider].requests()[-1]["body"])


def test_a_tools_name_goes_out_as_another_and_comes_back(gateway, providers, model, provider):
    client = gateway.openai()
    asked = {"model": model, "messages": HELLO, "tools": [TOOL], "tool_choice": FORCED}
    answer = client.chat.completions.create(**asked).choices[0].message
    assert [each.function.name for each in answer.tool_calls] == [NAME]
    assert sent(providers, provider)["tools"][0]["name"].startswith("actions_weather_read_")
    with client.chat.completions.stream(**asked) as stream:
        streamed = stream.get_final_completion().choices[0].message
    assert [each.function.name for each in streamed.tool_calls] == [NAME]
    history = [*HELLO, answer, {"role": "tool", "tool_call_id": answer.tool_calls[0].id, "content": "rain"}]
    client.chat.completions.create(model=model, messages=history, tools=[TOOL])
    assert sent(providers, provider)["messages"][1]["content"][0]["name"].startswith("actions_weather_read_")


@pytest.mark.parametrize(
    "history",
    [
        [{"role": "assistant", "tool_calls": [call("a"), call("b")]}, {"role": "user", "content": "Stop."}],
        [
            {"role": "assistant", "tool_calls": [call("a"), call("b")]},
            {"role": "tool", "tool_call_id": "b", "content": "rain"},
            {"role": "user", "content": "Hurry."},
            {"role": "tool", "tool_call_id": "a", "content": "sun"},
        ],
        [{"role": "tool", "tool_call_id": "a", "content": "rain"}, {"role": "user", "content": "And?"}],
        [
            {"role": "assistant", "tool_calls": [call("a")]},
            {"role": "tool", "tool_call_id": "a", "content": "rain"},
            {"role": "tool", "tool_call_id": "a", "content": "sun"},
        ],
        [
            {
                "role": "assistant",
                "content": "Hello",
                "thinking_blocks": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "EtYCCkYIBxgC"},
                    {"type": "redacted_thinking", "data": "gAAAAABo"},
                ],
            },
            {"role": "user", "content": "And?"},
        ],
    ],
    ids=["interrupted", "interleaved", "cut", "twice", "foreign-thoughts"],
)
def test_histories(gateway, model, provider, history):
    answer = gateway.openai().chat.completions.create(
        model=model, messages=[*HELLO, *history], tools=[TOOL, TOOL], max_tokens=4096
    )
    assert answer.choices[0].message.content


def test_a_call_at_the_end_is_named(gateway, model, provider):
    with pytest.raises(openai.UnprocessableEntityError, match=r"messages\[1\]\.tool_calls\[0\]"):
        gateway.openai().chat.completions.create(
            model=model, messages=[*HELLO, {"role": "assistant", "tool_calls": [call("a")]}], tools=[TOOL]
        )
