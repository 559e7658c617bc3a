"""Models with one place to go to: one filter plays both roles, and nobody may notice."""

import threading
import time

import httpx
import pytest

from harness import resources
from harness.gateway import FILTER
from harness.process import wait_for
from harness.samples import HELLO, TOTAL, text_of

QWEN = "Qwen/Qwen3-1.7B"


def manifest(running, *backends):
    return [
        *resources.gateway(),
        *resources.backend("qwen3", running["qwen3"].url),
        *resources.backend("gpt-oss", running["gpt-oss"].url),
        resources.route(resources.rule(QWEN, *backends), resources.rule("other", "gpt-oss")),
    ]


@pytest.fixture
def gateway(shared_providers, start_gateway):
    gateway = start_gateway(manifest(shared_providers, "qwen3"))
    yield gateway
    gateway.stop()


def requests_of(gateway, cluster):
    """How many requests a cluster has had."""
    stats = httpx.get(f"{gateway.admin}/stats/prometheus").text
    name = f'envoy_cluster_upstream_rq_total{{envoy_cluster_name="{cluster}"}} '
    return next((int(line.removeprefix(name)) for line in stats.splitlines() if line.startswith(name)), None)


def test_openai_clients_go_directly_and_others_do_not(gateway, user):
    assert gateway.chat(QWEN, user).status_code == 200
    stream = gateway.openai(user).chat.completions.create(model=QWEN, messages=HELLO, stream=True)
    assert text_of(list(stream))
    # With the native module a stream takes the other way: on this one it could not be kept alive.
    streams = 1 if FILTER == "wasm" else 0
    assert requests_of(gateway, "default/qwen3/direct") == 1 + streams
    record = gateway.logged(user, 2)[1]
    assert (record["backend"], record["attempts"]) == ("default/qwen3", 1)
    assert gateway.spent(user) == 2 * TOTAL
    message = {"model": QWEN, "max_tokens": 9, "messages": HELLO}
    httpx.post(f"{gateway.url}/anthropic/v1/messages", json=message)
    assert requests_of(gateway, "default/qwen3/direct") == 1 + streams
    assert requests_of(gateway, "default/qwen3") in (1 - streams, 2 - streams)


def test_a_limit_in_redis_sees_the_client(shared_providers, start_gateway, redis, user):
    """The rate limit reads the headers when they are the backend's, and once more when it charges."""
    rule = resources.budget("llm_total_token", 2 * TOTAL - 1)
    rule["clientSelectors"][0]["headers"].append({"name": "x-ai-eg-model", "type": "Distinct"})
    gateway = start_gateway([*manifest(shared_providers, "qwen3"), resources.traffic(rule)], redis=redis)
    answers = []
    for sent in range(4):
        answers.append(gateway.chat(QWEN, user))
        gateway.logged(user, sent + 1)
        time.sleep(0.1)
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
    assert requests_of(gateway, "default/qwen3/direct") == 2
    assert gateway.chat(QWEN, user + "-other").status_code == 200
    refused = gateway.logged(user, 4)[3]
    assert (refused["backend"], refused["attempts"], refused["status"]) == ("", 0, 429)
    assert "rate limit reached" in answers[3].json()["error"]["message"]


def test_the_backend_sees_what_it_would_see_anyway(gateway, providers):
    forged = {"x-weir-cluster": "default/gpt-oss/direct", "x-ai-eg-model": "other", "x-kept": "yes"}
    body = {"model": QWEN, "messages": HELLO}
    answer = httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=forged)
    assert answer.status_code == 200
    (request,) = providers["qwen3"].requests()
    assert not providers["gpt-oss"].requests()
    assert request["headers"]["x-kept"] == "yes"
    steering = [name for name in request["headers"] if name.startswith(("x-weir-", "x-ai-eg-"))]
    assert not steering


def test_a_cluster_cannot_be_named_from_outside(gateway, providers):
    answer = httpx.post(
        f"{gateway.url}/v1/chat/completions",
        json={"model": "unknown", "messages": HELLO},
        headers={"x-weir-cluster": "default/qwen3/direct"},
    )
    assert answer.status_code == 404
    assert not providers["qwen3"].requests()


def test_a_backend_more_and_less_loses_no_request(gateway, providers):
    """One backend is a direct way and two are not: the filter's configuration and the routes change one after the other."""
    answers, stop = [], threading.Event()

    def load():
        while not stop.is_set():
            answers.append(gateway.chat(QWEN))

    def has_both():
        gateway.chat(QWEN)
        return bool(providers["gpt-oss"].requests())

    workers = [threading.Thread(target=load) for _ in range(3)]
    for worker in workers:
        worker.start()
    try:
        for _ in range(2):
            providers.clear()
            gateway.write(manifest(providers, "qwen3", "gpt-oss"))
            wait_for(has_both, 15, what="the second backend")
            before = requests_of(gateway, "default/qwen3/direct") or 0
            gateway.write(manifest(providers, "qwen3"))
            wait_for(
                lambda before=before: (requests_of(gateway, "default/qwen3/direct") or 0) > before, 15, what="the direct way"
            )
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    assert len(answers) > 20
    assert not [answer.text for answer in answers if answer.status_code != 200]


def test_what_a_limit_of_the_proxy_refuses_leaves_the_budget_alone(shared_providers, start_gateway, user):
    """The filter counts a request on a direct way before the proxy's own limits see it."""
    selectors = [{"headers": [{"name": "x-user-id", "type": "Distinct"}]}]
    limits = {
        "rateLimit": {
            "local": {"rules": [{"clientSelectors": selectors, "limit": {"requests": 1, "unit": "Second"}}]},
            "global": {"rules": [{"clientSelectors": selectors, "limit": {"requests": 3, "unit": "Hour"}}]},
        }
    }
    gateway = start_gateway([*manifest(shared_providers, "qwen3"), resources.traffic(**limits)])
    served = []
    for _ in range(4):
        answers = [gateway.chat(QWEN, user) for _ in range(5)]
        served.append([answer.status_code for answer in answers].count(200))
        time.sleep(1.1)
    assert sum(served[:3]) >= 3 and sum(served) == 3, "the budget lets three pass, and not fewer"
