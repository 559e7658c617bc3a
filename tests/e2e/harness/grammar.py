"""What clients rely on in a stream of each API: which event may follow which, and that usage is told once."""

import json


def of_completion(stream):
    """Checks a stream of OpenAI's chat whose client asked for usage. `stream` is its text."""
    *events, done = _blocks(stream)
    assert done == "data: [DONE]"
    chunks = [json.loads(_behind("data: ", event)) for event in events]
    # Azure begins with what its filters say of the prompt, which names nothing.
    if "prompt_filter_results" in chunks[0]:
        del chunks[0]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    for member in ("id", "created", "model"):
        assert len({chunk[member] for chunk in chunks}) == 1, member
    *chunks, last = chunks
    assert last["choices"] == [] and last["usage"]["total_tokens"]
    assert not any(chunk.get("usage") for chunk in chunks), "usage comes once, at the end"

    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert len(choices) == len(chunks) and {choice["index"] for choice in choices} == {0}
    deltas = [choice["delta"] for choice in choices]
    assert [delta.get("role") for delta in deltas] == ["assistant"] + [None] * (len(deltas) - 1)
    *open_, finish = [choice["finish_reason"] for choice in choices]
    assert set(open_) <= {None} and finish

    begun = 0
    for call in [call for delta in deltas for call in delta.get("tool_calls") or []]:
        if call["index"] == begun:
            begun += 1
            assert call["id"] and call["type"] == "function" and call["function"]["name"]
        else:
            assert call["index"] == begun - 1, "calls come one after another"
            assert not {"id", "type"} & set(call) and set(call["function"]) == {"arguments"}
    assert (finish == "tool_calls") == (begun > 0)


#: By type of an item: the list that its parts are in, and the events that such a part, or the item itself, grows by.
_PARTS = {"message": ("content", "content_index"), "reasoning": ("summary", "summary_index"), "function_call": (None, None)}
_GROWS = {"output_text.delta": "text", "refusal.delta": "refusal", "reasoning_summary_text.delta": "text"}


def of_response(stream):
    """Checks a stream of OpenAI's responses. `stream` is its text."""
    events = []
    # A comment is a sign of life.
    for block in (block for block in _blocks(stream) if not block.startswith(":")):
        name, data = block.split("\n")
        events.append(json.loads(_behind("data: ", data)))
        assert events[-1]["type"] == _behind("event: ", name)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    created, going, *events, last = events
    assert [event["type"] for event in (created, going)] == ["response.created", "response.in_progress"]
    assert created["response"]["usage"] is None and created["response"]["output"] == []
    assert last["type"] == f"response.{last['response']['status']}"
    assert {event["response"]["id"] for event in (created, going, last)} == {created["response"]["id"]}
    items, done = [], []
    for event in events:
        kind = event["type"].removeprefix("response.")
        index = event["output_index"]
        if kind == "output_item.added":
            assert index == len(items) == len(done), "an item begins before the last one has ended"
            items.append(event["item"])
        elif kind == "output_item.done":
            assert index == len(done) and event["item"]["id"] == items[index]["id"]
            member = _PARTS[event["item"]["type"]][0] or "arguments"
            assert items[index][member] == event["item"][member]
            done.append(event["item"])
        else:
            assert index == len(items) - 1 == len(done) and event["item_id"] == items[index]["id"]
            _grow(items[index], kind, event)
    assert done and last["response"]["output"] == done and last["response"]["usage"]["total_tokens"]


def _grow(item, kind, event):
    """What an event adds to an item."""
    if kind == "function_call_arguments.delta":
        item["arguments"] += event["delta"]
        return
    if kind == "function_call_arguments.done":
        assert item["arguments"] == event["arguments"]
        return
    name, index = _PARTS[item["type"]]
    parts = item[name]
    if kind in ("content_part.added", "reasoning_summary_part.added"):
        assert event[index] == len(parts)
        parts.append(event["part"])
        return
    part = parts[event[index]]
    assert part is parts[-1]
    if kind in _GROWS:
        part[_GROWS[kind]] += event["delta"]
    elif kind in ("content_part.done", "reasoning_summary_part.done"):
        assert part == event["part"]
    else:
        member = _GROWS[kind.replace(".done", ".delta")]
        assert part[member] == event[member]


