"""Streams that break before their first content: where the route says so, the next backend says them anew."""

import json
import time

import anthropic
import httpx
import openai
import pytest

from harness import providers as stand_ins
from harness import resources, sdks
from harness.samples import EVENT_STREAM, HELLO, SSE, TOTAL, exception_frame, message_start, sentence, text_events, text_of

#: What the stand-ins that fail report of the input. It is not what the others count.
REPORTED = 29


def chunk(delta):
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    told = {"id": "gone", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return f"data: {json.dumps(told)}\n\n"


def named(*events):
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)


BLOCK, DELTA = text_events("gone")
PING = {"type": "ping"}
#: By how a stream begins: the steps of a script, the headers, and the step that brings content.
OPENINGS = {
    "chat": ([{"text": chunk({"role": "assistant", "content": ""})}], SSE, {"text": chunk({"content": "gone"})}),
    "claude": ([{"text": named(message_start(REPORTED))}], SSE, {"text": named(BLOCK, DELTA)}),
    "claude-ping": ([{"text": named(message_start(REPORTED), BLOCK, PING)}], SSE, {"text": named(DELTA)}),
    "frames": (
        [{"chunk": message_start(REPORTED)}, {"chunk": BLOCK}],
        EVENT_STREAM,
        {"chunk": DELTA},
    ),
}
#: The models that these are openings of: the backend that fails, and the one that answers.
MODELS = {
    "chat": ("qwen3", "gpt-oss"),
    "claude": ("claude", "bedrock"),
    "claude-ping": ("claude", "bedrock"),
    "frames": ("bedrock", "claude"),
}
ERRORS = {
    "chat": {"text": 'data: {"error":{"message":"slow down","type":"server_error"}}\n\n'},
    "claude": {"text": named({"type": "error", "error": {"type": "overloaded_error", "message": "slow"}})},
    "frames": exception_frame(),
}
ERRORS["claude-ping"] = ERRORS["claude"]
FAILURES = {
    "closes": lambda opening: [],
    "breaks": lambda opening: [{"delay_ms": 200}, {"reset": True}],
    "error": lambda opening: [{"delay_ms": 200}, ERRORS[opening]],
}


def in_order(*backends):
    return [{"name": name, "priority": priority} for priority, name in enumerate(backends)]


@pytest.fixture(scope="module")
def gateway(shared_providers, start_gateway):
    running = shared_providers
    manifest = [
        *resources.gateway(),
        *resources.backend("qwen3", running["qwen3"].url),
        *resources.backend("gpt-oss", running["gpt-oss"].url),
        *resources.backend("claude", running["claude"].url, "Anthropic"),
        *resources.anthropic_key("claude", stand_ins.ANTHROPIC_KEY),
        *resources.backend("bedrock", running["bedrock"].url, "AWSAnthropic", "bedrock-2023-05-31"),
        *resources.aws_file("bedrock", stand_ins.AWS_KEY),
    ]
    rules = [resources.rule(model, *in_order(*backends)) for model, backends in MODELS.items()]
    rules.append(resources.rule("impatient", *in_order("qwen3", "gpt-oss"), streamIdleTimeout="2s"))
    rules.append(resources.rule("translated", *in_order("claude", "qwen3")))
    annotated = resources.route(*rules)
    annotated["metadata"]["annotations"] = {"weir.dev/repeat-until-content": "true"}
    plain = resources.route(resources.rule("plain", *in_order("qwen3", "gpt-oss")), name="plain")
    next(each for each in manifest if each["kind"] == "Gateway")["metadata"]["annotations"] = {"weir.dev/keepalive": "3s"}
    return start_gateway([*manifest, annotated, plain])


def ledger(gateway, user):
    return {line["backend"]: (line["requests"], line["total_tokens"]) for line in gateway.usage(user)}


