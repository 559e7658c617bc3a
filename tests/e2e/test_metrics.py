"""Metrics on the admin address, as Prometheus' own parser reads them: they say what the access log says."""

import collections
import json

import httpx
import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness import providers as stand_ins
from harness import resources
from harness.process import wait_for
from harness.samples import HELLO, INPUT, OUTPUT

USAGE = "gen_ai_client_token_usage_token"
DURATION = "gen_ai_server_request_duration_seconds"
FIRST_TOKEN = "gen_ai_server_time_to_first_token_seconds"
PER_TOKEN = "gen_ai_server_time_per_output_token_seconds"
PAGES = ["/stats/prometheus", "/weir/metrics"]


@pytest.fixture(scope="module")
def gateway(shared_providers, start_gateway):
    spare = [{"name": "main", "priority": 0}, {"name": "spare", "priority": 1}]
    gateway_class, gateway = resources.gateway()
    gateway["metadata"]["annotations"] = {"weir.dev/metrics-headers": "X-Team:team, x-cost-centre:centre"}
    return start_gateway(
        [
            gateway_class,
            gateway,
            *resources.backend("qwen3", shared_providers["qwen3"].url),
            *resources.backend("main", shared_providers["main"].url),
            *resources.api_key("main", stand_ins.OPENAI_KEY),
            *resources.backend("spare", shared_providers["spare"].url),
            *resources.api_key("spare", stand_ins.SPARE_KEY),
            *resources.backend("claude", shared_providers["claude"].url, "Anthropic"),
            *resources.anthropic_key("claude", stand_ins.ANTHROPIC_KEY),
            resources.traffic(resources.budget("llm_total_token", 1_000_000)),
            resources.route(
                resources.rule("fast", {"name": "qwen3", "modelNameOverride": "Qwen/Qwen3-1.7B"}),
                resources.rule("both", *spare),
                resources.rule("claude", "claude"),
            ),
        ]
    )


class Metrics:
    """The samples of a page. Proxies know nothing of a test, so a test looks at what its own requests added."""

    def __init__(self, gateway, path):
        answer = httpx.get(gateway.admin + path, timeout=10).raise_for_status()
        assert answer.headers["content-type"].startswith("text/plain")
        self.families = {family.name: family for family in text_string_to_metric_families(answer.text)}
        self.samples = collections.Counter()
        for family in self.families.values():
            for sample in family.samples:
                key = (sample.name, frozenset(sample.labels.items()))
                assert key not in self.samples, f"{key} is there twice"
                self.samples[key] = sample.value

    def sum(self, name, **labels):
        """The sum of all samples of that name that have these labels."""
        wanted = labels.items()
        return sum(value for (known, has), value in self.samples.items() if known == name and wanted <= dict(has).items())


class Added:
    """What was added since `before`."""

    def __init__(self, gateway, path):
        self.gateway, self.path = gateway, path
        self.before = Metrics(gateway, path)

    def sum(self, name, **labels):
        return Metrics(self.gateway, self.path).sum(name, **labels) - self.before.sum(name, **labels)

    def wait(self, requests, **labels):
        """Until so many requests were added: with wasm workers tell each other every 100 ms."""
        wait_for(lambda: self.sum("weir_requests_total", **labels) >= requests)
        assert self.sum("weir_requests_total", **labels) == requests


@pytest.fixture(params=PAGES)
def added(request, gateway):
    return Added(gateway, request.param)


def test_a_whole_answer(gateway, user, added):
    gateway.openai(user).chat.completions.create(model="fast", messages=HELLO)
    labels = {
        "gen_ai_operation_name": "chat",
        "gen_ai_provider_name": "openai",
        "gen_ai_backend": "default/qwen3",
        "gen_ai_original_model": "fast",
        "gen_ai_request_model": "Qwen/Qwen3-1.7B",
        "gen_ai_response_model": "Qwen/Qwen3-1.7B",
    }
    added.wait(1, **labels)
    (record,) = gateway.logged(user)
    for kind, tokens in [("input", INPUT), ("output", OUTPUT)]:
        assert added.sum(f"{USAGE}_sum", gen_ai_token_type=kind, **labels) == tokens == record[f"{kind}_tokens"]
        assert added.sum(f"{USAGE}_count", gen_ai_token_type=kind, **labels) == 1
    assert added.sum(f"{DURATION}_count", **labels) == 1
    assert added.sum(f"{DURATION}_sum", **labels) == pytest.approx(record["duration_ms"] / 1000)
    assert added.sum(f"{FIRST_TOKEN}_count", **labels) == 0
    assert added.sum("weir_attempts_total", **labels) == 1
    assert added.sum("weir_cost_total", cost="llm_total_token", **labels) == INPUT + OUTPUT
    page = Metrics(gateway, added.path)
    assert {page.families[name].type for name in (USAGE, DURATION)} == {"histogram"}
    assert page.families["weir_requests"].type == "counter"


def test_a_translated_stream(gateway, user, added):
    client = gateway.openai(user, _strict_response_validation=False)
    list(client.chat.completions.create(model="claude", messages=HELLO, stream=True))
    labels = {"gen_ai_provider_name": "anthropic", "gen_ai_backend": "default/claude"}
    added.wait(1, **labels)
    (record,) = gateway.logged(user)
    assert record["stream"] is True
    for name in (DURATION, FIRST_TOKEN, PER_TOKEN):
        assert added.sum(f"{name}_count", **labels) == 1, name
    assert added.sum(f"{FIRST_TOKEN}_sum", **labels) == pytest.approx(record["ttft_ms"] / 1000)
    each = (record["duration_ms"] - record["ttft_ms"]) / 1000 / (record["output_tokens"] - 1)
    assert added.sum(f"{PER_TOKEN}_sum", **labels) == pytest.approx(each, abs=1e-6)


