"""Answers that are not quite their API's: what the client gets, and what is on the books."""

import json
import time

import pytest

from harness.resources import CLAUDE
from harness.samples import EVENT_STREAM, HELLO, SSE, message_start, text_events

QWEN = "Qwen/Qwen3-1.7B"
LONG = "é" * 2_000


def event(data):
    """An event as a server in Python writes it: spaces, and no letter beyond ASCII."""
    return {"text": f"data: {json.dumps(data)}\n\n"}


def chunk(delta, reason=None, index=0):
    return {"choices": [{"index": index, "delta": delta, "finish_reason": reason}]}


@pytest.mark.parametrize("way", ["chat", "messages", "translated"])
def test_a_client_that_leaves_is_charged_by_the_bytes(gateway, providers, user, way):
    body = {"model": QWEN if way == "chat" else CLAUDE, "max_tokens": 9, "messages": HELLO, "stream": True}
    if way == "chat":
        providers["qwen3"].script(event(chunk({"content": LONG})), {"hang": True}, headers=SSE)
    else:
        events = [message_start(), *text_events(LONG)]
        providers["bedrock"].script(*[{"chunk": one} for one in events], {"hang": True}, headers=EVENT_STREAM)
    path = "/anthropic/v1/messages" if way == "messages" else "/v1/chat/completions"
    headers = {"x-user-id": user, "anthropic-version": "2023-06-01"}
    with gateway.http.stream("POST", path, json=body, headers=headers) as answer:
        assert next(line for line in answer.iter_lines() if "\\u00e9" in line or "é" in line)
    (record,) = gateway.logged(user)
    assert (record["usage_status"], record["output_tokens"]) == ("partial", 1_000)


def test_calls_without_usage_are_charged_by_their_arguments(gateway, providers, user):
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    events = [event(chunk({"tool_calls": [call]})) for _ in range(10)]
    providers["qwen3"].script(*events, event(chunk({}, "tool_calls")), {"text": "data: [DONE]\n\n"}, headers=SSE)
    gateway.chat(QWEN, user, stream=True)
    (record,) = gateway.logged(user)
    assert (record["usage_status"], record["output_tokens"]) == ("estimated", 20)


@pytest.mark.parametrize("reason", [None, "", False])
def test_a_truncated_stream_does_not_look_whole(gateway, providers, user, reason):
    providers["qwen3"].script(event(chunk({"content": "a"}, reason)), headers=SSE)
    answer = gateway.chat(QWEN, user, stream=True)
    assert "[DONE]" not in answer.text and '"error"' in answer.text
    assert gateway.logged(user)[0]["usage_status"] == "partial"


def test_each_choice_has_to_finish(gateway, providers, user):
    chunks = [chunk({"content": "a"}), chunk({"content": "b"}, index=1), chunk({}, "stop")]
    providers["qwen3"].script(*map(event, chunks), headers=SSE)
    answer = gateway.chat(QWEN, user, stream=True, n=2)
    assert "[DONE]" not in answer.text and '"error"' in answer.text
    assert gateway.logged(user)[0]["usage_status"] == "partial"


def test_numbers_that_json_does_not_have_pass(gateway, providers, user):
    answer = {"choices": [{"message": {"content": "x"}, "logprobs": float("nan")}], "usage": {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 0}}
    text = json.dumps(answer)
    providers["qwen3"].script({"text": text}, headers={"content-type": "application/json"})
    assert gateway.chat(QWEN, user).text == text
    assert gateway.logged(user)[0]["total_tokens"] == 10
    stream = f"data: {text.replace('message', 'delta')}\n\ndata: [DONE]\n\n"
    providers["qwen3"].script({"text": stream}, headers=SSE)
    assert gateway.chat(QWEN, user, stream=True).text == stream
    assert gateway.logged(user, 2)[1]["total_tokens"] == 10


@pytest.mark.parametrize("media_type", ["text/plain", "application/json", "application/octet-stream"])
def test_a_stream_under_a_wrong_content_type_is_streamed(gateway, providers, user, media_type):
    steps = [event(chunk({"content": "a"})), {"delay_ms": 1_500}, event(chunk({}, "stop")), {"text": "data: [DONE]\n\n"}]
    providers["qwen3"].script(*steps, headers={"content-type": media_type})
    body = {"model": QWEN, "messages": HELLO, "stream": True}
    with gateway.http.stream("POST", "/v1/chat/completions", json=body, headers={"x-user-id": user}) as answer:
        began = time.monotonic()
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
        lines = answer.iter_lines()
        assert '"a"' in next(lines)
        list(lines)
        assert time.monotonic() - began > 1, "its first event came before the rest"
    assert gateway.logged(user)[0]["usage_status"] == "estimated"


def test_a_whole_answer_under_the_type_of_a_stream(gateway, providers, user):
    answer = {"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": 5, "completion_tokens": 5}}
    providers["qwen3"].script({"json": answer}, headers=SSE)
    got = gateway.chat(QWEN, user, stream=True)
    assert (got.json(), got.headers["content-type"]) == (answer, "application/json")
    assert gateway.logged(user)[0]["total_tokens"] == 10