def assert_one_answer(gateway, user, first, second, reported):
    """The books say that there was one, and an attempt that failed."""
    record = gateway.logged(user)[0]
    assert (record["status"], record["attempts"], record["backend"]) == (200, 2, f"default/{second}")
    assert (record["usage_status"], record["total_tokens"]) == ("complete", TOTAL)
    (abandoned,) = record["abandoned"]
    assert abandoned["backend"] == f"default/{first}"
    if reported:
        assert abandoned["input_tokens"] == REPORTED
    assert ledger(gateway, user) == {
        f"default/{first}": (1, abandoned["input_tokens"]),
        f"default/{second}": (1, TOTAL),
    }
    return record


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("opening", OPENINGS)
@pytest.mark.parametrize("api", ["openai", "anthropic"])
def test_the_client_notices_nothing(gateway, providers, user, api, opening, failure):
    first, second = MODELS[opening]
    steps, headers, _ = OPENINGS[opening]
    providers[first].script(*steps, *FAILURES[failure](opening), headers=headers)
    if api == "openai":
        asked = {"model": opening, "messages": HELLO, "stream_options": {"include_usage": True}}
        chunks = list(gateway.openai(user).chat.completions.create(**asked, stream=True))
        assert text_of(chunks) == sentence(second)
        assert len({chunk.id for chunk in chunks}) == 1
        assert "gone" not in {chunk.id for chunk in chunks}
    else:
        with gateway.anthropic(user).messages.stream(model=opening, max_tokens=50, messages=HELLO) as stream:
            events = [event.type for event in stream]
            message = stream.get_final_message()
        assert message.content[0].text == sentence(second)
        assert events.count("message_start") == 1
    assert_one_answer(gateway, user, first, second, reported=opening != "chat")


@pytest.mark.parametrize("opening", ["claude-ping", "frames"])
@pytest.mark.parametrize("api", [sdks.OpenAI, sdks.Anthropic, sdks.Cohere, sdks.Gemini])
def test_the_stream_that_every_client_gets_is_one(gateway, providers, user, api, opening):
    """Strict about its grammar, and translated for most of them."""
    first, second = MODELS[opening]
    steps, headers, _ = OPENINGS[opening]
    providers[first].script(*steps, ERRORS[opening], headers=headers)
    turn = api(gateway, user, stream=True).ask(model=opening, messages=HELLO)
    assert (turn.text, turn.end) == (sentence(second), api.ENDS["text"])
    assert_one_answer(gateway, user, first, second, reported=True)


@pytest.mark.parametrize("failure", FAILURES)
def test_a_client_of_responses(gateway, providers, user, failure):
    created = {"type": "response.created", "sequence_number": 0, "response": {"id": "gone", "output": []}}
    message = {"id": "gone", "type": "message", "status": "in_progress", "role": "assistant", "content": []}
    item = {"type": "response.output_item.added", "sequence_number": 1, "output_index": 0, "item": message}
    providers["qwen3"].script({"text": named(created, item)}, *FAILURES[failure]("chat"), headers=SSE)
    events = list(gateway.openai(user).responses.create(model="chat", input="one two three", stream=True))
    assert [event.type for event in events].count("response.created") == 1
    assert events[-1].response.output_text == sentence("gpt-oss")
    assert_one_answer(gateway, user, "qwen3", "gpt-oss", reported=False)


@pytest.mark.parametrize("cut", [None, 1])
def test_a_stream_that_is_compressed(gateway, providers, user, cut):
    steps, headers, _ = OPENINGS["claude-ping"]
    providers["claude"].script(*steps, headers=headers, gzip=True, cut=cut)
    stream = gateway.openai(user).chat.completions.create(model="claude-ping", messages=HELLO, stream=True)
    assert text_of(stream) == sentence("bedrock")
    assert gateway.logged(user)[0]["attempts"] == 2


def test_the_next_backend_has_another_api(gateway, providers, user):
    """Nothing remains of the translation that was begun."""
    steps, headers, _ = OPENINGS["claude-ping"]
    providers["claude"].script(*steps, headers=headers)
    answer = gateway.chat("translated", user, stream=True)
    providers["claude"].fail(503)
    undisturbed = gateway.chat("translated", stream=True)
    assert answer.status_code == 200
    strip = lambda text: [json.loads(line[6:])["choices"] for line in text.splitlines() if line.startswith("data: {")]  # noqa: E731
    assert strip(answer.text) == strip(undisturbed.text)
    assert answer.text.endswith("data: [DONE]\n\n")
    assert_one_answer(gateway, user, "claude", "qwen3", reported=True)


