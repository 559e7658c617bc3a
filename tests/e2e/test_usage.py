"""Every token is on the books once: in the access log, in the ledger, and in what is charged to budgets."""

import concurrent.futures
import json

import httpx
import openai
import pytest

from harness.gateway import new_user
from harness.process import wait_for
from harness.resources import CLAUDE
from harness.samples import (
    EVENT_STREAM,
    HELLO,
    INPUT,
    OUTPUT,
    TOTAL,
    message_start,
    text_events,
)

QWEN = "Qwen/Qwen3-1.7B"
FIELDS = {
    *("time", "request_id", "user", "endpoint", "original_model", "request_model", "response_model"),
    *("backend", "provider", "route", "stream", "attempts", "status", "input_tokens", "cached_input_tokens"),
    *("cache_creation_input_tokens", "output_tokens", "reasoning_tokens", "total_tokens"),
    *("usage_status", "abandoned", "losses", "ttft_ms", "duration_ms"),
}


def test_fields_of_the_access_log(gateway, user):
    gateway.openai(user).chat.completions.create(model="fast", messages=HELLO)
    (record,) = gateway.logged(user)
    # OpenAI's servers report sound in every answer.
    assert set(record) == FIELDS | {"audio_input_tokens", "audio_output_tokens"}
    assert (record["original_model"], record["request_model"], record["response_model"]) == ("fast", QWEN, QWEN)
    assert record["backend"].split("/")[-1] == "qwen3"
    assert record["status"] == 200
    assert record["attempts"] == 1
    assert record["usage_status"] == "complete"
    assert (record["input_tokens"], record["output_tokens"], record["total_tokens"]) == (INPUT, OUTPUT, TOTAL)
    assert record["request_id"]
    assert 0 <= record["ttft_ms"] <= record["duration_ms"]


def test_a_refused_request_is_logged_too(gateway, user):
    gateway.chat("unheard-of", user)
    (record,) = gateway.logged(user)
    assert (record["status"], record["original_model"]) == (404, "unheard-of")
    assert not record["total_tokens"]


def chat_stream(client, lenient):
    list(client.chat.completions.create(model=QWEN, messages=HELLO, stream=True))


def claude_stream(client, lenient):
    list(client.chat.completions.create(model="claude-native", messages=HELLO, stream=True))


def completions(client, lenient):
    client.completions.create(model=QWEN, prompt="one two three", max_tokens=OUTPUT)


def completions_stream(client, lenient):
    # The strict type has no null for finish_reason, which the API sends in all chunks but the last.
    list(lenient.completions.create(model=QWEN, prompt="one two three", max_tokens=OUTPUT, stream=True))


def responses(client, lenient):
    client.responses.create(model=QWEN, input="one two three")


def responses_stream(client, lenient):
    list(client.responses.create(model=QWEN, input="one two three", stream=True))


def embeddings(client, lenient):
    client.embeddings.create(model=QWEN, input="one two three", encoding_format="float")


def images(client, lenient):
    client.images.generate(model=QWEN, prompt="one two three")


#: What is done, and the output tokens it costs; the input is always `INPUT`.
CALLS = {
    chat_stream: OUTPUT,
    claude_stream: OUTPUT,
    completions: OUTPUT,
    completions_stream: OUTPUT,
    responses: OUTPUT,
    responses_stream: OUTPUT,
    embeddings: 0,
    images: 272,
}


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_every_endpoint(gateway, user, call):
    call(gateway.openai(user), gateway.openai(user, _strict_response_validation=False))
    (record,) = gateway.logged(user)
    assert record["usage_status"] == "complete"
    assert record["input_tokens"] == INPUT
    assert (record["output_tokens"] or 0) == CALLS[call]
    assert record["total_tokens"] == INPUT + CALLS[call]
    assert gateway.spent(user) == INPUT + CALLS[call]


