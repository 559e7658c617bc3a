"""What `weir render --to istio` writes, taken by the real Istiod and carried out by the real Envoy."""

import contextlib
import json
import socket
import time

import httpx
import openai
import pytest

from harness import providers as stand_ins
from harness import resources
from harness.gateway import new_user
from harness.identity import Identity
from harness.process import Process, wait_for
from harness.resources import CLAUDE, budget
from harness.samples import HELLO, INPUT, OUTPUT, TOTAL, sentence, text_of
from istio import mesh

QWEN = "Qwen/Qwen3-1.7B"
#: Two answers fit, the third goes over: it is served, since a look costs nothing, and the fourth is refused.
BUDGET = 2 * TOTAL + 10


@pytest.fixture(scope="module")
def shared_providers():
    running = stand_ins.start_all()
    yield running
    running.stop()


@pytest.fixture
def providers(shared_providers):
    shared_providers.clear()
    return shared_providers


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Starts gateways that live as long as the module."""
    started = []

    def start(manifest, *options, **named):
        gateway = mesh.Gateway(tmp_path_factory.mktemp("gateway"), manifest, *options, **named)
        started.append(gateway)
        return gateway

    yield start
    for gateway in started:
        gateway.close()


def plain_route(path, backend):
    reference = {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": f"{backend}-endpoint"}
    rule = {"matches": [{"path": {"type": "PathPrefix", "value": path}}], "backendRefs": [reference]}
    spec = {"parentRefs": [{"name": "weir"}], "rules": [rule]}
    return resources.resource(resources.GATEWAY, "HTTPRoute", "plain", spec)


def one_place(running):
    """Every model has one place to go to: the filter stands in the listener's chain only."""
    return [*resources.standard(running), resources.traffic(budget("llm_total_token", BUDGET))]


def several_places(running):
    """A model with two backends; and a plain route, beside which no model goes a direct way."""
    backends = [{"name": "main", "priority": 0}, {"name": "bedrock", "priority": 1}]
    return [
        *one_place(running),
        resources.route(resources.rule("either", *backends), name="several"),
        plain_route("/files", "gpt-oss"),
    ]


MANIFESTS = {"one-place": one_place, "several-places": several_places}


@pytest.fixture(scope="module", params=MANIFESTS)
def gateway(request, shared_providers, start):
    return start(MANIFESTS[request.param](shared_providers))


@pytest.fixture(scope="module")
def failover(shared_providers, start):
    return start(several_places(shared_providers))


@pytest.fixture(params=MANIFESTS)
def manifest(request, shared_providers):
    return MANIFESTS[request.param](shared_providers)


def bodies(provider):
    return [json.loads(request["body"]) for request in provider.requests()]


@pytest.mark.parametrize("options", [(), ("--rate-limit-service", "ratelimit.default:8081")], ids=["local", "service"])
def test_istioctl_finds_no_fault(manifest, tmp_path, options):
    mesh.render(tmp_path, manifest, *options)
    assert mesh.validate(tmp_path / "istio" / "istio.yaml") == []


def test_istioctl_would_find_a_fault(manifest, tmp_path):
    mesh.render(tmp_path, manifest)
    file = tmp_path / "istio" / "istio.yaml"
    file.write_text(file.read_text().replace("allow_on_headers_stop_iteration", "allow_no_such_thing"))
    assert any("allow_no_such_thing" in fault for fault in mesh.validate(file))


def test_no_secret_is_written(manifest, tmp_path):
    mesh.render(tmp_path, manifest)
    written = "".join(file.read_text() for file in (tmp_path / "istio").iterdir())
    keys = [stand_ins.OPENAI_KEY, stand_ins.ANTHROPIC_KEY, stand_ins.AWS_KEY["secret_access_key"]]
    assert [key for key in keys if key in written] == []


def test_a_model_is_routed_by_its_name(gateway, providers):
    for model, provider in [(QWEN, "qwen3"), ("openai/gpt-oss-20b", "gpt-oss")]:
        answer = gateway.openai(new_user()).chat.completions.create(model=model, messages=HELLO)
        assert answer.choices[0].message.content == sentence(provider)
        [request] = providers[provider].requests()
        headers = {name for name, _ in request["headers"].items()}
        assert not {name for name in headers if name.startswith(("x-ai-eg-", "x-weir-"))}


