"""What counts as an attempt, what of it is paid for, and how many there are, where a rule has several backends."""

import concurrent.futures
import json
import threading

import pytest

from harness import providers as stand_ins
from harness import resources
from harness.impatient import Impatient
from harness.process import wait_for
from harness.samples import HELLO, SSE, TOTAL

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


def impatient(one, two):
    return [
        *resources.gateway(),
        *resources.backend("one", one.url),
        *resources.backend("two", two.url),
        resources.route(resources.rule("m", {"name": "one", "priority": 0}, {"name": "two", "priority": 1})),
    ]


@pytest.mark.parametrize("stream", [False, True])
def test_stale_connections_to_all_backends(start_gateway, user, stream):
    """None of them has got the request, so the client does not see it: there are more tries until one is on a fresh connection."""
    one, two = Impatient(), Impatient()
    gateway = start_gateway(impatient(one, two), "--concurrency", "1")

    def ask(user):
        body = {"model": "m", "stream": stream, "messages": [{"role": "user", "content": "hi"}]}
        return gateway.http.post("/v1/chat/completions", json=body, headers={"x-user-id": user}).status_code

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        assert list(pool.map(ask, ["one", "two"])) == [200, 200]
    # Two connections to the first backend are stale now; each request makes some more so.
    assert [ask(user) for _ in range(8)] == [200] * 8
    records = gateway.logged(user, 8)
    assert max(record["attempts"] for record in records) > 2, "as many as there are backends were not enough"
    assert [record["abandoned"] for record in records] == [[]] * 8
    one.socket.close()
    two.socket.close()


@pytest.mark.parametrize("opens_with_it", [False, True])
def test_more_tries_are_for_connections_alone(gateway, providers, user, opens_with_it):
    """Each backend is asked once, and the last one's answer is the client's."""
    for name in ("qwen3", "gpt-oss"):
        error = {"message": f"the word of {name}", "type": "server_error"}
        if opens_with_it:
            event = {"text": f"data: {json.dumps({'error': error})}\n\n"}
            providers[name].script(event, times=9, headers=SSE)
        else:
            providers[name].fail(503, times=9, error=error)
    answer = gateway.chat("slow", user, stream=opens_with_it)
    assert answer.status_code >= 500
    assert answer.json()["error"]["message"] == "the word of gpt-oss"
    assert "x-envoy-ratelimited" not in answer.headers
    assert [len(providers[name].requests()) for name in ("qwen3", "gpt-oss")] == [1, 1]
    assert gateway.logged(user)[0]["attempts"] == 2


@pytest.mark.parametrize("stream", [False, True])
def test_no_backend_is_asked_again_while_it_is_at_work(gateway, providers, user, stream):
    for name in ("qwen3", "gpt-oss"):
        providers[name].script({"delay_ms": 4000}, {"default": {}}, times=9)
    assert gateway.chat("slow", user, stream=stream).status_code == 504
    record = gateway.logged(user)[0]
    assert [len(providers[name].requests()) for name in ("qwen3", "gpt-oss")] == [1, 1]
    assert (record["attempts"], len(record["abandoned"]), record["usage_status"]) == (2, 1, "partial")
