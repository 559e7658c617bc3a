"""Where AWS credentials come from: the environment, and the pod's identity, which rotates."""

import httpx
import pytest

from harness import providers as stand_ins
from harness import resources
from harness.process import wait_for
from harness.resources import CLAUDE
from harness.samples import HELLO, sentence

NO_AWS = {
    "AWS_ACCESS_KEY_ID": "",
    "AWS_SECRET_ACCESS_KEY": "",
    "AWS_SESSION_TOKEN": "",
    "AWS_PROFILE": "",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.fixture(scope="module")
def running():
    """Providers of the module's own, since their keys change."""
    own = stand_ins.start_all()
    yield own
    own.stop()


def manifest(running):
    return [
        *resources.gateway(),
        *resources.backend("bedrock", running["bedrock"].url, "AWSAnthropic", "bedrock-2023-05-31"),
        *resources.aws_default("bedrock"),
        resources.route(resources.rule(CLAUDE, "bedrock")),
    ]


@pytest.fixture
def pod(running, tmp_path):
    """The environment of a pod with an identity, and the file with its token."""
    running.clear()
    running["bedrock"].set_keys(stand_ins.AWS_KEY)
    running["pod-identity"].set_credentials(token="pod-token-1", key=stand_ins.AWS_KEY, valid_for_s=6 * 3600)
    token = tmp_path / "token"
    token.write_text("pod-token-1")
    environment = {
        **NO_AWS,
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": running["pod-identity"].url + "/v1/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token),
    }
    return environment, token


def text(answer):
    return answer.json()["choices"][0]["message"]["content"]


def assert_nothing_leaked(gateway, *keys):
    secrets = [value for key in keys for name, value in key.items() if value and name != "access_key_id"]
    said = gateway.process.output + gateway.log_file.read_text()
    assert not [secret for secret in secrets if secret in said]


def test_environment(running, start_gateway):
    running["bedrock"].set_keys(stand_ins.AWS_NEXT_KEY)
    key = {f"AWS_{name.upper()}": value for name, value in stand_ins.AWS_NEXT_KEY.items()}
    gateway = start_gateway(manifest(running), env={**NO_AWS, **key})
    assert text(gateway.chat(CLAUDE)) == sentence("bedrock")
    assert_nothing_leaked(gateway, stand_ins.AWS_NEXT_KEY)


def test_pod_identity(running, start_gateway, pod):
    gateway = start_gateway(manifest(running), env=pod[0])
    for _ in range(10):
        assert text(gateway.chat(CLAUDE)) == sentence("bedrock")
    requests = running["pod-identity"].requests()
    assert len(requests) == 1, "once for all workers"
    assert requests[0]["headers"]["authorization"] == "pod-token-1"
    assert "authorization" in running["bedrock"].requests()[0]["headers"]
    assert "pod-token-1" not in str(running["bedrock"].requests())
    assert_nothing_leaked(gateway, stand_ins.AWS_KEY)


def test_rotation(running, start_gateway, pod):
    environment, token = pod
    running["pod-identity"].set_credentials(valid_for_s=8)
    gateway = start_gateway(manifest(running), env=environment)
    assert gateway.chat(CLAUDE).status_code == 200
    # The token is replaced, then the key; the old key goes when it has expired.
    token.write_text("pod-token-2")
    running["pod-identity"].set_credentials(token="pod-token-2", key=stand_ins.AWS_NEXT_KEY, valid_for_s=3600)
    running["bedrock"].set_keys(stand_ins.AWS_KEY, stand_ins.AWS_NEXT_KEY)

    def renewed():
        answer = gateway.chat(CLAUDE)
        assert answer.status_code == 200, "no request is lost while keys rotate"
        return "x-amz-security-token" in running["bedrock"].requests()[-1]["headers"]

    wait_for(renewed, 15, pause=0.3, what="the new key")
    running["bedrock"].set_keys(stand_ins.AWS_NEXT_KEY)
    assert gateway.chat(CLAUDE).status_code == 200
    assert running["pod-identity"].requests()[-1]["headers"]["authorization"] == "pod-token-2"
    assert_nothing_leaked(gateway, stand_ins.AWS_KEY, stand_ins.AWS_NEXT_KEY)


def test_credentials_that_come_late(running, start_gateway, pod):
    running["pod-identity"].fail(500, times=2)
    gateway = start_gateway(manifest(running), env=pod[0])
    wait_for(lambda: gateway.chat(CLAUDE).status_code == 200, 30, pause=0.2, what="credentials at last")