def test_a_key_comes_from_the_pods_environment(gateway, providers):
    assert gateway.chat("keyed", new_user()).status_code == 200
    assert providers["main"].requests()[0]["headers"]["authorization"] == f"Bearer {stand_ins.OPENAI_KEY}"


@pytest.mark.parametrize("stream", [False, True])
def test_claude_on_bedrock(gateway, providers, stream):
    # The stand-in verifies the signature.
    answer = gateway.openai(new_user()).chat.completions.create(model=CLAUDE, messages=HELLO, stream=stream)
    if stream:
        assert text_of(list(answer)) == sentence("bedrock")
    else:
        assert answer.choices[0].message.content == sentence("bedrock")
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (INPUT, OUTPUT)


def test_anthropics_client(gateway, providers):
    for model, provider in [("claude-native", "claude"), (CLAUDE, "bedrock")]:
        answer = gateway.anthropic(new_user()).messages.create(model=model, max_tokens=50, messages=HELLO)
        assert answer.content[0].text == sentence(provider)


def test_a_stream_arrives_as_it_is_written(gateway, providers):
    half = {"choices": [{"index": 0, "delta": {"content": "half"}}]}
    providers["qwen3"].script(
        {"text": f"data: {json.dumps(half)}\n\n"},
        {"delay_ms": 1500},
        {"text": "data: [DONE]\n\n"},
        headers={"content-type": "text/event-stream"},
    )
    body = {"model": QWEN, "messages": HELLO, "stream": True}
    with gateway.http.stream("POST", "/v1/chat/completions", json=body) as answer:
        came = [(line, time.monotonic()) for line in answer.iter_lines() if line]
    assert "half" in came[0][0] and came[-1][0] == "data: [DONE]"
    assert came[-1][1] - came[0][1] > 1


def test_a_prompt_of_three_megabytes(gateway, providers):
    prompt = "weir " * 600_000
    answer = gateway.chat(QWEN, new_user(), messages=[{"role": "user", "content": prompt}])
    assert answer.status_code == 200, answer.text
    assert bodies(providers["qwen3"])[0]["messages"][0]["content"] == prompt


@pytest.mark.parametrize("api", ["openai", "anthropic"])
def test_an_unknown_model(gateway, api):
    if api == "openai":
        answer = gateway.chat("nobody")
    else:
        body = {"model": "nobody", "max_tokens": 5, "messages": HELLO}
        answer = gateway.http.post("/anthropic/v1/messages", json=body)
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert "nobody" in error["message"]
    assert error["type"] == {"openai": "invalid_request_error", "anthropic": "not_found_error"}[api]


def test_the_list_of_models(gateway):
    assert {model.id for model in gateway.openai().models.list()} >= {QWEN, CLAUDE}


def test_a_plain_route(failover, providers):
    for path in ["/files", "/files/a", "/filesystem"]:
        failover.http.get(path)
    assert [request["path"] for request in providers["gpt-oss"].requests()] == ["/files", "/files/a"]


def test_what_the_client_says_of_ways_counts_for_nothing(gateway, providers):
    headers = {"x-ai-eg-model": QWEN, "x-weir-cluster": "qwen3.default.weir.internal:80"}
    body = {"model": "nobody", "messages": HELLO}
    assert gateway.http.post("/v1/chat/completions", json=body, headers=headers).status_code == 404
    assert providers["qwen3"].requests() == []


def test_the_next_backend_answers_when_the_first_fails(failover, providers):
    """It has another API and other credentials."""
    providers["main"].fail(503)
    answer = failover.openai(new_user()).chat.completions.create(model="either", messages=HELLO)
    assert answer.choices[0].message.content == sentence("bedrock")
    [request] = providers["bedrock"].requests()
    assert stand_ins.OPENAI_KEY not in json.dumps(request)
    answer = failover.openai(new_user()).chat.completions.create(model="either", messages=HELLO, stream=True)
    assert text_of(list(answer)) == sentence("main")


