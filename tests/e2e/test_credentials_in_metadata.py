"""Credentials that another filter of Envoy has put into the request's dynamic metadata: who calls names no key of a provider."""

import json
import subprocess

import pytest

from harness import gateway as gateways
from harness import providers as stand_ins
from harness import resources
from harness.ports import free_port
from harness.process import wait_for
from harness.rendered import Rendered, render
from harness.samples import HELLO

NAMESPACE = "tenants"

#: Stands for the filter that knows who calls and what their keys are: it says so for the tenant that the header names.
LUA = """
function envoy_on_request(handle)
  local metadata = handle:streamInfo():dynamicMetadata()
  local tenant = handle:headers():get("x-tenant")
  if tenant == "one" or tenant == "half" then
    metadata:set("tenants", "x-aigw-anthropic-api-key", "%(anthropic)s")
    metadata:set("tenants", "openai", "%(openai)s")
    local aws = {accessKeyId = "%(access_key_id)s"}
    if tenant == "one" then aws.secretAccessKey = "%(secret_access_key)s" end
    metadata:set("tenants", "x-aigw-aws-credentials", aws)
  elseif tenant == "odd" then
    metadata:set("tenants", "x-aigw-anthropic-api-key", 7)
    metadata:set("tenants", "openai", {key = "%(openai)s"})
  end
end
""" % {
    "anthropic": stand_ins.ANTHROPIC_KEY,
    "openai": stand_ins.OPENAI_KEY,
    **stand_ins.AWS_KEY,
}


def put_before(folder, filter_):
    """Puts a filter of Envoy before the gateway's, as `docs/configuration.md` says."""
    path = folder / "envoy.json"
    config = json.loads(path.read_text())
    chains = [
        network_filter["typed_config"]["http_filters"]
        for listener in config["static_resources"]["listeners"]
        for chain in listener["filter_chains"]
        for network_filter in chain["filters"]
    ]
    (chain,) = [chain for chain in chains if chain[0]["name"] == "weir.edge"]
    chain.insert(0, filter_)
    path.write_text(json.dumps(config))


def lua():
    return {
        "name": "envoy.filters.http.lua",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string": LUA},
        },
    }


def of_metadata(**fields):
    return {"credentialOverride": {"fromDynamicMetadata": {"namespace": NAMESPACE, **fields}}}


def aws(running):
    return [
        *resources.backend("bedrock", running["bedrock"].url, "AWSAnthropic", "bedrock-2023-05-31"),
        resources.security(
            "bedrock-auth",
            "bedrock",
            type="AWSCredentials",
            awsCredentials={"region": stand_ins.REGION},
            **of_metadata(fallbackToConfigured=False),
        ),
    ]


def manifest(running):
    """A direct way to Claude, and a way by the cluster's chain to two servers of OpenAI's API."""
    rules = [resources.rule("claude", "claude"), resources.rule("gpt", "gpt", {"name": "qwen3", "priority": 1})]
    bedrock = []
    if gateways.FILTER != "module":
        bedrock, rules = aws(running), [*rules, resources.rule("bedrock", "bedrock")]
    configured = {"secretRef": {"name": "gpt-key", "namespace": "default"}}
    return [
        *resources.gateway(),
        *resources.backend("claude", running["claude"].url, "Anthropic"),
        *resources.backend("gpt", running["gpt-oss"].url),
        *resources.backend("qwen3", running["qwen3"].url),
        *bedrock,
        resources.security("claude-auth", "claude", type="AnthropicAPIKey", **of_metadata(fallbackToConfigured=False)),
        resources.secret("gpt-key", apiKey="sk-of-the-gateway"),
        resources.security("gpt-auth", "gpt", type="APIKey", apiKey=configured, **of_metadata(key="openai")),
        resources.route(*rules),
    ]


@pytest.fixture(scope="module")
def running():
    own = stand_ins.start_all()
    own["bedrock"].set_keys(stand_ins.AWS_KEY)
    yield own
    own.stop()


