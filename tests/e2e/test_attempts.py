"""What of its attempts a request pays for, and what counts as one, where a rule has several backends."""

import threading

import pytest

from harness import providers as stand_ins
from harness import resources
from harness.process import wait_for
from harness.samples import HELLO, TOTAL

SPARE = {"name": "gpt-oss", "priority": 1}


@pytest.fixture(scope="module")
def gateway(shared_providers, start_gateway):
    return start_gateway(
        [
            *resources.gateway(),
            *resources.backend("qwen3", shared_providers["qwen3"].url),
            *resources.backend("gpt-oss", shared_providers["gpt-oss"].url),
            *resources.backend("claude", shared_providers["claude"].url, "Anthropic"),
            *resources.anthropic_key("claude", stand_ins.ANTHROPIC_KEY),
            resources.route(
                resources.rule("slow", "qwen3", SPARE, timeouts={"backendRequest": "1s"}),
                resources.rule("translated", "claude", SPARE),
            ),
        ]
    )


def ledger(gateway, user):
    """What a user used: by backend, the requests, those that are uncertain, and the tokens."""
    names = ("requests", "uncertain_requests", "total_tokens")
    return {line["backend"]: tuple(line[name] for name in names) for line in gateway.usage(user)}


@pytest.mark.parametrize("stream", [False, True])
def test_who_took_too_long_is_paid_beside_who_answered(gateway, providers, user, stream):
    providers["qwen3"].script({"delay_ms": 3000}, {"default": {}}, times=5)
    body = {"model": "slow", "stream": stream, "stream_options": {"include_usage": True}, "messages": HELLO}
    answer = gateway.http.post("/v1/chat/completions", json=body, headers={"x-user-id": user})
    assert answer.status_code == 200, answer.text
    record = gateway.logged(user)[0]
    (abandoned,) = record["abandoned"]
    assert (abandoned["backend"], abandoned["request_model"]) == ("default/qwen3", "slow")
    assert abandoned["input_tokens"] > 0
    assert (record["attempts"], record["backend"], record["usage_status"]) == (2, "default/gpt-oss", "complete")
    assert record["total_tokens"] == TOTAL, "those of the answer alone"
    assert ledger(gateway, user) == {
        "default/qwen3": (1, 1, abandoned["input_tokens"]),
        "default/gpt-oss": (1, 0, TOTAL),
    }


def test_who_failed_is_not_paid(gateway, providers, user):
    providers["qwen3"].fail(503)
    assert gateway.chat("slow", user).status_code == 200
    record = gateway.logged(user)[0]
    assert (record["attempts"], record["abandoned"]) == (2, [])
    assert ledger(gateway, user) == {"default/gpt-oss": (1, 0, TOTAL)}


def test_what_cannot_be_translated_is_no_attempt(gateway, providers, user):
    body = {"model": "translated", "messages": [{"role": "nobody", "content": "hi"}]}
    answer = gateway.http.post("/v1/chat/completions", json=body, headers={"x-user-id": user})
    assert answer.status_code == 422, answer.text
    record = gateway.logged(user)[0]
    assert (record["attempts"], record["backend"]) == (0, "default/claude")
    assert not providers["gpt-oss"].requests()


def limited(shared_providers, **policy):
    return [
        *resources.gateway(),
        *resources.backend("qwen3", shared_providers["qwen3"].url),
        *resources.backend("gpt-oss", shared_providers["gpt-oss"].url),
        resources.route(resources.rule("model", "qwen3", SPARE)),
        resources.traffic(**policy),
    ]


def test_what_a_budget_refuses_is_no_attempt(shared_providers, providers, start_gateway, user):
    selectors = [{"headers": [{"name": "x-user-id", "type": "Distinct"}]}]
    rules = [{"clientSelectors": selectors, "limit": {"requests": 1, "unit": "Hour"}}]
    gateway = start_gateway(limited(shared_providers, rateLimit={"global": {"rules": rules}}))
    assert [gateway.chat("model", user).status_code for _ in range(2)] == [200, 429]
    assert [record["attempts"] for record in gateway.logged(user, 2)] == [1, 0]
    assert len(providers["qwen3"].requests()) == 1


def test_what_has_no_room_is_no_attempt(shared_providers, providers, start_gateway, user):
    gateway = start_gateway(limited(shared_providers, circuitBreaker={"maxParallelRequests": 1}))
    providers["qwen3"].script({"default": {"words": 20, "delay_ms": 100}})
    running = threading.Thread(target=lambda: gateway.chat("model", stream=True))
    running.start()
    wait_for(lambda: providers["qwen3"].requests("/v1/"), 10, what="the first request")
    assert gateway.chat("model", user).status_code == 503
    assert gateway.logged(user)[0]["attempts"] == 0
    running.join(30)
