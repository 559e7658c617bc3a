"""OpenAI's SDK talks to Claude, on Bedrock and at Anthropic: the stand-ins refuse what the real ones refuse, and
the SDK is strict about what comes back."""

import json

import openai
import pytest

from harness.resources import CLAUDE
from harness.samples import (
    ARGUMENTS,
    EVENT_STREAM,
    HELLO,
    OUTPUT,
    PIXEL,
    SSE,
    TOOLS,
    WEATHER,
    message_start,
    sentence,
    text_events,
    text_of,
)

pytestmark = pytest.mark.parametrize(
    ("model", "provider"), [(CLAUDE, "bedrock"), ("claude-native", "claude")], ids=["bedrock", "anthropic"]
)


@pytest.fixture
def client(gateway):
    return gateway.openai()


def sent(providers, provider):
    """The body the provider received last."""
    return json.loads(providers[provider].requests()[-1]["body"])


def test_a_stream_without_usage(client, model, provider):
    chunks = list(client.chat.completions.create(model=model, messages=HELLO, stream=True))
    assert text_of(chunks) == sentence(provider)
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert not any(chunk.usage for chunk in chunks), "the client did not ask for usage"


def test_where_and_how_it_is_sent(client, providers, model, provider):
    client.chat.completions.create(model=model, messages=HELLO, max_tokens=5)
    list(client.chat.completions.create(model=model, messages=HELLO, max_tokens=5, stream=True))
    requests = providers[provider].requests()
    paths = [request["path"] for request in requests]
    bodies = [json.loads(request["body"]) for request in requests]
    if provider == "bedrock":
        assert paths == [f"/model/{CLAUDE}/invoke", f"/model/{CLAUDE}/invoke-with-response-stream"]
        assert all(body["anthropic_version"] == "bedrock-2023-05-31" for body in bodies)
        assert not any("model" in body or "stream" in body for body in bodies)
    else:
        assert paths == ["/v1/messages", "/v1/messages"]
        assert bodies[1]["stream"] is True
        assert all(request["headers"]["anthropic-version"] == "2023-06-01" for request in requests)
    assert all(request["headers"]["content-type"] == "application/json" for request in requests)


def test_request_fields(client, providers, model, provider):
    client.chat.completions.create(
        model=model,
        max_completion_tokens=64,
        temperature=0.5,
        top_p=0.9,
        stop=["END"],
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
            {"role": "user", "content": "Hi"},
        ],
        tools=[{"type": "function", "function": WEATHER}],
        tool_choice="auto",
        parallel_tool_calls=False,
        user="u-1",
    )
    body = sent(providers, provider)
    assert [block["text"] for block in body["system"]] == ["Be brief.", "Be kind."]
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]
    assert (body["max_tokens"], body["temperature"], body["top_p"]) == (64, 0.5, 0.9)
    assert body["stop_sequences"] == ["END"]
    assert body["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert body["tools"][0]["input_schema"] == WEATHER["parameters"]
    assert body["metadata"] == {"user_id": "u-1"}


def test_finish_reasons(client, model, provider):
    answer = client.chat.completions.create(model=model, messages=HELLO, max_tokens=2)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("Hello from ", "length")
    answer = client.chat.completions.create(model=model, messages=HELLO, stop="from")
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("Hello ", "stop")
    chunks = list(client.chat.completions.create(model=model, messages=HELLO, max_tokens=2, stream=True))
    assert chunks[-1].choices[0].finish_reason == "length"


def test_a_tool_by_its_name(client, model, provider):
    choice = {"type": "function", "function": {"name": "weather"}}
    answer = client.chat.completions.create(model=model, messages=HELLO, tools=TOOLS, tool_choice=choice)
    call = answer.choices[0].message.tool_calls[0]
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", ARGUMENTS)


def test_tool_results_go_back(client, providers, model, provider):
    function = {"name": "weather", "arguments": json.dumps(ARGUMENTS)}
    calls = [{"id": f"call_{number}", "type": "function", "function": function} for number in (1, 2)]
    client.chat.completions.create(
        model=model,
        tools=TOOLS,
        messages=[
            *HELLO,
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
            {"role": "tool", "tool_call_id": "call_2", "content": "sun"},
            {"role": "user", "content": "and now?"},
        ],
    )
    messages = sent(providers, provider)["messages"]
    used = [block for block in messages[1]["content"] if block["type"] == "tool_use"]
    assert [(block["id"], block["input"]) for block in used] == [("call_1", ARGUMENTS), ("call_2", ARGUMENTS)]
    results = [block for block in messages[2]["content"] if block["type"] == "tool_result"]
    assert [block["tool_use_id"] for block in results] == ["call_1", "call_2"], "both in the message right after"


def test_empty_arguments_are_an_empty_object(client, providers, model, provider):
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}}
    client.chat.completions.create(
        model=model,
        tools=TOOLS,
        messages=[
            *HELLO,
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
        ],
    )
    assert sent(providers, provider)["messages"][1]["content"][0]["input"] == {}