@pytest.fixture(scope="module")
def envoy(running, tmp_path_factory):
    folder, port = tmp_path_factory.mktemp("metadata") / "envoy", free_port()
    done = render(manifest(running), folder, port, free_port())
    assert done.returncode == 0, done.stderr
    put_before(folder, lua())
    # All that Envoy and the filter have to say, so that a secret in it would be seen.
    started = Rendered(folder, port, "--component-log-level", "wasm:debug,dynamic_modules:debug")
    wait_for(lambda: answers(started), 60, what="an answer")
    yield started
    started.process.stop()


def answers(envoy):
    answer = envoy.chat("claude", HELLO, {"x-tenant": "one"})
    return answer is not None and answer.status_code == 200


def sent(running, name):
    return dict(running[name].requests()[-1]["headers"])


def test_the_key_that_a_filter_has_set_is_sent(running, envoy):
    running.clear()
    assert envoy.chat("claude", HELLO, {"x-tenant": "one"}).status_code == 200
    assert sent(running, "claude")["x-api-key"] == stand_ins.ANTHROPIC_KEY
    assert envoy.chat("gpt", HELLO, {"x-tenant": "one"}).status_code == 200
    assert sent(running, "gpt-oss")["authorization"] == f"Bearer {stand_ins.OPENAI_KEY}"


@pytest.mark.parametrize("tenant", ["nobody", "odd"])
def test_without_one_it_is_the_configured_key_or_none(running, envoy, tenant):
    running.clear()
    refused = envoy.chat("claude", HELLO, {"x-tenant": tenant, "x-aigw-anthropic-api-key": "the client's own"})
    assert refused.status_code == 401
    assert "x-aigw-anthropic-api-key of tenants" in refused.json()["error"]["message"]
    assert running["claude"].requests() == []
    envoy.chat("gpt", HELLO, {"x-tenant": tenant})
    assert sent(running, "gpt-oss")["authorization"] == "Bearer sk-of-the-gateway"


@pytest.mark.skipif(gateways.FILTER == "module", reason="Envoy shows native modules nothing inside of a struct")
def test_a_signature_with_what_a_filter_has_set(running, envoy):
    running.clear()
    assert envoy.chat("bedrock", HELLO, {"x-tenant": "one"}).status_code == 200, "the stand-in checks the signature"
    assert envoy.chat("bedrock", HELLO, {"x-tenant": "nobody"}).status_code == 401
    half = envoy.chat("bedrock", HELLO, {"x-tenant": "half"})
    assert half.status_code == 500
    assert "x-aigw-aws-credentials.secretAccessKey" in half.json()["error"]["message"]
    assert len(running["bedrock"].requests()) == 1


def test_nothing_of_it_is_said_anywhere(running, envoy):
    running.clear()
    for model in ["claude", "gpt"]:
        envoy.chat(model, HELLO, {"x-tenant": "one"})
    secrets = [stand_ins.ANTHROPIC_KEY, stand_ins.OPENAI_KEY, stand_ins.AWS_KEY["secret_access_key"]]
    assert not [secret for secret in secrets if secret in envoy.process.output]
    for name, key in [("claude", stand_ins.ANTHROPIC_KEY), ("gpt-oss", stand_ins.OPENAI_KEY)]:
        (request,) = running[name].requests()
        assert str(request).count(key) == 1, "the credential, and nothing beside it"


@pytest.mark.skipif(gateways.FILTER == "wasm", reason="wasm reads structs")
def test_a_native_module_is_not_given_what_it_cannot_read(running, tmp_path):
    resources_ = [*resources.gateway(), *aws(running), resources.route(resources.rule("bedrock", "bedrock"))]
    done = render(resources_, tmp_path / "envoy", free_port(), free_port())
    assert done.returncode != 0
    assert "default/bedrock" in done.stderr and "--filter wasm" in done.stderr
    file = tmp_path / "envoy.yaml"
    checked = subprocess.run([gateways.WEIR, "check", "-f", file], capture_output=True, text=True, check=False)
    assert "fromDynamicMetadata" in checked.stderr and "--filter wasm" in checked.stderr