def test_the_ledger_adds_up(gateway, user):
    for model, times in [(QWEN, 3), (CLAUDE, 2)]:
        for _ in range(times):
            gateway.chat(model, user)
    gateway.logged(user, 5)
    records = {record["model"]: record for record in gateway.usage(user)}
    assert set(records) == {QWEN, CLAUDE}
    assert (records[QWEN]["requests"], records[QWEN]["total_tokens"]) == (3, 3 * TOTAL)
    assert (records[CLAUDE]["requests"], records[CLAUDE]["input_tokens"]) == (2, 2 * INPUT)
    assert records[CLAUDE]["backend"].split("/")[-1] == "bedrock"


def test_no_update_is_lost(gateway, user):
    """Many at once, over all workers."""
    count = 60
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: gateway.chat(QWEN, user), range(count)))
    assert all(answer.status_code == 200 for answer in answers)
    gateway.logged(user, count)
    assert gateway.spent(user) == count * TOTAL
    assert gateway.spent(user, "requests") == count


def test_usage_is_asked_for_and_kept_from_who_did_not(gateway, providers, user):
    answer = gateway.chat(QWEN, user, stream=True)
    assert json.loads(providers["qwen3"].requests()[0]["body"])["stream_options"] == {"include_usage": True}
    data = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: {")]
    chunks = [json.loads(text) for text in data]
    assert not [chunk for chunk in chunks if chunk.get("usage")]
    assert not [chunk for chunk in chunks if chunk["choices"] == []]
    assert answer.text.endswith("data: [DONE]\n\n")
    assert gateway.logged(user)[0]["total_tokens"] == TOTAL


def test_other_stream_options_stay(gateway, providers):
    gateway.chat(QWEN, stream=True, stream_options={"include_obfuscation": False})
    options = json.loads(providers["qwen3"].requests()[0]["body"])["stream_options"]
    assert options == {"include_obfuscation": False, "include_usage": True}


def test_a_request_without_stream_is_not_touched(gateway, providers):
    gateway.chat(QWEN)
    assert "stream_options" not in json.loads(providers["qwen3"].requests()[0]["body"])


def test_cached_tokens(gateway, providers, user):
    usage = {
        "input_tokens": 5,
        "output_tokens": 7,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 20,
        "cache_creation": {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 15},
    }
    message = {**message_start()["message"], "content": [{"type": "text", "text": "x"}], "stop_reason": "end_turn"}
    providers["bedrock"].script(
        {"json": {**message, "usage": usage}}, headers={"content-type": "application/json"}
    )
    answer = gateway.openai(user).chat.completions.create(model=CLAUDE, messages=HELLO)
    assert (answer.usage.prompt_tokens, answer.usage.prompt_tokens_details.cached_tokens) == (125, 100)
    (record,) = gateway.logged(user)
    # Claude reports cached tokens beside the input; the books have one input that holds them.
    assert (record["input_tokens"], record["cached_input_tokens"]) == (125, 100)
    assert (record["cache_creation_input_tokens"], record["output_tokens"]) == (20, 7)
    assert record["total_tokens"] == 132
    by_lifetime = {"cache_creation_5m_input_tokens", "cache_creation_1h_input_tokens"}
    assert set(record) == FIELDS | by_lifetime
    assert (record["cache_creation_5m_input_tokens"], record["cache_creation_1h_input_tokens"]) == (5, 15)


def test_reasoning_tokens(gateway, user):
    extra = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    gateway.chat("claude-native", user, max_tokens=4000, **extra)
    (record,) = gateway.logged(user)
    assert 0 < record["reasoning_tokens"] < record["output_tokens"]


@pytest.mark.parametrize("api", ["openai", "anthropic"])
def test_a_client_that_leaves_is_charged_what_was_seen(gateway, providers, user, api):
    providers["bedrock"].script({"default": {"words": 200, "delay_ms": 50}})
    path = "/v1/chat/completions" if api == "openai" else "/anthropic/v1/messages"
    body = {"model": CLAUDE, "max_tokens": 500, "messages": HELLO, "stream": True}
    headers = {"x-user-id": user, "anthropic-version": "2023-06-01"}
    with gateway.http.stream("POST", path, json=body, headers=headers) as answer:
        lines = (line for line in answer.iter_lines() if line.startswith("data:"))
        for _ in range(5):
            next(lines)
    (record,) = gateway.logged(user)
    assert record["usage_status"] == "partial"
    assert record["input_tokens"] == INPUT
    assert gateway.spent(user) == record["total_tokens"] >= INPUT
    wait_for(
        lambda: providers["bedrock"].requests()[0]["answer"] == "cut", what="the end of the provider's stream"
    )


@pytest.mark.parametrize("model, provider", [(QWEN, "qwen3"), (CLAUDE, "bedrock")])
def test_a_client_that_leaves_before_the_answer_is_charged_what_it_sent(gateway, providers, user, model, provider):
    """Both on a direct way and on that of two roles: the provider has the request, and is paid for it."""
    providers[provider].script({"hang": True}, times=1)
    with pytest.raises(httpx.ReadTimeout):
        body = {"model": model, "max_tokens": 5, "messages": HELLO}
        httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers={"x-user-id": user}, timeout=1)
    (record,) = gateway.logged(user)
    assert (record["usage_status"], record["status"]) == ("partial", 0)
    assert record["input_tokens"] > 0 and record["output_tokens"] == 0
    assert gateway.spent(user) == record["total_tokens"]


