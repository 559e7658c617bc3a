"""AWS signatures, checked by moto: it verifies every call after the four that make a user and a key."""

import json
import socket
import sys

import boto3
import pytest

from harness import resources
from harness.ports import free_port
from harness.process import Process, wait_for
from harness.samples import HELLO

MODELS = ["anthropic.claude-3-haiku-20240307-v1:0", "arn:aws:bedrock:us-west-2:123456789012:inference-profile/x"]


@pytest.fixture(scope="module")
def moto():
    """Address and key of an AWS that checks signatures."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port]
    server = Process(command, env={"INITIAL_NO_AUTH_ACTION_COUNT": "4"})

    def up():
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            return False

    try:
        wait_for(up, 60, what="moto")
        url = f"http://127.0.0.1:{port}"
        iam = boto3.client(
            "iam", endpoint_url=url, region_name="us-west-2", aws_access_key_id="x", aws_secret_access_key="y"
        )
        iam.create_user(UserName="weir")
        statement = {"Effect": "Allow", "Action": "bedrock:*", "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        policy = iam.create_policy(PolicyName="invoke", PolicyDocument=document)["Policy"]["Arn"]
        iam.attach_user_policy(UserName="weir", PolicyArn=policy)
        key = iam.create_access_key(UserName="weir")["AccessKey"]
        yield url, {"access_key_id": key["AccessKeyId"], "secret_access_key": key["SecretAccessKey"]}
    finally:
        server.stop()


@pytest.fixture(scope="module")
def gateway(moto, start_gateway):
    url, key = moto
    wrong = {**key, "secret_access_key": key["secret_access_key"][::-1]}
    return start_gateway(
        [
            *resources.gateway(),
            *resources.backend("good", url, "AWSAnthropic", "bedrock-2023-05-31"),
            *resources.aws_file("good", key),
            *resources.backend("wrong", url, "AWSAnthropic", "bedrock-2023-05-31"),
            *resources.aws_file("wrong", wrong),
            *resources.backend("converse", url, "AWSBedrock"),
            *resources.aws_file("converse", key),
            *resources.backend("wrong-converse", url, "AWSBedrock"),
            *resources.aws_file("wrong-converse", wrong),
            resources.route(
                *[resources.rule(model, "good") for model in MODELS],
                resources.rule("wrong", "wrong"),
                resources.rule("nova", {"name": "converse", "modelNameOverride": "us.amazon.nova-lite-v1:0"}),
                resources.rule("profile", {"name": "converse", "modelNameOverride": MODELS[1]}),
                resources.rule("wrong-nova", "wrong-converse"),
            ),
        ]
    )


def send(gateway, model, text="one two three", **headers):
    body = {"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": text}]}
    # moto breaks on any other accept, once it has verified the signature.
    headers = {"accept": "application/json", "anthropic-version": "2023-06-01", **headers}
    return gateway.http.post("/anthropic/v1/messages", json=body, headers=headers)


@pytest.mark.parametrize("model", MODELS)
def test_a_signature_is_accepted(gateway, model):
    # What moto answers is an empty object, which is not for the gateway to judge.
    assert send(gateway, model).status_code == 200


@pytest.mark.parametrize("text", ["x" * 300_000, "grüße 🌊 \u0000"])
def test_any_body(gateway, text):
    assert send(gateway, MODELS[0], text).status_code == 200


def test_headers_of_the_client_do_not_break_it(gateway):
    headers = {
        "x-amz-date": "20200101T000000Z",
        "x-odd": "a  b",
        "authorization": "Bearer x",
        "host": "odd.example",
    }
    assert send(gateway, MODELS[0], **headers).status_code == 200


def test_a_wrong_secret_is_refused(gateway):
    answer = send(gateway, "wrong")
    assert answer.status_code == 403
    assert answer.json()["type"] == "error"


def test_openais_client_is_signed_too(gateway):
    body = {"model": "wrong", "messages": HELLO}
    assert gateway.http.post("/v1/chat/completions", json=body).status_code == 403
    assert gateway.http.post("/v1/chat/completions", json={**body, "model": MODELS[0]}).status_code != 403


@pytest.mark.parametrize("stream", [False, True])
def test_converse_is_signed_too(gateway, stream):
    """moto has no Converse: it breaks on one whose signature is right."""
    body = {"messages": HELLO, "stream": stream}
    status = {
        model: gateway.http.post("/v1/chat/completions", json={**body, "model": model}).status_code
        for model in ("nova", "profile", "wrong-nova")
    }
    assert status["wrong-nova"] == 403
    assert 403 not in (status["nova"], status["profile"])
