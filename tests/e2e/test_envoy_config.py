"""The files of `envoy-config/` do what they say: the topology of docker-compose.yaml, without containers."""

import json
import subprocess

import httpx
import pytest
import yaml

from harness import plain_envoy
from harness.gateway import new_user
from harness.parts import missing
from harness.plain_envoy import FOLDER, FORM, PARTS, PlainEnvoy, address, localized
from harness.ports import free_port
from harness.process import wait_for
from harness.providers import OPENAI_KEY
from harness.samples import HELLO, TOTAL, sentence
from harness.tls import Relay

BUDGET = yaml.safe_load((FOLDER / "ratelimit" / "config" / "weir.yaml").read_text())
LIMIT = BUDGET["descriptors"][0]["descriptors"][0]["rate_limit"]["requests_per_unit"]
AWS = "bedrock-runtime.us-west-2.amazonaws.com"


@pytest.fixture(scope="module")
def stand_ins():
    running = plain_envoy.StandIns("vllm", "bedrock")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def ratelimit(redis, tmp_path_factory):
    binary = plain_envoy.ratelimit_service()
    if not binary:
        missing("there is no ratelimit service: ./build.sh build makes one where Go is installed")
    ports = [free_port() for _ in range(3)]
    service = plain_envoy.RateLimit(binary, redis, tmp_path_factory.mktemp("ratelimit"), ports)
    yield service
    service.stop()


def places(stand_ins, ratelimit, port, admin_port):
    """Where all that gateway-*.yaml names is on this machine."""
    return {
        **({PARTS: plain_envoy.parts()} if FORM == "wasm" else {}),
        address("127.0.0.1", 9901): address("127.0.0.1", admin_port),
        address("0.0.0.0", 1975): address("127.0.0.1", port),
        address("vllm", 8000): address("127.0.0.1", stand_ins["vllm"].port),
        address("bedrock", 8000): address("127.0.0.1", stand_ins["bedrock"].port),
        address("ratelimit", 8081): address("127.0.0.1", ratelimit.grpc_port),
    }


@pytest.fixture(scope="module")
def envoy(stand_ins, ratelimit, tmp_path_factory):
    port, admin_port = free_port(), free_port()
    file = tmp_path_factory.mktemp("envoy") / "envoy.yaml"
    text = (FOLDER / f"gateway-{FORM}.yaml").read_text()
    file.write_text(localized(text, places(stand_ins, ratelimit, port, admin_port)))
    running = PlainEnvoy(file, port, environment=plain_envoy.stand_in_keys())
    running.file, running.admin_port = file, admin_port
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def clean_stand_ins(request):
    if "stand_ins" in request.fixturenames:
        request.getfixturevalue("stand_ins").clear()


def content(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]["message"]["content"]


def test_a_request_in_the_words_of_its_backend(envoy, stand_ins):
    assert content(envoy.chat("llama")) == sentence("vllm")
    (request,) = stand_ins["vllm"].requests()
    assert (request["path"], request["headers"]["host"]) == ("/v1/chat/completions", "vllm:8000")


def test_a_request_that_is_translated_and_signed(envoy, stand_ins):
    """The stand-in checks the signature."""
    assert content(envoy.chat("claude")) == sentence("bedrock")
    (request,) = stand_ins["bedrock"].requests()
    assert request["path"].startswith("/model/anthropic.claude-3-haiku")
    assert request["headers"]["host"] == AWS
    stream = envoy.chat("claude", stream=True).text
    assert stream.startswith("data: {") and stream.endswith("data: [DONE]\n\n")
    body = {"model": "claude", "max_tokens": 9, "messages": HELLO}
    answer = envoy.http.post("/anthropic/v1/messages", json=body)
    assert answer.json()["content"][0]["text"]


def test_failover(envoy, stand_ins, user):
    stand_ins["vllm"].fail(503)
    assert content(envoy.chat("llama", user)) == sentence("bedrock")
    (record,) = envoy.records(user)
    assert (record["backend"], record["attempts"], record["total_tokens"]) == ("bedrock", 2, TOTAL)


def asked_ratelimit(envoy):
    """How often Envoy has asked the ratelimit service and got an answer."""
    stats = httpx.get(f"http://127.0.0.1:{envoy.admin_port}/stats?filter=cluster.ratelimit.upstream_rq_completed").text
    return int(stats.rsplit(":", 1)[1])