def test_an_answer_without_usage(gateway, providers, user):
    answer = {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}],
    }
    providers["qwen3"].script({"json": answer}, headers={"content-type": "application/json"})
    assert gateway.chat(QWEN, user).json() == answer
    assert gateway.logged(user)[0]["usage_status"] != "complete"


def test_losses_are_named(gateway, user):
    gateway.chat(CLAUDE, user, seed=1, logit_bias={"5": 1})
    (record,) = gateway.logged(user)
    assert "seed" in json.dumps(record["losses"])
    assert "logit_bias" in json.dumps(record["losses"])


@pytest.mark.parametrize("stream", [False, True])
def test_losses_are_told_to_those_who_ask(gateway, user, stream):
    client = gateway.openai(user).chat.completions.with_raw_response
    asked = {"model": CLAUDE, "messages": HELLO, "seed": 1, "logit_bias": {"5": 1}, "stream": stream}
    told = client.create(**asked, extra_headers={"x-weir-report-losses": "true"})
    (record,) = gateway.logged(user)
    assert [loss.split(": ")[0] for loss in told.headers["x-weir-losses"].split("; ")] == ["seed", "logit_bias"]
    assert told.headers["x-weir-losses"] == "; ".join(record["losses"])
    assert "x-weir-losses" not in client.create(**asked).headers


def test_who_wants_to_lose_nothing_is_refused(gateway, providers, user):
    client = gateway.openai(user).chat.completions
    asked = {"model": CLAUDE, "messages": HELLO, "extra_headers": {"x-weir-strict": "true"}}
    assert client.create(**asked).choices
    with pytest.raises(openai.BadRequestError, match="seed: .*; .*"):
        client.create(**asked, seed=1, logit_bias={"5": 1})
    whole, refused = gateway.logged(user, 2)
    assert (whole["status"], refused["status"]) == (200, 400)
    assert not refused["total_tokens"]


def test_a_later_count_wins(gateway, providers, user):
    """message_delta may repeat the input with what was really used."""
    end = [
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {"input_tokens": 9, "output_tokens": 4},
        },
        {"type": "message_stop"},
    ]
    events = [message_start(), *text_events("x"), *end]
    providers["bedrock"].script(*[{"chunk": event} for event in events], headers=EVENT_STREAM)
    gateway.chat(CLAUDE, user, stream=True)
    (record,) = gateway.logged(user)
    assert (record["input_tokens"], record["output_tokens"], record["total_tokens"]) == (9, 4, 13)


def test_the_books_are_on_the_admin_address_only(gateway):
    assert gateway.http.get("/weir/usage").status_code == 404


def test_users_are_not_mixed_up(gateway):
    first, second = new_user(), new_user()
    gateway.chat(QWEN, first)
    gateway.chat(QWEN, second)
    gateway.logged(second)
    assert gateway.spent(first) == gateway.spent(second) == TOTAL