def test_a_backend_that_falls_silent(gateway, providers, user):
    steps, headers, _ = OPENINGS["chat"]
    providers["qwen3"].script(*steps, {"hang": True}, headers=headers)
    started = time.monotonic()
    answer = gateway.openai(user).chat.completions.create(
        model="impatient", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    assert text_of(answer) == sentence("gpt-oss")
    assert 1.8 < time.monotonic() - started < 6
    record = assert_one_answer(gateway, user, "qwen3", "gpt-oss", reported=False)
    assert record["ttft_ms"] > 1800, "from the request to the content of the one that answered"


def test_a_backend_that_thinks_aloud_is_not_given_up(gateway, providers, user):
    """Each event is a sign of life, though none is content."""
    steps, headers, content = OPENINGS["chat"]
    aloud = [step for _ in range(6) for step in (*steps, {"delay_ms": 500})]
    end = 'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    providers["qwen3"].script(*aloud, content, {"text": end}, headers=headers)
    answer = gateway.chat("impatient", user, stream=True)
    expected = steps[0]["text"] * 6 + content["text"] + end
    assert (answer.status_code, answer.text) == (200, expected), "byte for byte"
    assert providers["gpt-oss"].requests() == []


@pytest.mark.parametrize("opening", OPENINGS)
def test_after_the_first_content_the_client_is_told(gateway, providers, user, opening):
    first, second = MODELS[opening]
    steps, headers, content = OPENINGS[opening]
    providers[first].script(*steps, content, {"delay_ms": 200}, ERRORS[opening], headers=headers)
    with pytest.raises(openai.APIError):
        list(gateway.openai(user).chat.completions.create(model=opening, messages=HELLO, stream=True))
    providers[first].script(*steps, content, {"delay_ms": 200}, headers=headers)
    with (
        pytest.raises(anthropic.APIError),
        gateway.anthropic(user).messages.stream(model=opening, max_tokens=50, messages=HELLO) as stream,
    ):
        list(stream)
    assert providers[second].requests() == []
    for record in gateway.logged(user, 2):
        assert (record["attempts"], record["abandoned"], record["usage_status"]) == (1, [], "partial")


def test_the_last_backend_is_not_waited_for(gateway, providers, user):
    providers["claude"].fail(503)
    steps, headers, _ = OPENINGS["frames"]
    providers["bedrock"].script(*steps, {"delay_ms": 1000}, exception_frame(), headers=headers)
    body = {"model": "claude", "max_tokens": 50, "stream": True, "messages": HELLO}
    answer = gateway.http.post("/anthropic/v1/messages", json=body, headers={"x-user-id": user})
    assert answer.status_code == 200
    assert answer.text.startswith("event: message_start") and "event: error" in answer.text
    assert gateway.logged(user)[0]["attempts"] == 2


def test_from_the_keepalive_on_the_client_has_it(gateway, providers, user):
    steps, headers, _ = OPENINGS["chat"]
    providers["qwen3"].script(*steps, {"delay_ms": 4000}, {"text": ": thinking\n\n"}, {"delay_ms": 500}, headers=headers)
    body = {"model": "chat", "messages": HELLO, "stream": True}
    started = time.monotonic()
    with httpx.stream(
        "POST", gateway.url + "/v1/chat/completions", json=body, headers={"x-user-id": user}, timeout=30
    ) as answer:
        headers_after = time.monotonic() - started
        text = "".join(answer.iter_text())
    assert (answer.status_code, providers["gpt-oss"].requests()) == (200, [])
    assert 2.5 < headers_after < 3.9
    assert text.startswith(steps[0]["text"] + ": thinking\n\n")
    assert '"type":"error"' in text
    record = gateway.logged(user)[0]
    assert (record["attempts"], record["usage_status"], record["ttft_ms"]) == (1, "partial", None)


def test_without_the_annotation_the_first_event_is_the_clients(gateway, providers):
    steps, headers, _ = OPENINGS["chat"]
    providers["qwen3"].script(*steps, headers=headers)
    answer = gateway.chat("plain", stream=True)
    assert answer.status_code == 200
    assert answer.text.startswith(steps[0]["text"]) and '"type":"error"' in answer.text
    assert providers["gpt-oss"].requests() == []