#: What may be in a block of each type, and the member of a delta that has it.
_DELTAS = {
    "text": {"text_delta": "text", "citations_delta": "citation"},
    "thinking": {"thinking_delta": "thinking", "signature_delta": "signature"},
    "tool_use": {"input_json_delta": "partial_json"},
}


def of_message(stream):
    """Checks a stream of Anthropic's messages. `stream` is its text."""
    events = []
    for block in _blocks(stream):
        name, data = block.split("\n")
        event = json.loads(_behind("data: ", data))
        assert event["type"] == _behind("event: ", name)
        if event["type"] != "ping":
            events.append(event)
    start, *blocks, end, stop = events
    assert [event["type"] for event in (start, end, stop)] == ["message_start", "message_delta", "message_stop"]
    begun = start["message"]
    assert (begun["type"], begun["role"], begun["content"], begun["stop_reason"]) == ("message", "assistant", [], None)
    assert begun["id"] and begun["model"] and begun["usage"]["input_tokens"] is not None
    assert end["delta"]["stop_reason"] and end["usage"]["output_tokens"]

    kind, index = None, -1
    for event in blocks:
        if event["type"] == "content_block_start":
            assert kind is None, "a block begins before the last one has ended"
            kind, index = event["content_block"]["type"], index + 1
        else:
            assert kind, f"{event['type']} of no open block"
        assert event["index"] == index
        if event["type"] == "content_block_delta":
            assert _DELTAS[kind][event["delta"]["type"]] in event["delta"]
        elif event["type"] == "content_block_stop":
            kind = None
    assert kind is None and index >= 0


def of_contents(stream):
    """Checks a stream of Gemini's API. `stream` is its text."""
    blocks = [block for block in _blocks(stream) if block.strip("\n")]
    pieces = [json.loads(_behind("data: ", block.lstrip("\n"))) for block in blocks]
    for member in ("modelVersion", "responseId"):
        [_] = {piece[member] for piece in pieces}
    ended = False
    for piece in pieces:
        assert not ended, "a piece behind the end"
        [candidate] = piece["candidates"]
        assert candidate.get("index", 0) == 0
        content = candidate["content"]
        # Python's SDK drops a turn of which a piece has no parts, or an empty one.
        assert content["role"] == "model" and content["parts"] and all(content["parts"])
        ended = "finishReason" in candidate
    assert ended and pieces[-1]["usageMetadata"]["totalTokenCount"]


def of_chat(stream):
    """Checks a stream of Cohere's chat. `stream` is its text."""
    *blocks, done = _blocks(stream)
    assert done == "data: [DONE]"
    events = []
    # A comment is a sign of life.
    for block in (block for block in blocks if not block.startswith(":")):
        name, data = block.split("\n")
        events.append(json.loads(_behind("data: ", data)))
        assert events[-1]["type"] == _behind("event: ", name)
    start, *events, end = events
    assert (start["type"], end["type"]) == ("message-start", "message-end")
    assert start["id"] and start["delta"]["message"]["role"] == "assistant"
    assert end["delta"]["finish_reason"] and end["delta"]["usage"]["tokens"]["input_tokens"]

    begun = {"content": 0, "tool-call": 0, "citation": 0}
    open_ = {"content": None, "tool-call": None, "citation": None}
    for event in events:
        if event["type"] == "tool-plan-delta":
            assert event["delta"]["message"]["tool_plan"]
            continue
        what, step = event["type"].rsplit("-", 1)
        if step == "start":
            assert open_[what] is None, f"{what} begins before the last one has ended"
            assert event["index"] == begun[what]
            begun[what], open_[what] = begun[what] + 1, event["index"]
        else:
            assert event["index"] == open_[what], f"{event['type']} of none that is open"
            if step == "end":
                open_[what] = None
    assert set(open_.values()) == {None} and begun["content"] + begun["tool-call"]
    assert (end["delta"]["finish_reason"] == "TOOL_CALL") == (begun["tool-call"] > 0)


def _blocks(stream):
    """The events of a stream that ends with a whole one."""
    assert stream.endswith("\n\n")
    return stream.removesuffix("\n\n").split("\n\n")


def _behind(prefix, line):
    assert line.startswith(prefix), line
    return line.removeprefix(prefix)