def test_a_budget(gateway, providers):
    user = new_user()
    assert use_up(gateway, user, providers["qwen3"]) == [200, 200, 200, 429]
    with pytest.raises(openai.RateLimitError):
        gateway.openai(user).chat.completions.create(model=QWEN, messages=HELLO)
    assert gateway.chat(QWEN, new_user()).status_code == 200


def test_a_budget_in_the_ratelimit_service(providers, start, tmp_path):
    service = mesh.RateLimit(tmp_path)
    try:
        manifest = several_places(providers)
        gateway = start(manifest, "--rate-limit-service", f"127.0.0.1:{service.port}")
        service.start(mesh.config_map(gateway.documents, "weir-ratelimit"))
        user = new_user()
        assert use_up(gateway, user, providers["qwen3"]) == [200, 200, 200, 429]
        with pytest.raises(openai.RateLimitError):
            gateway.openai(user).chat.completions.create(model=QWEN, messages=HELLO)
    finally:
        service.stop()


def test_a_limit_of_each_proxy(shared_providers, start):
    selector = {"headers": [{"name": "x-user-id", "type": "Distinct"}]}
    rule = {"clientSelectors": [selector], "limit": {"requests": 2, "unit": "Hour"}}
    policy = resources.traffic(rateLimit={"type": "Local", "local": {"rules": [rule]}})
    gateway = start([*resources.standard(shared_providers), policy])
    user = new_user()
    assert [gateway.chat(QWEN, user).status_code for _ in range(3)] == [200, 200, 429]
    with pytest.raises(openai.RateLimitError):
        gateway.openai(user).chat.completions.create(model=QWEN, messages=HELLO)
    assert gateway.chat(QWEN, new_user()).status_code == 200


def test_a_pods_identity(shared_providers, start, tmp_path):
    manifest = [
        *resources.gateway(),
        *resources.backend("bedrock", shared_providers["bedrock"].url, "AWSAnthropic", "bedrock-2023-05-31"),
        *resources.aws_default("bedrock"),
        resources.route(resources.rule(CLAUDE, "bedrock")),
    ]
    documents, values = mesh.render(tmp_path, manifest)
    token = tmp_path / "token"
    token.write_text("pod-token-1")
    eks = "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount"
    assert values["volumeMounts"][0]["mountPath"] == "/etc/weir"
    for name, text in mesh.config_map(documents, "weir-pod-identity").items():
        (tmp_path / name).write_text(text.replace(f"{eks}/eks-pod-identity-token", str(token)).replace(eks, str(tmp_path)))
    agent = shared_providers["pod-identity"]
    gateway = start(
        manifest,
        elsewhere={
            '"address": "169.254.170.23", "port_value": 80': f'"address": "127.0.0.1", "port_value": {agent.port}',
            "/etc/weir": str(tmp_path),
        },
        # As EKS tells a pod that has an identity.
        env={"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials"},
    )
    answer = gateway.openai(new_user()).chat.completions.create(model=CLAUDE, messages=HELLO)
    assert answer.choices[0].message.content == sentence("bedrock")
    assert agent.requests()[-1]["headers"]["authorization"] == "pod-token-1"


def test_googles_metadata_server(start):
    """Of workload identity on GKE."""
    project = ("--google-project", stand_ins.GOOGLE_PROJECT)
    backend = stand_ins.Providers("--vertex", "vertex=0", *project, names=["vertex"])
    google = {"projectName": stand_ins.GOOGLE_PROJECT, "region": stand_ins.GOOGLE_REGION}
    manifest = [
        *resources.gateway(),
        *resources.backend("vertex", backend["vertex"].url, "GCPVertexAI"),
        resources.security("vertex-auth", "vertex", type="GCPCredentials", gcpCredentials=google),
        resources.route(resources.rule("gemini", {"name": "vertex", "modelNameOverride": "gemini-3-flash-preview"})),
    ]
    with contextlib.ExitStack() as running:
        running.callback(backend.stop)
        server = running.enter_context(Identity())
        place = '"address": "169.254.169.254", "port_value": '
        here = f'"address": "127.0.0.1", "port_value": {server.server.port}'
        gateway = start(manifest, elsewhere={f"{place}80": here})
        answer = gateway.openai(new_user()).chat.completions.create(model="gemini", messages=HELLO)
        assert answer.choices[0].message.content
        seen = dict(backend["vertex"].requests()[-1]["headers"])["authorization"]
        assert seen.startswith("Bearer metadata-token-")


