"""Token budgets per user, with the ratelimit service and Redis and without them: the answers are the same."""

import hashlib
import re
import socket
import time

import anthropic
import httpx
import openai
import pytest

from harness import resources
from harness.gateway import new_user
from harness.ports import free_port
from harness.process import Process, wait_for
from harness.resources import CLAUDE, budget
from harness.samples import HELLO, TOTAL

QWEN = "Qwen/Qwen3-1.7B"
#: Two answers fit, the third goes over: it is served, since a look costs nothing, and the fourth is refused.
BUDGET = 2 * TOTAL + 10
SERVED = 3


def limited(running, *rules):
    return [*resources.standard(running), resources.traffic(*rules)]


@pytest.fixture(scope="module", params=["local", "redis"])
def gateway(request, shared_providers, start_gateway):
    redis = request.getfixturevalue("redis") if request.param == "redis" else None
    manifest = limited(shared_providers, budget("llm_total_token", BUDGET))
    for each in manifest:
        if (each["kind"], each["metadata"]["name"]) == ("AIServiceBackend", "gpt-oss"):
            each["spec"]["headerMutation"] = {"remove": ["x-user-id"]}
    return start_gateway(manifest, redis=redis)


def use_up(gateway, user, send):
    """Sends until the budget is used up; the refusal. Each answer is waited for: it is charged when it is done."""
    for served in range(SERVED):
        answer = send()
        assert answer.status_code == 200, f"request {served + 1}: {answer.text}"
        gateway.logged(user, served + 1)
        time.sleep(0.1)
    return send()


def test_a_budget_that_is_used_up(gateway, user):
    answer = use_up(gateway, user, lambda: gateway.chat(QWEN, user))
    assert answer.status_code == 429
    error = answer.json()["error"]
    assert error["message"]
    assert error["type"]
    assert 1 <= int(answer.headers["retry-after"]) <= 3600
    assert answer.headers["x-ratelimit-limit"].startswith(str(BUDGET))
    assert answer.headers["x-ratelimit-remaining"] == "0"
    assert 1 <= int(answer.headers["x-ratelimit-reset"]) <= 3600


def test_what_is_left_is_said(gateway, user):
    gateway.chat(QWEN, user)
    gateway.logged(user)
    time.sleep(0.1)
    assert gateway.chat(QWEN, user).headers["x-ratelimit-remaining"] == str(BUDGET - TOTAL)


def test_anthropics_client(gateway, user):
    # A rule counts for each route, so the model is the same.
    use_up(gateway, user, lambda: gateway.chat(CLAUDE, user))
    with pytest.raises(anthropic.RateLimitError) as caught:
        gateway.anthropic(user).messages.create(model=CLAUDE, max_tokens=5, messages=HELLO)
    assert caught.value.body["type"] == "error"
    assert caught.value.body["error"]["type"] == "rate_limit_error"
    assert int(caught.value.response.headers["retry-after"]) >= 1


def test_openais_client(gateway, user):
    use_up(gateway, user, lambda: gateway.chat(QWEN, user))
    with pytest.raises(openai.RateLimitError):
        gateway.openai(user).chat.completions.create(model=QWEN, messages=HELLO)


def test_streams_are_charged(gateway, user):
    assert use_up(gateway, user, lambda: gateway.chat(QWEN, user, stream=True)).status_code == 429


def test_more_than_can_be_counted_is_charged(gateway, providers, user):
    usage = {"prompt_tokens": 2**32, "completion_tokens": 2**33, "total_tokens": 2**32 + 2**33}
    answer = {"choices": [{"message": {"content": "x"}}], "usage": usage}
    providers["qwen3"].script({"json": answer}, headers={"content-type": "application/json"})
    assert gateway.chat(QWEN, user).status_code == 200
    assert gateway.logged(user)[0]["total_tokens"] == 2**32 + 2**33
    time.sleep(0.1)
    assert gateway.chat(QWEN, user).status_code == 429


def test_translated_answers_are_charged(gateway, user):
    assert use_up(gateway, user, lambda: gateway.chat(CLAUDE, user, stream=True)).status_code == 429


def test_a_refused_request_reaches_no_provider(gateway, providers, user):
    use_up(gateway, user, lambda: gateway.chat(QWEN, user))
    assert len(providers["qwen3"].requests()) == SERVED


def test_another_user_has_a_budget_of_their_own(gateway, user):
    assert use_up(gateway, user, lambda: gateway.chat(QWEN, user)).status_code == 429
    assert gateway.chat(QWEN, new_user()).status_code == 200


def test_a_backend_that_must_not_see_the_user(gateway, providers, user):
    """What a backend is to see does not decide who is charged."""
    assert use_up(gateway, user, lambda: gateway.chat("openai/gpt-oss-20b", user)).status_code == 429
    received = providers["gpt-oss"].requests()
    assert len(received) == SERVED and not any("x-user-id" in request["headers"] for request in received)


def test_who_is_nobody_has_no_budget(gateway):
    for _ in range(SERVED + 2):
        assert gateway.chat(QWEN).status_code == 200


