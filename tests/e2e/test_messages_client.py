"""Anthropic's Python SDK in front of a server that speaks OpenAI's chat completions."""

import json

import anthropic
import pytest

from harness.samples import HELLO, INPUT, OUTPUT, SSE, WEATHER, sentence

QWEN = "Qwen/Qwen3-1.7B"
TOOL = {"name": "weather", "description": "The weather in a city", "input_schema": WEATHER["parameters"]}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}


def chunk(delta, reason=None):
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    body = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": QWEN, "choices": [choice]}
    return f"data: {json.dumps(body)}\n\n"


@pytest.fixture
def client(gateway):
    return gateway.anthropic()


def test_message(gateway, user):
    words = INPUT + len("Be brief.".split())
    answer = gateway.anthropic(user).messages.create(model=QWEN, max_tokens=50, system="Be brief.", messages=HELLO)
    assert (answer.content[0].text, answer.stop_reason) == (sentence("qwen3"), "end_turn")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (words, OUTPUT)
    [line] = gateway.logged(user)
    assert (line["usage_status"], line["input_tokens"], line["output_tokens"]) == ("complete", words, OUTPUT)


def test_stream(client):
    with client.messages.stream(model=QWEN, max_tokens=50, messages=HELLO) as stream:
        text = "".join(stream.text_stream)
        answer = stream.get_final_message()
    assert text == sentence("qwen3")
    assert (answer.stop_reason, answer.usage.output_tokens) == ("end_turn", OUTPUT)


def test_a_tool_in_two_turns(client, providers):
    qwen3 = providers["qwen3"]
    begun = {**CALL, "index": 0, "function": {"name": "weather", "arguments": '{"city": '}}
    rest = {"index": 0, "function": {"arguments": '"Oslo"}'}}
    events = chunk({"role": "assistant", "tool_calls": [begun]}) + chunk({"tool_calls": [rest]}) + chunk({}, "tool_calls")
    qwen3.script({"text": events + "data: [DONE]\n\n"}, headers=SSE)
    asked = {"model": QWEN, "max_tokens": 50, "tools": [TOOL]}
    with client.messages.stream(**asked, messages=HELLO) as stream:
        answer = stream.get_final_message()
    [call] = [block for block in answer.content if block.type == "tool_use"]
    assert (call.name, call.input, answer.stop_reason) == ("weather", {"city": "Oslo"}, "tool_use")

    result = {"type": "tool_result", "tool_use_id": call.id, "content": "3 degrees"}
    history = [*HELLO, {"role": "assistant", "content": answer.content}, {"role": "user", "content": [result]}]
    client.messages.create(**asked, messages=history)
    sent = json.loads(qwen3.requests()[-1]["body"])["messages"]
    [back] = sent[-2]["tool_calls"]
    assert (back["function"]["name"], json.loads(back["function"]["arguments"])) == ("weather", {"city": "Oslo"})
    assert (sent[-1]["role"], sent[-1]["tool_call_id"], sent[-1]["content"]) == ("tool", back["id"], "3 degrees")


def test_an_error_has_the_clients_shape(client, providers):
    error = {"error": {"message": "too many", "type": "rate_limit_error", "code": None, "param": None}}
    providers["qwen3"].fail(429, **error)
    with pytest.raises(anthropic.RateLimitError) as raised:
        client.with_options(max_retries=0).messages.create(model=QWEN, max_tokens=50, messages=HELLO)
    assert raised.value.body["error"]["message"] == "too many"
