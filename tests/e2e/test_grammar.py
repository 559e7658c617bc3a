"""What other tests hold streams to finds what is wrong with one."""

import json

import pytest

from harness import grammar
from harness.samples import message_start

MESSAGE = [
    message_start(),
    {"type": "ping"},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
    {"type": "message_stop"},
]


def chunk(delta=None, finish=None, usage=None):
    choices = [] if usage else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, "usage": usage}


def call(**more):
    return {"tool_calls": [{"index": 0, **more}]}


COMPLETION = [
    chunk({"role": "assistant", "content": None}),
    chunk(call(id="c", type="function", function={"name": "f", "arguments": ""})),
    chunk(call(function={"arguments": "{}"})),
    chunk({}, "tool_calls"),
    chunk(usage={"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}),
]


def piece(text, **more):
    candidate = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0, **more}
    return {"candidates": [candidate], "modelVersion": "m", "responseId": "r"}


CONTENTS = [
    piece("Hi"),
    piece("", finishReason="STOP") | {"usageMetadata": {"promptTokenCount": 1, "totalTokenCount": 2}},
]


def of_message(kind, **said):
    return {"type": kind, "index": 0, "delta": {"message": said}}


CHAT = [
    {"type": "message-start", "id": "c", "delta": {"message": {"role": "assistant"}}},
    of_message("content-start", content={"type": "thinking", "thinking": ""}),
    of_message("content-delta", content={"thinking": "Hm"}),
    {"type": "content-end", "index": 0},
    of_message("tool-call-start", tool_calls={"id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}),
    of_message("tool-call-delta", tool_calls={"function": {"arguments": "{}"}}),
    {"type": "tool-call-end", "index": 0},
    {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage": {"tokens": {"input_tokens": 1}}}},
]


def message(events):
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)


def contents(pieces):
    return "".join(f"data: {json.dumps(each)}\n\n" for each in pieces)


def chat(events):
    return message(events) + "data: [DONE]\n\n"


def completion(chunks):
    return "".join(f"data: {json.dumps(each)}\n\n" for each in chunks) + "data: [DONE]\n\n"


APIS = {
    "message": (grammar.of_message, message, MESSAGE, {"ping", "content_block_delta"}),
    "completion": (grammar.of_completion, completion, COMPLETION, set()),
    "chat": (grammar.of_chat, chat, CHAT, {"content-delta", "tool-call-delta"}),
    "contents": (grammar.of_contents, contents, CONTENTS, set()),
}
apis = pytest.mark.parametrize(("check", "stream", "events", "free"), APIS.values(), ids=APIS)


def is_free(event, free):
    """Whether a stream may have it any number of times."""
    deltas = [choice["delta"] for choice in event.get("choices") or []]
    return event.get("type") in free or deltas == [call(function={"arguments": "{}"})] or event == piece("Hi")


@apis
def test_a_good_stream(check, stream, events, free):
    check(stream(events))


@apis
def test_an_event_that_is_missing_or_comes_twice(check, stream, events, free):
    for at, event in enumerate(events):
        for changed in (events[:at] + events[at + 1 :], events[:at] + [event] + events[at:]):
            if is_free(event, free):
                check(stream(changed))
                continue
            with pytest.raises((AssertionError, ValueError, KeyError, IndexError)):
                check(stream(changed))
                pytest.fail(f"{len(changed)} events, {event}", pytrace=False)


@apis
def test_a_stream_that_is_cut_or_goes_on(check, stream, events, free):
    whole = stream(events)
    for changed in (whole[:-1], whole.rsplit("\n\n", 2)[0] + "\n\n", whole + ": x\n\n"):
        with pytest.raises((AssertionError, ValueError)):
            check(changed)