def test_a_request_that_waits_for_them_under_a_limit_by_model(running, start_gateway, pod, redis, user):
    """When the answer comes Envoy no longer shows a wasm filter the headers of a request that it has resumed."""
    running["pod-identity"].fail(500)
    limit = resources.budget("llm_total_token", 1000)
    limit["clientSelectors"][0]["headers"].append({"name": "x-ai-eg-model", "type": "Distinct"})
    gateway = start_gateway([*manifest(running), resources.traffic(limit)], env=pod[0], redis=redis)
    for _ in range(2):
        assert text(gateway.chat(CLAUDE, user)) == sentence("bedrock")
    assert "panicked" not in gateway.process.output


def test_no_credentials_at_all(running, start_gateway, pod):
    running["pod-identity"].fail(404, times=1000)
    gateway = start_gateway(manifest(running), env=pod[0])
    answer = gateway.chat(CLAUDE)
    assert answer.status_code == 503
    assert answer.json()["error"]["message"]
    assert running["bedrock"].requests() == [], "nothing goes out unsigned"


def test_nothing_about_secrets_on_the_admin_address(running, start_gateway, pod):
    gateway = start_gateway(manifest(running), env=pod[0])
    gateway.chat(CLAUDE)
    for path in ["/config_dump", "/config_dump?include_eds", "/server_info", "/clusters", "/"]:
        answer = httpx.get(gateway.admin + path)
        assert answer.status_code == 404
        assert stand_ins.AWS_KEY["secret_access_key"] not in answer.text
    assert httpx.get(gateway.admin + "/ready").status_code == 200
    assert httpx.get(gateway.admin + "/stats/prometheus").status_code == 200


@pytest.fixture(scope="module")
def brought(running, start_gateway):
    """A gateway whose callers bring the credentials of their providers; there are no others."""

    def own(**headers):
        return {"credentialOverride": {"fromRequestHeaders": {**headers, "fallbackToConfigured": False}}}

    region = {"awsCredentials": {"region": stand_ins.REGION}}
    return start_gateway(
        [
            *resources.gateway(),
            *resources.backend("bedrock", running["bedrock"].url, "AWSAnthropic", "bedrock-2023-05-31"),
            *resources.backend("claude", running["claude"].url, "Anthropic"),
            resources.security("bedrock-auth", "bedrock", type="AWSCredentials", **region, **own()),
            resources.security("claude-auth", "claude", type="AnthropicAPIKey", **own(header="X-Tenant-Key")),
            resources.route(resources.rule(CLAUDE, "bedrock"), resources.rule("claude-native", "claude")),
        ],
        env=NO_AWS,
    )


def test_a_key_that_comes_with_the_request(running, brought):
    running.clear()
    key = {"x-tenant-key": stand_ins.ANTHROPIC_KEY}
    client = brought.openai().chat.completions
    assert client.create(model="claude-native", messages=HELLO, extra_headers=key).choices
    headers = running["claude"].requests()[-1]["headers"]
    assert dict(headers)["x-api-key"] == stand_ins.ANTHROPIC_KEY
    assert "x-tenant-key" not in dict(headers)
    refused = brought.chat("claude-native")
    assert refused.status_code == 401
    assert "x-tenant-key" in refused.json()["error"]["message"]


def test_a_signature_with_what_comes_with_the_request(running, brought):
    running.clear()
    running["bedrock"].set_keys(stand_ins.AWS_KEY)
    pair = {
        "x-aigw-aws-access-key-id": stand_ins.AWS_KEY["access_key_id"],
        "x-aigw-aws-secret-access-key": stand_ins.AWS_KEY["secret_access_key"],
    }
    client = brought.openai().chat.completions
    assert client.create(model=CLAUDE, messages=HELLO, extra_headers=pair).choices
    sent = running["bedrock"].requests()[-1]
    assert pair["x-aigw-aws-secret-access-key"] not in str(sent)
    half = brought.http.post(
        "/v1/chat/completions",
        json={"model": CLAUDE, "messages": HELLO},
        headers={"x-aigw-aws-access-key-id": pair["x-aigw-aws-access-key-id"]},
    )
    assert half.status_code == 400
    assert "x-aigw-aws-secret-access-key" in half.json()["error"]["message"]
    assert_nothing_leaked(brought, stand_ins.AWS_KEY)
