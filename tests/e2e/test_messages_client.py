"""Anthropic's Python SDK, in strict mode, against a backend that speaks OpenAI's chat: its requests are translated there and the
answers back."""

import json
import pathlib
import re

import anthropic
import pytest

from harness.resources import CLAUDE
from harness.samples import ARGUMENTS, HELLO, PIXEL, SSE, WEATHER, sentence

#: At a backend that refuses what OpenAI refuses.
OPENAI = "keyed"
TOOL = {"name": "weather", "description": "The weather in a city", "input_schema": WEATHER["parameters"]}
FIXTURES = pathlib.Path(__file__).parents[1] / "fixtures"

@pytest.fixture
def client(gateway):
    return gateway.anthropic()


def sent(providers, position=-1):
    """The body that the provider received."""
    return json.loads(providers["main"].requests()[position]["body"])


@pytest.fixture
def sdk(providers):
    """The SDK, answered with what a test says."""

    def answered(body, media_type):
        providers["claude"].script({"text": body}, headers={"content-type": media_type})
        url = providers["claude"].url
        return anthropic.Anthropic(base_url=url, api_key="k", max_retries=0, _strict_response_validation=True)

    return answered


def answers(suffix):
    """What the gateway makes of the backends' answers for Anthropic's clients, as the golden tests keep it, without losses."""
    found = sorted(FIXTURES.glob(f"*/snapshots/*{suffix}.anthropic_messages.snap"))
    assert found
    bodies = [path.read_text().split("---\n", 2)[2] for path in found]
    return [re.sub("^lost: .*", "", body, flags=re.MULTILINE).strip() + "\n\n" for body in bodies]


#: A block of a type that its types do not have is for those who asked for it.
STREAMS = [body for body in answers(".sse") + answers(".frames") if "hologram" not in body]
WHOLE = [body for body in answers("") if body.startswith("{")]


@pytest.mark.parametrize("body", STREAMS)
def test_the_sdk_reads_every_stream(sdk, body):
    with sdk(body, "text/event-stream").messages.stream(model="m", max_tokens=5, messages=HELLO) as stream:
        if "event: error" in body:
            with pytest.raises(anthropic.APIError):
                stream.get_final_message()
        else:
            assert stream.get_final_message().stop_reason


@pytest.mark.parametrize("body", WHOLE)
def test_the_sdk_reads_every_answer(sdk, body):
    assert sdk(body, "application/json").messages.create(model="m", max_tokens=5, messages=HELLO).stop_reason


def test_what_openai_receives(client, providers):
    client.messages.create(
        model=OPENAI,
        max_tokens=50,
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
                ],
            }
        ],
        extra_body={"temperature": 0.5},
        stop_sequences=["END"],
        tools=[TOOL],
        tool_choice={"type": "auto", "disable_parallel_tool_use": True},
        metadata={"user_id": "u-1"},
    )
    body = sent(providers)
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert "Be brief." in json.dumps(body["messages"][0])
    assert body["messages"][1]["content"][1]["image_url"]["url"] == f"data:image/png;base64,{PIXEL}"
    assert body.get("max_completion_tokens", body.get("max_tokens")) == 50
    assert (body["temperature"], body["stop"]) == (0.5, ["END"])
    assert body["tools"][0]["function"]["parameters"] == WEATHER["parameters"]
    assert (body["tool_choice"], body["parallel_tool_calls"]) == ("auto", False)
    assert "u-1" in (body.get("user"), body.get("safety_identifier"))


