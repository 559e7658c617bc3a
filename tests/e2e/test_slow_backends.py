"""A backend that takes too long: nobody pays for its answer twice."""

import concurrent.futures
import time

import pytest

from harness import providers as stand_ins
from harness import resources
from harness.impatient import Impatient


@pytest.fixture(scope="module")
def gateway(shared_providers, start_gateway):
    slow = {"timeouts": {"backendRequest": "1s"}}
    qwen, spare = {"name": "qwen3"}, {"name": "gpt-oss", "priority": 1}
    return start_gateway(
        [
            *resources.gateway(),
            *resources.backend("qwen3", shared_providers["qwen3"].url),
            *resources.backend("gpt-oss", shared_providers["gpt-oss"].url),
            *resources.backend("claude", shared_providers["claude"].url, "Anthropic"),
            *resources.anthropic_key("claude", stand_ins.ANTHROPIC_KEY),
            resources.route(
                resources.rule("direct", qwen, **slow),
                # Two conditions, so that it does not go a direct way.
                {
                    "matches": [
                        {
                            "headers": [
                                {"type": "Exact", "name": "x-ai-eg-model", "value": "roles"},
                                {"type": "Exact", "name": "x-way", "value": "roles"},
                            ]
                        }
                    ],
                    "backendRefs": [qwen],
                    **slow,
                },
                resources.rule("translated", {"name": "claude"}, **slow),
                resources.rule("two", qwen, spare, **slow),
            ),
        ]
    )


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["direct", "roles", "translated"])
def test_a_timeout_of_the_only_backend_is_final(gateway, providers, user, model, stream):
    name = "claude" if model == "translated" else "qwen3"
    providers[name].script({"delay_ms": 2000}, {"default": {}}, times=5)
    body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "one two three"}]}
    begin = time.monotonic()
    answer = gateway.http.post("/v1/chat/completions", json=body, headers={"x-user-id": user, "x-way": "roles"})
    assert answer.status_code == 504, answer.text
    assert answer.json()["error"]["message"]
    assert time.monotonic() - begin < 4
    time.sleep(1.5)
    assert len(providers[name].requests()) == 1
    record = gateway.logged(user)[0]
    assert record["attempts"] == 1
    # It was at work, and what it read is paid for.
    assert (record["usage_status"], record["output_tokens"]) == ("partial", 0)
    assert record["total_tokens"] == record["input_tokens"] > 0


@pytest.mark.parametrize("model", ["direct", "roles"])
def test_a_backends_own_504_costs_nothing(gateway, providers, user, model):
    providers["qwen3"].fail(504)
    body = {"model": model, "messages": [{"role": "user", "content": "one two three"}]}
    answer = gateway.http.post("/v1/chat/completions", json=body, headers={"x-user-id": user, "x-way": "roles"})
    assert answer.status_code == 504
    assert gateway.logged(user)[0]["usage_status"] == "none"


def test_another_backend_is_asked_after_a_timeout(gateway, providers, user):
    providers["qwen3"].script({"delay_ms": 3000}, {"default": {}}, times=5)
    assert gateway.chat("two", user).status_code == 200
    assert [len(providers[name].requests()) for name in ("qwen3", "gpt-oss")] == [1, 1]
    assert gateway.logged(user)[0]["attempts"] == 2


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("way", ["direct", "roles"])
def test_connections_that_the_backend_has_ended(start_gateway, user, way, stream):
    """Two of them at once: there is one more try, on a fresh one, and the log counts them."""
    server = Impatient()
    conditions = [{"type": "Exact", "name": "x-ai-eg-model", "value": "m"}]
    if way == "roles":
        conditions.append({"type": "Exact", "name": "x-way", "value": "roles"})
    rule = {"matches": [{"headers": conditions}], "backendRefs": [{"name": "impatient"}]}
    gateway = start_gateway(
        [*resources.gateway(), *resources.backend("impatient", server.url), resources.route(rule)],
        "--concurrency",
        "1",
    )

    def ask(user):
        body = {"model": "m", "stream": stream, "messages": [{"role": "user", "content": "hi"}]}
        return gateway.http.post("/v1/chat/completions", json=body, headers={"x-user-id": user, "x-way": "roles"}).status_code

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        assert list(pool.map(ask, ["one", "two"])) == [200, 200]
    assert ask(user) == 200
    assert gateway.logged(user)[0]["attempts"] >= 2
    server.socket.close()
