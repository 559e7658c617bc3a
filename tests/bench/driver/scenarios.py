"""What is asked of the gateways, and what a right answer is."""

import dataclasses
import http.client
import json
import urllib.parse

from . import manifest

CHAT_PATH = "/v1/chat/completions"

#: Tokens that the model server counts for every prompt and for its whole answers.
INPUT, OUTPUT = 300, 300
#: Words of the model server's whole answers.
WORDS = 300


@dataclasses.dataclass
class Scenario:
    name: str
    title: str
    model: str
    #: Checks a whole answer: (content type, body) -> what is wrong, or None.
    check: object
    connections: int = 16
    #: What CPU is divided by: a request, or an event of a stream.
    unit: str = "request"
    prompt_bytes: int = 1900
    stream: bool = False
    #: The stream never ends, so no request is ever complete.
    endless: bool = False
    path: str = CHAT_PATH
    #: The backend speaks another API than the client.
    translated: bool = False
    #: Requests per second, whether answers come or not.
    rate: float = None
    #: How many models the requests are spread over.
    models: int = 1

    def body(self):
        """A request of about `prompt_bytes`: messages of a sentence each, with what JSON must escape in them."""
        if self.path == "/v1/embeddings":
            return {"model": self.model, "input": ["a weir steers a river"] * 34}
        sentence = 'A weir is a low dam that "steers" a river,\nmeasures it and holds it back when it must. '
        messages, left = [], self.prompt_bytes - 100
        while left > 0:
            text = (sentence * (1 + min(left, 4000) // len(sentence)))[: min(left, 4000)]
            messages.append({"role": "assistant" if len(messages) % 2 else "user", "content": text})
            left -= len(json.dumps(messages[-1], separators=(",", ":"))) + 1
        body = {"model": self.model, "messages": messages, "temperature": 0.7}
        if self.translated:
            body["max_tokens"] = 1000
        if self.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return body

    def bytes(self):
        return json.dumps(self.body(), separators=(",", ":")).encode()


def chat_answer(kind, body):
    try:
        answer = json.loads(body)
        words = answer["choices"][0]["message"]["content"].split()
        total = answer["usage"]["total_tokens"]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        return f"not a chat completion ({error!r})"
    if words != ["word"] * WORDS or total != INPUT + OUTPUT:
        return f"{len(words)} words and {total} tokens instead of {WORDS} and {INPUT + OUTPUT}"
    return None


def chat_stream(length):
    def check(kind, body):
        if not kind.startswith("text/event-stream"):
            return f"content-type is {kind}"
        events = [line[5:].strip() for line in body.decode().splitlines() if line.startswith("data:")]
        if events[-1:] != ["[DONE]"]:
            return "the stream does not end with [DONE]"
        try:
            chunks = [json.loads(event) for event in events[:-1]]
            words = sum(1 for chunk in chunks for choice in chunk["choices"] if choice["delta"].get("content") == " word")
            usage = [chunk["usage"]["completion_tokens"] for chunk in chunks if chunk.get("usage")]
        except (ValueError, LookupError, TypeError) as error:
            return f"not a stream of chat completion chunks ({error!r})"
        if words != length or usage != [length]:
            return f"{words} words and usage {usage} instead of {length}"
        return None

    return check


def first_event(kind, body):
    return None if kind.startswith("text/event-stream") and body.startswith(b"data: {") else "not an event stream"


def embeddings(kind, body):
    try:
        count, usage = len(json.loads(body)["data"]), json.loads(body)["usage"]["prompt_tokens"]
    except (ValueError, LookupError, TypeError) as error:
        return f"no embeddings ({error!r})"
    return None if usage == INPUT and len(body) >= 1 << 20 else f"{count} embeddings in {len(body)} bytes"


def stream(length, title):
    name = f"sse-{length}"
    return Scenario(name, title, name, chat_stream(length), connections=4, unit="event", stream=True)


CLAUDE = f"claude-{manifest.CLAUDE_LENGTH}"
CLAUDE_STREAM = chat_stream(manifest.CLAUDE_LENGTH)

#: Those with rounds of all gateways; `special` has the others.
ALL = [
    Scenario("chat-16", "Chat, 2 kB, 16 connections", "chat", chat_answer),
    Scenario("chat-1", "Chat, 2 kB, 1 connection", "chat", chat_answer, connections=1),
    Scenario("chat-64", "Chat, 2 kB, 64 connections", "chat", chat_answer, connections=64),
    Scenario("prompt-100k", "Prompt of 100 kB", "chat", chat_answer, prompt_bytes=100_000),
    Scenario("prompt-1m", "Prompt of 1 MB", "chat", chat_answer, connections=8, prompt_bytes=1_000_000),
    Scenario("embeddings-1m", "Embeddings answer of 1 MB", "embeddings", embeddings, connections=8, path="/v1/embeddings"),
    stream(2000, "Stream of 2,000 chunks, as fast as they come, 4 connections"),
    stream(500, "Stream of 500 chunks"),
    stream(8000, "Stream of 8,000 chunks"),
    Scenario(
        "paced",
        "150 streams, an event every 10 ms each",
        "paced",
        first_event,
        connections=150,
        unit="event",
        stream=True,
        endless=True,
    ),
    Scenario("translate", "OpenAI to Claude on Bedrock, signed", "claude", chat_answer, translated=True),
    Scenario(
        "translate-stream",
        f"OpenAI to Claude on Bedrock, signed, streamed in {manifest.CLAUDE_LENGTH} deltas",
        CLAUDE,
        CLAUDE_STREAM,
        connections=4,
        stream=True,
        translated=True,
    ),
]

IDLE = Scenario("idle", "Idle streams", "idle", first_event, connections=1, stream=True, endless=True)
FIXED = dataclasses.replace(ALL[0], name="fixed-rate", connections=64)
MODELS = dataclasses.replace(ALL[0], name="models", model="model-00000")


def able(scenario, gateway):
    """Whether a gateway can be asked at all."""
    return not scenario.translated or getattr(gateway, "translates", False) or getattr(gateway, "passes", False)


def ask(scenario, url, headers, passes=False):
    """Sends one request; what is wrong with the answer, None if nothing is. `passes`: another API's bytes are right, too."""
    place = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=30)
    try:
        connection.request(
            "POST", scenario.path, scenario.bytes(), {"content-type": "application/json", **headers}
        )
        answer = connection.getresponse()
        body = b""
        if scenario.endless and answer.status == 200:
            while b"\n\n" not in body:
                piece = answer.read1()
                if not piece:
                    break
                body += piece
        else:
            body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        return f"{error!r}"
    finally:
        connection.close()
    if answer.status != 200:
        return f"status {answer.status}: {body[:300].decode(errors='replace')}"
    if passes and scenario.translated:
        return None if body else "no body"
    return scenario.check(answer.getheader("content-type") or "", body)
