"""What tests ask and what the stand-ins say."""

#: Three tokens for the stand-ins, which count words.
HELLO = [{"role": "user", "content": "one two three"}]
#: Tokens of `HELLO` and of the answer to it.
INPUT, OUTPUT = 3, 22
TOTAL = INPUT + OUTPUT

WEATHER = {
    "name": "weather",
    "description": "The weather in a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
    },
}
TOOLS = [{"type": "function", "function": WEATHER}]
#: What the stand-ins call `WEATHER` with.
ARGUMENTS = {"city": "Paris", "days": 1}

#: A picture of one pixel.
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="

EVENT_STREAM = {"content-type": "application/vnd.amazon.eventstream"}
SSE = {"content-type": "text/event-stream"}


def sentence(provider):
    """What a stand-in says."""
    dam = "a weir is a low dam that steers a river, measures it and holds it back when it must."
    return f"Hello from {provider}: {dam}"


def text_of(chunks):
    """The text of a chat completion's chunks."""
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def message_start(tokens=INPUT):
    """How a Claude stream begins."""
    return {
        "type": "message_start",
        "message": {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": tokens, "output_tokens": 1},
        },
    }


def text_events(text):
    """A text block of a Claude stream."""
    return [
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
    ]


def exception_frame(kind="throttlingException", message="slow down"):
    """An error in an AWS event stream, as a script step."""
    headers = {":message-type": "exception", ":exception-type": kind, ":content-type": "application/json"}
    return {"frame": {"headers": headers, "payload": {"message": message}}}


def events_of_a_text(deltas):
    """The names of the events of an answer of Anthropic's that is one text in so many pieces."""
    return [
        "message_start",
        "content_block_start",
        "ping",
        *["content_block_delta"] * deltas,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