def test_a_token_budget(envoy, user):
    statuses = []
    while not statuses or statuses[-1] == 200:
        assert len(statuses) < 10, "there is no budget"
        before = asked_ratelimit(envoy)
        answer = envoy.chat("llama" if len(statuses) % 2 else "claude", user, stream=len(statuses) == 1)
        statuses.append(answer.status_code)
        # A look before and a charge after; the client's answer does not wait for the charge.
        questions = 2 if answer.status_code == 200 else 1
        wait_for(lambda: asked_ratelimit(envoy) >= before + questions, 5, what="the charge")
    # The request that goes over the limit is served.
    assert statuses == [200] * (LIMIT // TOTAL + 1) + [429]
    assert "budget" in answer.json()["error"]["message"]
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["x-ratelimit-limit"].startswith(str(LIMIT))
    assert envoy.chat("llama", new_user()).status_code == 200


def test_errors_in_the_shape_of_the_clients_api(envoy):
    unknown = envoy.chat("gpt-9")
    assert unknown.status_code == 404 and "gpt-9" in unknown.json()["error"]["message"]
    answer = envoy.http.post("/anthropic/v1/messages", json={"model": "gpt-9", "max_tokens": 1, "messages": HELLO})
    assert (answer.status_code, answer.json()["type"]) == (404, "error")
    broken = envoy.http.post("/v1/chat/completions", content="{")
    assert broken.status_code == 400 and broken.json()["error"]["message"]


def test_the_health_check_of_the_container(envoy):
    test = plain_envoy.compose("envoy")["healthcheck"]["test"]
    assert test[0] == "CMD"
    command = localized("\n".join(test[1:]), {"127.0.0.1/9901": f"127.0.0.1/{envoy.admin_port}"})
    subprocess.run(command.split("\n"), check=True, timeout=10)
    nobody = localized("\n".join(test[1:]), {"127.0.0.1/9901": f"127.0.0.1/{free_port()}"})
    assert subprocess.run(nobody.split("\n"), timeout=10, stderr=subprocess.DEVNULL, check=False).returncode != 0


def test_bedrock_itself_as_the_comment_says(stand_ins, ratelimit, tmp_path):
    """Over TLS, which the mark in the comment turns on."""
    relay = Relay(AWS, tmp_path, stand_ins["bedrock"].port)
    mark, port = "envoy.transport_socket_match: {tls: bedrock}", free_port()
    text = (FOLDER / f"gateway-{FORM}.yaml").read_text()
    assert f"# {mark}" in text and f"# AWS itself is {AWS}, port 443" in text
    text = localized(
        text, {address("bedrock", 8000): address(AWS, 443), "0/0/bedrock}": f"0/0/bedrock}}, {mark}"}
    )
    here = places(stand_ins, ratelimit, port, 0)
    del here[address("bedrock", 8000)]
    here |= {address(AWS, 443): address("127.0.0.1", relay.port), "/etc/ssl/certs/ca-certificates.crt": relay.ca}
    (tmp_path / "envoy.yaml").write_text(localized(text, here))
    envoy = PlainEnvoy(tmp_path / "envoy.yaml", port, environment=plain_envoy.stand_in_keys())
    try:
        assert content(envoy.chat("claude")) == sentence("bedrock")
        assert relay.asked == [AWS]
    finally:
        envoy.stop()
        relay.close()


@pytest.fixture(scope="module")
def direct(shared_providers, tmp_path_factory):
    """The single filter, in front of a provider that wants a key."""
    folder = tmp_path_factory.mktemp("direct")
    running = plain_envoy.DirectEnvoy(folder, shared_providers["main"].port, OPENAI_KEY, limit=TOTAL)
    yield running
    running.stop()


def test_one_filter(direct, providers, user):
    assert content(direct.chat("mini", user)) == sentence("main")
    (request,) = providers["main"].requests()
    assert request["headers"]["host"] == "api.openai.com"
    assert json.loads(request["body"])["model"] == "gpt-5-mini"
    (record,) = direct.records(user)
    assert (record["backend"], record["total_tokens"]) == ("openai", TOTAL)


def test_one_filter_has_budgets(direct, user):
    statuses = [direct.chat("mini", user).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]


def test_one_filter_leads_nowhere_else(direct, providers):
    forged = {"x-weir-cluster": "openai", "x-ai-eg-model": "mini"}
    answer = direct.http.post("/v1/chat/completions", json={"model": "gpt-9", "messages": HELLO}, headers=forged)
    assert answer.status_code == 404
    answer = direct.http.get("/", headers=forged)
    assert answer.status_code == 404
    # OpenAI's API has no counting of tokens.
    body = {"model": "mini", "max_tokens": 9, "messages": HELLO}
    answer = direct.http.post("/anthropic/v1/messages/count_tokens", json=body, headers=forged)
    assert (answer.status_code, answer.json()["type"]) == (422, "error")
    assert not providers["main"].requests()


def test_the_key_is_in_no_output(direct):
    assert content(direct.chat("mini")) == sentence("main")
    assert OPENAI_KEY not in direct.process.output
    assert OPENAI_KEY not in direct.file.read_text()
    dump = httpx.get(f"http://127.0.0.1:{direct.admin_port}/config_dump")
    assert '"weir.edge"' in dump.text and OPENAI_KEY not in dump.text