def test_a_service_of_the_cluster(shared_providers, start):
    """Istio knows its pods."""
    host = "qwen3.default.svc.cluster.local"
    port = shared_providers["qwen3"].port
    named = {"name": "qwen3", "namespace": "default"}
    of_slice = {**named, "labels": {"kubernetes.io/service-name": "qwen3"}}
    extra = [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": named,
            "spec": {"clusterIP": "192.0.2.10", "ports": [{"name": "http", "port": 8000, "protocol": "TCP"}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": of_slice,
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}],
            "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
        },
    ]
    manifest = [
        *resources.gateway(),
        *resources.backend("qwen3", f"http://{host}:8000"),
        resources.route(resources.rule(QWEN, "qwen3")),
    ]
    gateway = start(manifest, extra=extra)
    assert gateway.chat(QWEN, new_user()).status_code == 200
    assert shared_providers["qwen3"].requests()[-1]["headers"]["host"] == f"{host}:8000"


def test_tls_is_verified(shared_providers, start):
    host = "models.example.com"
    target = {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "models-endpoint"}
    validation = {"hostname": host, "wellKnownCACertificates": "System"}
    manifest = [
        *resources.gateway(),
        *resources.backend("models", f"http://{host}:443"),
        resources.resource(
            resources.GATEWAY, "BackendTLSPolicy", "tls", {"targetRefs": [target], "validation": validation}
        ),
        resources.route(resources.rule("model", "models")),
    ]
    gateway = start(manifest, serves=False)
    clusters = next(each for each in gateway.config_dump()["configs"] if "ClustersConfigDump" in each["@type"])
    clusters = [each["cluster"] for each in clusters["dynamic_active_clusters"]]
    [cluster] = [each for each in clusters if each["name"] == "outbound|80||models.default.weir.internal"]
    context = cluster["transport_socket"]["typed_config"]
    assert context["sni"] == host
    validation = json.dumps(context["common_tls_context"])
    assert f'"exact": "{host}"' in validation
    # The proxy's agent brings the system's CAs under this name.
    assert '"name": "file-root:system"' in validation


def test_why_it_is_no_wasm_plugin(shared_providers, start):
    """Should this fail, WasmPlugin has learnt to carry the flag without which a held request hangs."""
    plugin = {
        "apiVersion": "extensions.istio.io/v1alpha1",
        "kind": "WasmPlugin",
        "metadata": {"name": "plugin", "namespace": "istio-system"},
        "spec": {
            "selector": {"matchLabels": {"istio": "ingressgateway"}},
            "url": f"file://{mesh.tools.WASM}",
            "pluginName": "edge",
            "pluginConfig": {},
        },
    }
    gateway = start(one_place(shared_providers), extra=[plugin], serves=False)
    dump = next(each for each in gateway.config_dump()["configs"] if "EcdsConfigDump" in each["@type"])
    filters = {each["ecds_filter"]["name"]: each["ecds_filter"]["typed_config"]["config"] for each in dump["ecds_filters"]}
    flag = "allow_on_headers_stop_iteration"
    assert filters.pop("weir.edge")[flag] is True
    [config] = filters.values()
    assert flag not in config


def use_up(gateway, user, provider):
    """The statuses up to the first refusal."""
    statuses = []
    while not statuses or statuses[-1] == 200:
        assert len(statuses) < 10, "there is no budget"
        statuses.append(gateway.chat(QWEN, user).status_code)
        # It is charged when the stream is done, which is a little later than its last byte.
        left = str(max(BUDGET - statuses.count(200) * TOTAL, 0))
        wait_for(lambda left=left: said_to_be_left(gateway, user, provider) == left, 5, what=f"{left} tokens left")
    return statuses


def said_to_be_left(gateway, user, provider):
    """By the answer to a request that fails, and so costs nothing."""
    provider.fail(400)
    answer = gateway.chat(QWEN, user)
    provider.clear()
    return answer.headers.get("x-ratelimit-remaining")