@pytest.fixture(scope="module", params=["local", "redis"])
def strict_gateway(request, shared_providers, start_gateway):
    redis = request.getfixturevalue("redis") if request.param == "redis" else None
    manifest = limited(shared_providers, budget("llm_total_token", BUDGET))
    manifest[-1]["metadata"]["annotations"] = {"weir.dev/require-identity": "true"}
    return start_gateway(manifest, redis=redis)


@pytest.mark.parametrize("model", [QWEN, CLAUDE])
def test_who_is_nobody_is_refused_where_the_policy_says_so(strict_gateway, providers, model, user):
    """What `connection` names, Envoy removes before any filter sees it: so nobody can become nobody."""
    assert strict_gateway.chat(model, user).status_code == 200
    before = len(providers["qwen3"].requests()) + len(providers["bedrock"].requests())
    for headers in ({}, {"x-user-id": ""}, {"x-user-id": user, "connection": "x-user-id"}):
        body = {"model": model, "max_tokens": 5, "messages": HELLO}
        answer = strict_gateway.http.post("/v1/chat/completions", json=body, headers=headers)
        assert answer.status_code == 400, headers
        assert "the header x-user-id is missing" in answer.json()["error"]["message"]
    assert len(providers["qwen3"].requests()) + len(providers["bedrock"].requests()) == before


def test_what_cannot_be_sent_counts_in_no_budget_of_requests(shared_providers, start_gateway, redis, user):
    """Also where the ratelimit service is asked before the attempt that finds out."""
    per_user = {"headers": [{"name": "x-user-id", "type": "Distinct"}]}
    rule = {"clientSelectors": [per_user], "limit": {"requests": 2, "unit": "Hour"}}
    manifest = [*resources.standard(shared_providers), resources.traffic(rule)]
    gateway = start_gateway(manifest, redis=redis)
    headers = {"x-user-id": user}
    wrong = {"model": QWEN, "max_tokens": 5, "messages": HELLO}
    cannot = {"model": CLAUDE, "stream": True, "messages": [{"role": "nobody", "content": "x"}]}
    for _ in range(3):
        assert gateway.http.post("/anthropic/v1/messages/count_tokens", json=wrong, headers=headers).status_code == 422
        assert gateway.http.post("/v1/chat/completions", json=cannot, headers=headers).status_code == 422
    for model in (QWEN, CLAUDE):
        answers = [gateway.chat(model, user, max_tokens=5).status_code for _ in range(3)]
        assert answers == [200, 200, 429], model


def test_nobody_is_somebody_new_by_saying_it_twice(gateway, user):
    assert use_up(gateway, user, lambda: gateway.chat(QWEN, user)).status_code == 429
    twice = [("x-user-id", user), ("x-user-id", user)]
    answer = gateway.http.post("/v1/chat/completions", json={"model": QWEN, "messages": HELLO}, headers=twice)
    assert answer.status_code == 400
    assert "x-user-id" in answer.json()["error"]["message"]


def test_a_long_name_has_a_budget_and_is_nowhere_itself(request, gateway):
    name = new_user() + "x" * 20_000
    digest = f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"
    for count in range(1, SERVED + 1):
        assert gateway.chat(QWEN, name).status_code == 200
        gateway.logged(digest, count)
        time.sleep(0.1)
    assert gateway.chat(QWEN, name).status_code == 429
    if request.node.callspec.params["gateway"] == "redis":
        keys = redis_keys(request.getfixturevalue("redis"))
        assert digest.encode() in keys and b"xxxx" not in keys


def redis_keys(address):
    """All keys of a Redis, as it writes them."""
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), 5) as connection:
        connection.sendall(b"KEYS *\r\nQUIT\r\n")
        keys = b""
        while more := connection.recv(65536):
            keys += more
    return keys


def test_an_error_costs_nothing(gateway, providers, user):
    providers["qwen3"].fail(400, times=5)
    for _ in range(5):
        assert gateway.chat(QWEN, user).status_code == 400
    assert use_up_after(gateway, user, 5).status_code == 429


#: Each answer costs what may be used, and one model costs nothing. The other has no value, so that all tokens count.
PRICED = f"model != '{QWEN}' ? 0u : backend == 'qwen3.default' && total_tokens > 0u ? 100u : 1u"
UNPRICED = "total_tokens == 0u ? 0u : 1u - total_tokens"


@pytest.mark.parametrize(("expression", "limit"), [(PRICED, 250), (UNPRICED, BUDGET)])
def test_a_cost_is_what_an_expression_says(shared_providers, start_gateway, redis, user, expression, limit):
    """With Redis: there Envoy charges, with what the filter tells it."""
    manifest = limited(shared_providers, budget("llm_total_token", limit))
    for each in manifest:
        if each["kind"] == "AIGatewayRoute":
            costs = [cost for cost in each["spec"]["llmRequestCosts"] if cost["metadataKey"] != "llm_total_token"]
            each["spec"]["llmRequestCosts"] = [*costs, resources.cost("llm_total_token", expression)]
    gateway = start_gateway(manifest, redis=redis)
    if expression == PRICED:
        for count in range(4):
            assert gateway.chat("openai/gpt-oss-20b", user).status_code == 200
            gateway.logged(user, count + 1)
        assert use_up_after(gateway, user, 4).status_code == 429
        return
    assert use_up_after(gateway, user, 0).status_code == 429
    assert "llm_total_token" in gateway.process.output and "is all its tokens" in gateway.process.output


