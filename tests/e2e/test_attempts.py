"""What counts as an attempt, where a rule has several backends."""

import threading

import pytest

from harness import providers as stand_ins
from harness import resources
from harness.process import wait_for

SPARE = {"name": "gpt-oss", "priority": 1}


@pytest.fixture(scope="module")
def gateway(shared_providers, start_gateway):
    return start_gateway(
        [
            *resources.gateway(),
            *resources.backend("gpt-oss", shared_providers["gpt-oss"].url),
            *resources.backend("claude", shared_providers["claude"].url, "Anthropic"),
            *resources.anthropic_key("claude", stand_ins.ANTHROPIC_KEY),
            resources.route(
                resources.rule("translated", "claude", SPARE),
            ),
        ]
    )


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
