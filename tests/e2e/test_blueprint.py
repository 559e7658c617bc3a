"""The EKS blueprint: its own resources with only the backends' addresses replaced, and its two clients."""

import os
import pathlib
import subprocess
import sys

import httpx
import pytest
import yaml

from harness import gateway as gateways
from harness import providers as stand_ins
from harness import resources
from harness.ports import free_port

EKS = pathlib.Path(__file__).resolve().parents[2] / "manifests" / "eks"
ROUTING = ["gateway.yaml", "model-backends.yaml", "multi-model-routing/ai-gateway-route.yaml"]
LIMITS = ["gateway.yaml", "model-backends.yaml", "rate-limiting/ai-gateway-route.yaml"]
DEMO = [*LIMITS, "rate-limiting/backend-traffic-policy.yaml"]
DAILY = [*LIMITS, "rate-limiting/ai-gateway-rate-limit.yaml"]


def local(files, running, directory):
    """The files with the backends' addresses replaced. TLS goes with the addresses it is for."""
    addresses = {f"{name}-backend": running[name].url for name in ("qwen3", "gpt-oss", "bedrock")}
    written = []
    for number, name in enumerate(files):
        documents = []
        for document in yaml.safe_load_all((EKS / name).read_text()):
            if document["kind"] == "BackendTLSPolicy":
                continue
            if document["kind"] == "Backend":
                document["spec"]["endpoints"] = [resources.endpoint(addresses.pop(document["metadata"]["name"]))]
            documents.append(document)
        file = directory / f"{number}-{pathlib.Path(name).name}"
        file.write_text(resources.dump(documents))
        written.append(file)
    assert not addresses, "every backend was replaced"
    return written


def pod(running):
    """Credentials the way the blueprint has them: from the pod's identity."""
    return {
        "AWS_ACCESS_KEY_ID": "",
        "AWS_SECRET_ACCESS_KEY": "",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": running["pod-identity"].url + "/v1/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "pod-token-1",
    }


@pytest.fixture
def start(shared_providers, start_gateway, tmp_path):
    def start(files, redis=None):
        return start_gateway(local(files, shared_providers, tmp_path), env=pod(shared_providers), redis=redis)

    return start


def client(name, url):
    command = [sys.executable, "-I", EKS / "clients" / name, url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env={"PATH": os.environ["PATH"]})
    assert done.stderr == ""
    return done


@pytest.fixture(params=["local", "redis"])
def redis_or_not(request):
    return request.getfixturevalue("redis") if request.param == "redis" else None


def test_multi_model(start, redis_or_not, providers):
    gateway = start(DEMO, redis_or_not)
    done = client("multi_model.py", gateway.url)
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert len(lines) == 4
    assert lines[-1] == "Summary: 3/3 models working"
    request = providers["bedrock"].requests()[0]
    assert request["headers"]["authorization"].startswith("AWS4-HMAC-SHA256")


def test_multi_model_on_its_own_route(start):
    assert client("multi_model.py", start(ROUTING).url).returncode == 0


def test_multi_model_tells_what_fails(start, providers):
    providers["gpt-oss"].fail(400, times=10)
    done = client("multi_model.py", start(ROUTING).url)
    assert done.returncode == 1
    assert "FAIL GPT-OSS (openai/gpt-oss-20b): HTTP 400" in done.stdout
    assert "Summary: 2/3 models working" in done.stdout


def test_rate_limit(start, redis_or_not):
    gateway = start(DEMO, redis_or_not)
    done = client("rate_limit.py", gateway.url)
    assert done.returncode == 0, done.stdout
    assert "Summary: 2/2 users rate limited" in done.stdout
    for user in ("test-user-gpt", "test-user-bedrock"):
        _, _, after = done.stdout.partition(user)
        said = after.splitlines()
        assert said[1].strip().startswith("1: 200") or redis_or_not, "the budget is used up first"
        assert any(": 429, budget used up, again in" in line for line in said[1:6])


def test_rate_limit_fails_where_nothing_is_limited(start):
    done = client("rate_limit.py", start(DAILY).url)
    assert done.returncode == 1
    assert "nothing refused" in done.stdout


@pytest.mark.parametrize("name", ["multi_model.py", "rate_limit.py"])
def test_clients_without_a_gateway(name):
    done = client(name, f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 1
    assert "Connection refused" in done.stdout


@pytest.mark.parametrize("name", ["multi_model.py", "rate_limit.py"])
def test_clients_say_how_they_are_used(name):
    done = subprocess.run([sys.executable, EKS / "clients" / name], capture_output=True, text=True)
    assert done.returncode == 1
    assert f"Usage: {name} URL" in done.stderr


def check(*files):
    arguments = [word for file in files for word in ("-f", file)]
    process = gateways.weir("check", *arguments)
    code = process.wait(30)
    process.wait_for_end()
    return code, process.output


@pytest.mark.parametrize("files", [ROUTING, DEMO, DAILY], ids=["routing", "demo", "daily"])
def test_the_blueprint_is_accepted_as_it_is(files):
    code, output = check(*[EKS / file for file in files])
    assert code == 0, output


def test_two_policies_on_one_gateway_are_a_conflict():
    code, output = check(*[EKS / file for file in [*DEMO, "rate-limiting/ai-gateway-rate-limit.yaml"]])
    assert code == 1
    assert "ai-gateway-demo-budgets" in output
    assert "ai-gateway-rate-limit" in output


def test_a_backend_that_nothing_defines(tmp_path):
    route = tmp_path / "route.yaml"
    route.write_text(
        (EKS / "rate-limiting/ai-gateway-route.yaml").read_text().replace("name: bedrock", "name: bedrock-aws")
    )
    code, output = check(EKS / "gateway.yaml", EKS / "model-backends.yaml", route)
    assert code == 1
    assert "bedrock-aws" in output
    assert "route.yaml" in output


def test_the_budgets_are_the_demos(start, providers, user):
    """Ten input tokens: the fourth question of three words is one too many."""
    gateway = start(DEMO)
    for served in range(4):
        assert gateway.chat("Qwen/Qwen3-1.7B", user, max_tokens=1).status_code == 200
        gateway.logged(user, served + 1)
    answer = gateway.chat("Qwen/Qwen3-1.7B", user, max_tokens=1)
    assert answer.status_code == 429
    assert answer.headers["x-ratelimit-limit"].startswith("10")


def test_a_pod_without_identity_says_so(start, providers):
    providers["pod-identity"].fail(404, times=1000)
    gateway = start(ROUTING)
    body = {"model": resources.CLAUDE, "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}
    answer = httpx.post(
        gateway.url + "/anthropic/v1/messages", json=body, headers={"anthropic-version": "2023-06-01"}, timeout=60
    )
    assert answer.status_code == 503
    assert stand_ins.AWS_KEY["secret_access_key"] not in answer.text