def test_stop_reasons(client):
    answer = client.messages.create(model=OPENAI, max_tokens=2, messages=HELLO)
    assert (answer.content[0].text, answer.stop_reason) == ("Hello from ", "max_tokens")
    with client.messages.stream(model=OPENAI, max_tokens=2, messages=HELLO) as stream:
        assert stream.get_final_message().stop_reason == "max_tokens"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_tools_in_two_turns(client, providers, stream):
    def ask(messages, **options):
        asked = {"model": OPENAI, "max_tokens": 50, "messages": messages, "tools": [TOOL], **options}
        if not stream:
            return client.messages.create(**asked)
        with client.messages.stream(**asked) as events:
            return events.get_final_message()

    called = ask(HELLO, tool_choice={"type": "any"})
    call = called.content[-1]
    assert (called.stop_reason, call.name, call.input) == ("tool_use", "weather", ARGUMENTS)
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "rain", "is_error": True}
    answer = ask(
        [
            *HELLO,
            {"role": "assistant", "content": called.content},
            {"role": "user", "content": [result, {"type": "text", "text": "So?"}]},
        ]
    )
    assert answer.stop_reason == "end_turn"
    messages = sent(providers)["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "user"]
    assert messages[1]["tool_calls"][0]["id"] == messages[2]["tool_call_id"] == call.id
    assert json.loads(messages[1]["tool_calls"][0]["function"]["arguments"]) == ARGUMENTS
    assert "rain" in json.dumps(messages[2]["content"])


def test_structured_output(client, providers):
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    output = {"format": {"type": "json_schema", "schema": schema}}
    answer = client.messages.create(model=OPENAI, max_tokens=50, messages=HELLO, output_config=output)
    assert list(json.loads(answer.content[0].text)) == ["city"]
    assert sent(providers)["response_format"]["json_schema"]["schema"] == schema


def test_what_only_anthropic_knows_is_on_the_record(gateway, user):
    gateway.anthropic(user).messages.create(
        model=OPENAI,
        max_tokens=50,
        messages=HELLO,
        tools=[{"type": "web_search_20250305", "name": "web_search"}],
        extra_body={"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}},
    )
    [line] = gateway.logged(user)
    lost = [loss.split(": ")[0] for loss in line["losses"]]
    assert {"context_management", "tools[0]"} <= set(lost)


def test_errors_are_anthropics(client, providers):
    error = {"error": {"message": "slow down", "type": "rate_limit_exceeded", "code": "rate_limit_exceeded"}}
    providers["main"].script({"json": error}, status=429)
    with pytest.raises(anthropic.RateLimitError, match="slow down") as caught:
        client.messages.create(model=OPENAI, max_tokens=5, messages=HELLO)
    assert caught.value.body["type"] == "error"

    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    text = {**chunk, "choices": [{"index": 0, "delta": {"role": "assistant", "content": "He"}, "finish_reason": None}]}
    events = "".join(f"data: {json.dumps(event)}\n\n" for event in [text, error])
    providers["main"].script({"text": events}, headers=SSE)
    with pytest.raises(anthropic.APIError, match="slow down"):
        with client.messages.stream(model=OPENAI, max_tokens=5, messages=HELLO) as stream:
            stream.get_final_message()


def test_tokens_are_counted_by_those_who_can(client):
    with pytest.raises(anthropic.APIStatusError) as caught:
        client.messages.count_tokens(model=OPENAI, messages=HELLO)
    assert caught.value.body["type"] == "error"
    assert "count_tokens" in caught.value.message


def test_either_path_is_anthropics(gateway):
    """Passed as they are, in an envelope and translated."""
    for path in ["/anthropic", ""]:
        client = gateway.anthropic().with_options(base_url=gateway.url + path)
        answer = client.messages.create(model="claude-native", max_tokens=50, messages=HELLO)
        assert answer.content[0].text == sentence("claude")
        with client.messages.stream(model=CLAUDE, max_tokens=50, messages=HELLO) as stream:
            assert stream.get_final_message().content[0].text == sentence("bedrock")
        answer = client.messages.create(model=OPENAI, max_tokens=50, messages=HELLO)
        assert answer.content[0].text == sentence("main")


@pytest.mark.parametrize(("model", "provider"), [(CLAUDE, "bedrock"), ("claude-native", "claude")])
def test_a_conversation_goes_on_at_claude(client, providers, model, provider):
    """The stand-in refuses thoughts that are not its own."""
    said = [
        {"type": "thinking", "thinking": "Hm.", "signature": "gemini:AbC="},
        {"type": "thinking", "thinking": "So.", "signature": ""},
        {"type": "redacted_thinking", "data": "openai:gAAAAABo"},
        {"type": "text", "text": "Hello"},
    ]
    messages = [*HELLO, {"role": "assistant", "content": said}, {"role": "user", "content": "and now?"}]
    answer = client.messages.create(model=model, max_tokens=50, messages=messages)
    assert answer.content[0].text == sentence(provider)
    body = json.loads(providers[provider].requests()[-1]["body"])
    assert body["messages"][1]["content"] == [said[-1]]


def test_a_conversation_of_openais_goes_on_at_claude(client):
    answer = client.messages.create(model=OPENAI, max_tokens=50, messages=HELLO)
    messages = [*HELLO, {"role": "assistant", "content": answer.content}, {"role": "user", "content": "and now?"}]
    for model in [CLAUDE, "claude-native", OPENAI]:
        assert client.messages.create(model=model, max_tokens=50, messages=messages).stop_reason == "end_turn"
