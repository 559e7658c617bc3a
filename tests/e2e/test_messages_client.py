"""Anthropic's Python SDK, in strict mode, against a backend that speaks OpenAI's chat: its requests are translated there and the
answers back."""

import json
import pathlib

import anthropic
import pytest

from harness.resources import CLAUDE
from harness.samples import ARGUMENTS, HELLO, INPUT, OUTPUT, PIXEL, SSE, WEATHER, sentence

QWEN = "Qwen/Qwen3-1.7B"
TOOL = {"name": "weather", "description": "The weather in a city", "input_schema": WEATHER["parameters"]}
SNAPSHOTS = pathlib.Path(__file__).parents[1] / "fixtures" / "anthropic" / "snapshots"

@pytest.fixture
def client(gateway):
    return gateway.anthropic()


def sent(providers, position=-1):
    """The body that the provider received."""
    return json.loads(providers["qwen3"].requests()[position]["body"])


@pytest.fixture
def sdk(providers):
    """The SDK, answered with what a test says."""

    def answered(body, media_type):
        providers["claude"].script({"text": body}, headers={"content-type": media_type})
        url = providers["claude"].url
        return anthropic.Anthropic(base_url=url, api_key="k", max_retries=0, _strict_response_validation=True)

    return answered


def answers(suffix):
    """What the gateway makes of Claude's answers for Anthropic's clients, as the golden tests keep it."""
    found = sorted(SNAPSHOTS.glob(f"*{suffix}.anthropic_messages.snap"))
    assert found
    return [path.read_text().split("---\n", 2)[2].strip() + "\n\n" for path in found]


#: A block of a type that its types do not have is for those who asked for it.
STREAMS = [body for body in answers(".sse") if "hologram" not in body]
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


@pytest.mark.parametrize("path", ["/anthropic", ""])
def test_message(gateway, user, path):
    client = gateway.anthropic(user).with_options(base_url=gateway.url + path)
    answer = client.messages.create(model=QWEN, max_tokens=50, messages=HELLO)
    assert (answer.type, answer.role, answer.model) == ("message", "assistant", QWEN)
    assert [block.text for block in answer.content] == [sentence("qwen3")]
    assert (answer.stop_reason, answer.stop_sequence) == ("end_turn", None)
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (INPUT, OUTPUT)
    [line] = gateway.logged(user)
    assert (line["usage_status"], line["input_tokens"], line["output_tokens"]) == ("complete", INPUT, OUTPUT)


def test_stream(client):
    with client.messages.stream(model=QWEN, max_tokens=50, messages=HELLO) as stream:
        text = "".join(stream.text_stream)
        answer = stream.get_final_message()
    assert text == sentence("qwen3")
    assert answer.stop_reason == "end_turn"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (INPUT, OUTPUT)


def test_every_event_is_one_of_anthropics(gateway):
    body = {"model": QWEN, "max_tokens": 3, "messages": HELLO, "stream": True}
    answer = gateway.http.post("/v1/messages?beta=true", json=body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [block.split("\n") for block in answer.text.strip().split("\n\n")]
    names = [lines[0].removeprefix("event: ") for lines in events]
    assert [json.loads(lines[1].removeprefix("data: "))["type"] for lines in events] == names
    assert [name for name in names if name != "ping"] == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * 3,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


def test_what_openai_receives(client, providers):
    client.messages.create(
        model=QWEN,
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
    answer = client.messages.create(model=QWEN, max_tokens=2, messages=HELLO)
    assert (answer.content[0].text, answer.stop_reason) == ("Hello from ", "max_tokens")
    with client.messages.stream(model=QWEN, max_tokens=2, messages=HELLO) as stream:
        assert stream.get_final_message().stop_reason == "max_tokens"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_tools_in_two_turns(client, providers, stream):
    def ask(messages, **options):
        asked = {"model": QWEN, "max_tokens": 50, "messages": messages, "tools": [TOOL], **options}
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
    answer = client.messages.create(model=QWEN, max_tokens=50, messages=HELLO, output_config=output)
    assert list(json.loads(answer.content[0].text)) == ["city"]
    assert sent(providers)["response_format"]["json_schema"]["schema"] == schema


def test_what_only_anthropic_knows_is_on_the_record(gateway, user):
    gateway.anthropic(user).messages.create(
        model=QWEN,
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
    providers["qwen3"].script({"json": error}, status=429)
    with pytest.raises(anthropic.RateLimitError, match="slow down") as caught:
        client.messages.create(model=QWEN, max_tokens=5, messages=HELLO)
    assert caught.value.body["type"] == "error"

    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    text = {**chunk, "choices": [{"index": 0, "delta": {"role": "assistant", "content": "He"}, "finish_reason": None}]}
    events = "".join(f"data: {json.dumps(event)}\n\n" for event in [text, error])
    providers["qwen3"].script({"text": events}, headers=SSE)
    with pytest.raises(anthropic.APIError, match="slow down"):
        with client.messages.stream(model=QWEN, max_tokens=5, messages=HELLO) as stream:
            stream.get_final_message()


def test_tokens_are_counted_by_those_who_can(client):
    with pytest.raises(anthropic.APIStatusError) as caught:
        client.messages.count_tokens(model=QWEN, messages=HELLO)
    assert caught.value.body["type"] == "error"
    assert "count_tokens" in caught.value.message


def test_either_path_is_anthropics(gateway):
    for path in ["/anthropic", ""]:
        client = gateway.anthropic().with_options(base_url=gateway.url + path)
        answer = client.messages.create(model="claude-native", max_tokens=50, messages=HELLO)
        assert answer.content[0].text == sentence("claude")
        with client.messages.stream(model=CLAUDE, max_tokens=50, messages=HELLO) as stream:
            assert stream.get_final_message().content[0].text == sentence("bedrock")


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
    answer = client.messages.create(model=QWEN, max_tokens=50, messages=HELLO)
    messages = [*HELLO, {"role": "assistant", "content": answer.content}, {"role": "user", "content": "and now?"}]
    for model in [CLAUDE, "claude-native", QWEN]:
        assert client.messages.create(model=model, max_tokens=50, messages=messages).stop_reason == "end_turn"