def test_images(client, providers, model, provider):
    parts = [
        {"type": "text", "text": "What is here?"},
        {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{PIXEL}"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/cat.jpg"}},
    ]
    if provider == "bedrock":
        with pytest.raises(openai.UnprocessableEntityError, match=r"messages\[0\]\.content\[2\]: Bedrock takes no image"):
            client.chat.completions.create(model=model, messages=[{"role": "user", "content": parts}])
        parts.pop()
    client.chat.completions.create(model=model, messages=[{"role": "user", "content": parts}])
    content = sent(providers, provider)["messages"][0]["content"]
    assert [block["type"] for block in content] == [part["type"].split("_")[0] for part in parts]
    assert content[1]["source"] == {"type": "base64", "media_type": "image/png", "data": PIXEL}, "its bytes say so"
    if provider != "bedrock":
        assert content[2]["source"] == {"type": "url", "url": "https://example.com/cat.jpg"}


def test_what_claude_refuses_is_sent_in_another_form(client, providers, model, provider):
    def call(id, arguments):
        return {"id": id, "type": "function", "function": {"name": "weather", "arguments": arguments}}

    client.chat.completions.create(
        model=model,
        tools=TOOLS,
        stop=["\n", "END"],
        user="ann@example.com",
        temperature=1,
        top_p=0.9,
        messages=[
            *HELLO,
            {"role": "assistant", "content": "\n\n", "tool_calls": [call("call.1:0", '{"path": "a')]},
            {"role": "tool", "tool_call_id": "call.1:0", "content": "\n"},
            {"role": "assistant", "content": None, "tool_calls": [call("call.1:0", "null")]},
            {"role": "tool", "tool_call_id": "call.1:0", "content": "sun"},
        ],
    )
    body = sent(providers, provider)
    assert body["stop_sequences"] == ["END"]
    assert "@" not in body["metadata"]["user_id"]
    calls = [block for index in (1, 3) for block in body["messages"][index]["content"]]
    results = [block for index in (2, 4) for block in body["messages"][index]["content"]]
    assert [block["input"] for block in calls] == [{"arguments": '{"path": "a'}, {"arguments": "null"}]
    assert [block["id"] for block in calls] == [block["tool_use_id"] for block in results]
    assert len({block["id"] for block in calls}) == 2


def test_a_byte_order_mark_and_half_a_character(gateway, providers, model, provider):
    body = {"model": model, "messages": [{"role": "user", "content": "a\ud800b"}]}
    content = b"\xef\xbb\xbf" + json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    answer = gateway.http.post("/v1/chat/completions", content=content, headers=headers)
    assert answer.status_code == 200, answer.text
    assert sent(providers, provider)["messages"][0]["content"][0]["text"] == "a\ufffdb"


def test_a_system_message_alone_is_the_users(client, providers, model, provider):
    client.chat.completions.create(model=model, messages=[{"role": "system", "content": "Say hi."}])
    body = sent(providers, provider)
    assert "system" not in body
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Say hi."}]}]


def test_thinking(client, model, provider):
    extra = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    answer = client.chat.completions.create(model=model, messages=HELLO, max_tokens=4000, extra_body=extra)
    message = answer.choices[0].message
    assert message.content == sentence(provider)
    assert message.reasoning_content.startswith("The user greets me")
    assert answer.usage.completion_tokens_details.reasoning_tokens > 0
    chunks = list(
        client.chat.completions.create(model=model, messages=HELLO, max_tokens=4000, extra_body=extra, stream=True)
    )
    thoughts = [getattr(chunk.choices[0].delta, "reasoning_content", None) for chunk in chunks if chunk.choices]
    assert "".join(thought or "" for thought in thoughts).startswith("The user greets me")
    assert text_of(chunks) == sentence(provider)


def test_cache_marks_and_cached_tokens(client, model, provider):
    mark = {"type": "ephemeral"}
    system = {"role": "system", "content": [{"type": "text", "text": "be very brief", "cache_control": mark}]}
    answer = client.chat.completions.create(model=model, messages=[system, *HELLO])
    # Claude reports cached tokens beside the input, OpenAI within it.
    assert answer.usage.prompt_tokens == 6
    assert answer.usage.prompt_tokens_details.cached_tokens == 0
    assert answer.usage.total_tokens == 6 + OUTPUT


def test_a_value_claude_does_not_take(client, providers, model, provider):
    with pytest.raises(openai.UnprocessableEntityError, match="temperature"):
        client.chat.completions.create(model=model, messages=HELLO, temperature=1.5)
    assert providers[provider].requests() == [], "it is the gateway that refuses"


def test_any_cut_of_the_stream_gives_the_same(client, providers, model, provider):
    """The provider's bytes arrive one by one, also those of one character."""
    end = [
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    ]
    events = [message_start(), *text_events("grüße 🌊"), *end]
    if provider == "bedrock":
        steps, headers = [{"chunk": event} for event in events], EVENT_STREAM
    else:
        lines = [
            f"event: {event['type']}\r\ndata: {json.dumps(event, ensure_ascii=False)}\r\n\r\n" for event in events
        ]
        steps, headers = [{"text": line} for line in lines], SSE
    for cut in (None, 1, 7):
        providers[provider].script(*steps, headers=headers, cut=cut)
        stream = client.chat.completions.create(model=model, messages=HELLO, stream=True)
        assert text_of(stream) == "grüße 🌊", f"pieces of {cut}"