def use_up_after(gateway, user, before):
    for served in range(SERVED):
        assert gateway.chat(QWEN, user).status_code == 200
        gateway.logged(user, before + served + 1)
        time.sleep(0.1)
    return gateway.chat(QWEN, user)


@pytest.fixture(scope="module", params=["local", "redis"])
def several(request, shared_providers, start_gateway):
    """Budgets of several kinds at once."""
    redis = request.getfixturevalue("redis") if request.param == "redis" else None
    requests = {
        "clientSelectors": [{"headers": [{"name": "x-team", "type": "Distinct"}]}],
        "limit": {"requests": 2, "unit": "Minute"},
    }
    one_model = {
        "clientSelectors": [
            {
                "headers": [
                    {"name": "x-user-id", "type": "Distinct"},
                    {"name": "x-ai-eg-model", "type": "Exact", "value": "openai/gpt-oss-20b"},
                ]
            }
        ],
        "limit": {"requests": 1, "unit": "Hour"},
    }
    rules = [budget("llm_input_token", 1000), budget("llm_output_token", 30), requests, one_model]
    return start_gateway(limited(shared_providers, *rules), redis=redis)


def test_the_smallest_budget_decides(several, user):
    for count in (1, 2):
        assert several.chat(QWEN, user).status_code == 200
        several.logged(user, count)
        time.sleep(0.1)
    assert several.chat(QWEN, user).status_code == 429


def test_requests_are_counted_where_no_cost_is_named(several):
    team = {"x-team": new_user()}
    body = {"model": QWEN, "messages": HELLO}
    statuses = [several.http.post("/v1/chat/completions", json=body, headers=team).status_code for _ in range(3)]
    # A window of a minute may end between two requests.
    if statuses == [200, 200, 200]:
        statuses = [
            several.http.post("/v1/chat/completions", json=body, headers=team).status_code for _ in range(3)
        ]
    assert statuses[-1] == 429


@pytest.mark.parametrize("with_redis", [False, True], ids=["local", "redis"])
def test_tokens_of_one_model(shared_providers, start_gateway, redis, with_redis, user):
    rule = budget("llm_total_token", BUDGET)
    rule["clientSelectors"][0]["headers"].append({"name": "x-ai-eg-model", "type": "Exact", "value": QWEN})
    gateway = start_gateway(limited(shared_providers, rule), redis=redis if with_redis else None)
    assert use_up(gateway, user, lambda: gateway.chat(QWEN, user)).status_code == 429
    assert gateway.chat(CLAUDE, user).status_code == 200


def test_a_budget_for_one_model(several, user):
    assert several.chat("openai/gpt-oss-20b", user).status_code == 200
    assert several.chat("openai/gpt-oss-20b", user).status_code == 429
    assert several.chat(QWEN, user).status_code == 200


def test_traffic_passes_while_redis_is_down(shared_providers, start_gateway, redis, tmp_path, user):
    port = free_port()
    command = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", ""]
    own = Process(command, cwd=tmp_path)
    own.wait_line("eady to accept", 10)
    gateway = start_gateway(
        limited(shared_providers, budget("llm_total_token", BUDGET)), redis=f"127.0.0.1:{port}"
    )
    assert gateway.chat(QWEN, user).status_code == 200
    own.kill()
    for _ in range(SERVED + 2):
        assert gateway.chat(QWEN, user).status_code == 200
    gateway.process.wait_line("the ratelimit service or Redis does not answer", 10)
    counted = httpx.get(f"{gateway.admin}/stats/prometheus").text
    assert re.search(r"ratelimit_error\{[^}]*\} [1-9]", counted)
    # Redis comes back: budgets hold again.
    own = Process(command, cwd=tmp_path)
    try:
        own.wait_line("eady to accept", 10)

        def refused():
            return gateway.chat(QWEN, user).status_code == 429

        wait_for(refused, 20, pause=0.3, what="a refusal after Redis is back")

        def told():
            gateway.chat(QWEN, user)
            return "the ratelimit service answers again" in gateway.process.output

        wait_for(told, 15, pause=0.3, what="the end of the outage")
    finally:
        own.stop()


def test_traffic_is_refused_while_redis_is_down_if_asked(shared_providers, start_gateway, redis, tmp_path, user):
    port = free_port()
    own = Process(["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", ""], cwd=tmp_path)
    own.wait_line("eady to accept", 10)
    manifest = limited(shared_providers, budget("llm_total_token", BUDGET))
    gateway = start_gateway(manifest, "--rate-limit-fail-closed", redis=f"127.0.0.1:{port}")
    assert gateway.chat(QWEN, user).status_code == 200
    own.kill()
    answer = wait_for(
        lambda: (answer := gateway.chat(QWEN, user)).status_code != 200 and answer, 10, what="a refusal"
    )
    assert answer.status_code in (500, 503)
    assert answer.json()["error"]["message"]
