"""The filter under Envoy Gateway's server, in all the ways it gets there: what is rendered serves, from end to end."""

import json
import sys

import pytest

from envoy_gateway import rendered, tools
from envoy_gateway.namespace import network
from envoy_gateway.registry import Registry
from envoy_gateway.standalone import REDIS, EnvoyGateway
from harness import providers as stand_ins
from harness import resources
from harness.process import Process, wait_for
from harness.samples import HELLO, TOTAL, sentence, text_of

#: So many tokens an hour; a request takes 25.
LIMIT = 60
QWEN = "Qwen/Qwen3-1.7B"
FAILOVER = "with-a-spare"
POD = "by-the-pods-identity"


@pytest.fixture(scope="module")
def providers():
    with network():
        running = stand_ins.start_all()
        redis = Process(["redis-server", "--port", REDIS, "--save", "", "--appendonly", "no"])
        yield running
        redis.stop()
        running.stop()


@pytest.fixture(autouse=True)
def clean(providers):
    providers.clear()


def module(directory):
    """In the proxy's file system."""
    return rendered.MODULE, None, None


def with_records(manifest, state):
    """The same, with a proxy that writes the record of each request to its log."""
    gateway = rendered.named(manifest, "Gateway", "weir")
    reference = {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": "proxy"}
    gateway["spec"]["infrastructure"] = {"parametersRef": reference}
    sink = {"type": "File", "file": {"path": "/dev/stdout"}}
    line = {"type": "Text", "text": f"record %FILTER_STATE({state}:PLAIN)%\n"}
    telemetry = {"accessLog": {"settings": [{"format": line, "sinks": [sink]}]}}
    manifest.append(resources.resource(resources.ENVOY, "EnvoyProxy", "proxy", {"telemetry": telemetry}))


def by_url(directory):
    """By Envoy Gateway from a web server."""
    command = [sys.executable, "-m", "http.server", "8000", "--bind", "127.0.0.1"]
    digest = tools.sha256(tools.WASM)
    options = ("--filter", "wasm", "--wasm-url", f"http://127.0.0.1:8000/{tools.WASM.name}", "--wasm-sha256", digest)
    options += ("--envoy-image", "registry.example/envoy-weir:1.40.0")
    return options, Process(command, cwd=tools.WASM.parent), None


def by_image(directory):
    """By Envoy Gateway from a registry."""
    registry = Registry(directory)
    digest = registry.push("weir", "test", tools.WASM)
    image = f"{registry.address}/weir:test"
    options = ("--filter", "wasm", "--wasm-image", image, "--wasm-sha256", digest, "--wasm-volume")
    return options, registry, None


def by_an_older_one(directory):
    """By the oldest Envoy Gateway that takes it."""
    options, source, _ = by_image(directory)
    return (*options, "--envoy-gateway-version", tools.OLDEST), source, tools.older_server(tools.OLDEST)


WAYS = {"module": module, "wasm-url": by_url, "wasm-image": by_image}
if tools.older_server(tools.OLDEST):
    WAYS["oldest"] = by_an_older_one


@pytest.fixture(scope="module", params=WAYS.values(), ids=WAYS.keys())
def gateway(request, providers, tmp_path_factory):
    directory = tmp_path_factory.mktemp("envoy-gateway")
    manifest = resources.standard(providers)
    rules = manifest[-1]["spec"]["rules"]
    token = directory / "pod-identity-token"
    token.write_text("pod-token-1\n")
    identity = {"url": providers["pod-identity"].url, "token": token}
    rules.append(resources.rule(FAILOVER, "qwen3", {"name": "main", "priority": 1}))
    with_records(manifest, "weir.record" if request.param is module else "wasm.weir.record")
    if request.param is module:
        manifest += resources.backend("pod", providers["bedrock"].url, "AWSAnthropic", "bedrock-2023-05-31")
        manifest += resources.aws_default("pod")
        rules.append(resources.rule(POD, {"name": "pod", "modelNameOverride": resources.CLAUDE}))
    by_model = resources.budget("llm_total_token", LIMIT)
    by_model["clientSelectors"][0]["headers"].append({"name": "x-ai-eg-model", "type": "Distinct"})
    manifest.append(resources.traffic(by_model))
    options, source, server = request.param(directory)
    documents = rendered.render(directory, manifest, *options)
    secrets = rendered.of_kind(manifest, "Secret")
    running = EnvoyGateway(directory, documents, secrets, limits=True, identity=identity, server=server)
    try:
        yield running.wait()
    finally:
        running.stop()
        if source:
            source.stop()


def test_a_model_decides_where_a_request_goes(gateway, providers, user):
    for model, provider in ((QWEN, "qwen3"), ("openai/gpt-oss-20b", "gpt-oss"), ("keyed", "main")):
        answer = gateway.chat(model, user)
        assert answer.status_code == 200, answer.text
        (request,) = providers[provider].requests()
        steering = [name for name in request["headers"] if name.startswith(("x-weir-", "x-ai-eg-"))]
        assert steering == []


def test_a_client_cannot_name_the_backend(gateway, providers, user):
    forged = {"x-weir-cluster": "default/main", "x-weir-unpatched": "", "x-ai-eg-model": "keyed", "x-user-id": user}
    answer = gateway.http.post("/v1/chat/completions", json={"model": QWEN, "messages": HELLO}, headers=forged)
    assert answer.status_code == 200
    assert len(providers["qwen3"].requests()) == 1 and not providers["main"].requests()
    # Not a path of the gateway's: the route that the headers name must not take it either.
    assert gateway.http.get("/metrics", headers=forged).status_code == 404
    assert not providers["main"].requests()


def test_openais_client_speaks_with_claude_on_bedrock(gateway, user):
    """Translated and signed: the stand-in checks the signature."""
    completion = gateway.openai(user).chat.completions.create(model=resources.CLAUDE, messages=HELLO)
    assert completion.choices[0].message.content == sentence("bedrock")


def test_the_identity_of_the_pod_signs(gateway, user):
    """The token is a file that EKS puts into the pod; the answer of its endpoint is what signs."""
    if POD not in [model.id for model in gateway.openai().models.list()]:
        pytest.skip("wasm cannot read the token of the pod")
    # Credentials are fetched after the start.
    answer = wait_for(lambda: answer_of(gateway, POD, user, 200), 20, 0.5, what="an answer")
    assert answer.json()["choices"][0]["message"]["content"] == sentence("bedrock")


def answer_of(gateway, model, user, status):
    """An answer, if it has this status."""
    answer = gateway.chat(model, user)
    return answer if answer.status_code == status else None


def test_a_stream_comes_through(gateway, user):
    stream = gateway.openai(user).chat.completions.create(model=resources.CLAUDE, messages=HELLO, stream=True)
    assert text_of(list(stream)) == sentence("bedrock")


def test_anthropics_client_is_served_too(gateway, user):
    for model, provider in (("claude-native", "claude"), (resources.CLAUDE, "bedrock")):
        message = gateway.anthropic(user).messages.create(model=model, max_tokens=50, messages=HELLO)
        assert message.content[0].text == sentence(provider)


def test_the_next_backend_is_asked_when_one_fails(gateway, providers, user):
    providers["qwen3"].fail(503)
    answer = gateway.chat(FAILOVER, user)
    assert answer.status_code == 200, answer.text
    assert len(providers["qwen3"].requests()) == 1
    (request,) = providers["main"].requests()
    assert request["headers"]["authorization"] == f"Bearer {stand_ins.OPENAI_KEY}"


@pytest.mark.parametrize("size", [40_000, 3_000_000])
@pytest.mark.parametrize("model", [QWEN, resources.CLAUDE])
def test_a_large_prompt_is_no_413(gateway, model, size, user):
    content = "word " * (size // 5)
    answer = gateway.chat(model, user, messages=[{"role": "user", "content": content}])
    assert answer.status_code == 200, answer.text


def test_the_record_of_a_request_is_in_the_proxys_log(gateway, providers, user):
    providers["qwen3"].fail(503)
    assert gateway.chat(FAILOVER, user).status_code == 200

    def records():
        lines = [line for line in gateway.process.output.splitlines() if line.startswith("record {")]
        found = [json.loads(line.removeprefix("record ")) for line in lines]
        return [record for record in found if record.get("user") == user]

    (record,) = wait_for(records, 15, what="the record")
    assert (record["backend"], record["attempts"], record["total_tokens"]) == ("default/main", 2, TOTAL)


def test_a_large_prompt_goes_to_the_next_backend(gateway, providers, user):
    providers["qwen3"].fail(503)
    answer = gateway.chat(FAILOVER, user, messages=[{"role": "user", "content": "word " * 600_000}])
    assert answer.status_code == 200, answer.text


def test_a_budget_is_charged_and_then_refuses(gateway, user):
    """It counts each model of a user: the route removes the model's header, and it is charged by all the same."""
    answers = [gateway.chat(QWEN, user) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    # An answer is charged when it is done, which its client may see first.
    refused = wait_for(lambda: answer_of(gateway, QWEN, user, 429), 10, 0.5, what="a refusal")
    assert "budget" in refused.json()["error"]["message"]
    assert gateway.chat("openai/gpt-oss-20b", user).status_code == 200
    assert gateway.chat(QWEN, f"{user}-2").status_code == 200


def test_an_unknown_model_is_a_404_in_the_clients_words(gateway, user):
    answer = gateway.chat("nobody", user)
    assert answer.status_code == 404
    assert "the model nobody does not exist" in answer.json()["error"]["message"]


def test_models_are_listed(gateway):
    models = [model.id for model in gateway.openai().models.list()]
    assert "keyed" in models and QWEN in models