def test_a_failover(gateway, user, added, providers):
    providers["main"].fail(503)
    gateway.openai(user).chat.completions.create(model="both", messages=HELLO)
    added.wait(1, gen_ai_backend="default/spare")
    assert added.sum("weir_failovers_total", gen_ai_backend="default/main", error_type="failover") == 1
    assert added.sum("weir_requests_total", gen_ai_backend="default/main") == 0
    assert added.sum("weir_attempts_total", gen_ai_backend="default/spare") == 2


def latest(gateway, user):
    """What the page of errors has of the user, the newest first."""
    errors = httpx.get(f"{gateway.admin}/weir/errors").raise_for_status().json()["errors"]
    return [(error["status"], error["backend"], error["error"]) for error in errors if error["user"] == user]


def test_the_latest_errors_say_why(gateway, user, providers):
    for name in ("main", "spare"):
        providers[name].fail(500, error={"message": f"{name} is out of order", "type": "server_error"})
    assert gateway.chat("both", user).status_code == 500
    assert gateway.chat("unheard-of", user).status_code == 404
    records = gateway.logged(user, count=2)
    assert [record["error"].split(":")[0] for record in records] == [
        "spare is out of order",
        "the model unheard-of does not exist",
    ]
    wait_for(lambda: len(latest(gateway, user)) == 3)
    assert [(status, backend) for status, backend, _ in latest(gateway, user)] == [
        (404, ""),
        (500, "default/spare"),
        (None, "default/main"),
    ]
    assert latest(gateway, user)[2][2] == "main is out of order"


def test_a_stream_that_breaks_says_why(gateway, user, providers):
    first = {"choices": [{"index": 0, "delta": {"content": "one"}}]}
    providers["qwen3"].script(
        {"text": f"data: {json.dumps(first)}\n\n"}, headers={"content-type": "text/event-stream"}
    )
    with gateway.openai(user, _strict_response_validation=False).chat.completions.create(
        model="fast", messages=HELLO, stream=True
    ) as stream, pytest.raises(openai.APIError):
        list(stream)
    (record,) = gateway.logged(user)
    assert record["error"] == "the backend's stream ended before the answer was complete"


def test_headers_are_labels_where_somebody_asks_for_that(gateway, user, added, providers):
    client = gateway.openai(user)
    team = f"red \"{user}\""
    client.chat.completions.create(model="fast", messages=HELLO, extra_headers={"x-team": team})
    added.wait(1, gen_ai_backend="default/qwen3", team=team)
    assert added.sum(f"{USAGE}_sum", team=team, gen_ai_token_type="input") == INPUT
    long = user + "x" * 200
    client.chat.completions.create(model="fast", messages=HELLO, extra_headers={"x-team": long})
    added.wait(1, gen_ai_backend="default/qwen3", team=long[:100])
    # What was left, and what is refused.
    providers["main"].fail(503)
    client.chat.completions.create(model="both", messages=HELLO, extra_headers={"x-cost-centre": user})
    added.wait(1, gen_ai_backend="default/spare", centre=user)
    assert added.sum("weir_failovers_total", gen_ai_backend="default/main", centre=user) == 1
    gateway.http.post("/v1/chat/completions", json={"model": "none"}, headers={"x-team": user})
    added.wait(1, error_type="404", team=user)
    page = Metrics(gateway, added.path)
    assert user not in {value for _, labels in page.samples for name, value in labels if name not in ("team", "centre")}


def test_errors(gateway, user, added):
    assert gateway.chat("unheard-of", user).status_code == 404
    labels = {"gen_ai_original_model": "unheard-of", "error_type": "404"}
    added.wait(1, **labels)
    assert added.sum("weir_requests_total", gen_ai_provider_name="unknown", **labels) == 1
    assert added.sum(f"{DURATION}_count", **labels) == 0


def test_many_requests_of_all_workers_are_all_there(gateway, user, added):
    requests = 60
    client = gateway.openai(user)
    for _ in range(requests):
        client.chat.completions.create(model="fast", messages=HELLO)
    added.wait(requests, gen_ai_backend="default/qwen3")
    assert added.sum(f"{USAGE}_sum", gen_ai_token_type="input", gen_ai_backend="default/qwen3") == requests * INPUT
    assert added.sum(f"{DURATION}_bucket", le="+Inf", gen_ai_backend="default/qwen3") == requests


def test_the_proxys_own_metrics_are_before_them(gateway):
    page = Metrics(gateway, "/stats/prometheus")
    assert "envoy_server_live" in page.families
    assert Metrics(gateway, "/weir/metrics").families.keys() < page.families.keys()
    post = httpx.post(f"{gateway.admin}/weir/metrics")
    assert (post.status_code, post.json()) == (405, {"message": "/weir/metrics takes GET"})
    assert httpx.get(f"{gateway.admin}/stats?format=json").json()


def test_how_credentials_stand(gateway, added):
    """The Secret of the provider behind `main` is there; nobody knows when it expires."""
    (name,) = {
        value
        for sample, labels in Metrics(gateway, added.path).samples
        if sample == "weir_credential_available"
        for label, value in labels
        if label == "credential" and "main" in value
    }
    wait_for(lambda: Metrics(gateway, added.path).sum("weir_credential_available", credential=name) == 1)
    page = Metrics(gateway, added.path)
    assert page.sum("weir_credential_failures", credential=name) == 0
    assert page.families["weir_credential_available"].type == "gauge"
    assert not page.families["weir_credential_expiry_timestamp_seconds"].samples
    assert stand_ins.OPENAI_KEY not in str(page.samples)
