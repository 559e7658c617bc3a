"""Whatever else a provider has: its SDK through a prefix of the gateway's paths, with the gateway's credentials, on the books.
The stand-ins refuse wrong keys and signatures."""

import io
import json

import anthropic
import boto3
import botocore.config
import httpx
import openai
import pytest

from harness import providers as stand_ins
from harness import resources
from harness.samples import HELLO, INPUT, OUTPUT, TOTAL, sentence, text_of

CLAUDE = "anthropic.claude-sonnet-4-5-20250929-v1:0"
PASSED = """
/bedrock=bedrock,
/claude=claude,
/azure=azure,
/v1/files=main/v1/files, /v1/files=spare/v1/files,
/v1/batches=main/v1/batches, /v1/batches=spare/v1/batches,
/main=main
"""


@pytest.fixture(scope="module")
def gateway(shared_providers, start_gateway):
    url = {name: shared_providers[name].url for name in ("main", "spare", "claude", "bedrock", "azure")}
    route = resources.route(
        resources.rule("gpt", {"name": "main"}),
        resources.rule("other", {"name": "spare"}, {"name": "main", "priority": 1}),
    )
    route["metadata"]["annotations"] = {"weir.dev/pass-through": PASSED}
    return start_gateway(
        [
            *resources.gateway(),
            *resources.backend("main", url["main"], "OpenAI"),
            *resources.api_key("main", stand_ins.OPENAI_KEY),
            *resources.backend("spare", url["spare"], "OpenAI"),
            *resources.api_key("spare", stand_ins.SPARE_KEY),
            *resources.backend("claude", url["claude"], "Anthropic"),
            *resources.anthropic_key("claude", stand_ins.ANTHROPIC_KEY),
            *resources.backend("bedrock", url["bedrock"], "AWSBedrock"),
            *resources.aws_file("bedrock", stand_ins.AWS_KEY),
            *resources.backend("azure", url["azure"], "AzureOpenAI"),
            *resources.azure_key("azure", stand_ins.AZURE_KEY),
            route,
        ]
    )


def none_used(line):
    return line["usage_status"] == "none" and not line.get("total_tokens")


def used_all(line):
    return (line["usage_status"], line["input_tokens"], line["output_tokens"]) == ("complete", INPUT, OUTPUT)


def has_clients_credential(request):
    return "of-the-client" in json.dumps(request["headers"])


def test_files_and_batches_of_openai(gateway, providers, user):
    client = gateway.openai(user)
    lines = b'{"custom_id": "one", "method": "POST", "url": "/v1/chat/completions", "body": {}}\n'
    file = client.files.create(file=("in.jsonl", io.BytesIO(lines)), purpose="batch")
    assert (file.filename, file.bytes, file.purpose) == ("in.jsonl", len(lines), "batch")
    assert client.files.retrieve(file.id).id == file.id
    assert file.id in [one.id for one in client.files.list()]
    assert client.files.content(file.id).read() == lines
    batch = client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    assert batch.status == "validating"
    done = client.batches.retrieve(batch.id)
    assert (done.status, done.usage.total_tokens, done.model) == ("completed", 6, "gpt-5.1")
    assert client.batches.cancel(batch.id).status == "cancelling"
    assert client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError, match="No such File object"):
        client.files.retrieve(file.id)
    requests = providers["main"].requests("/v1/")
    assert len(requests) == 9
    assert not any(has_clients_credential(request) for request in requests)
    # What a batch uses is told again by each answer about it, so it is none of any request's.
    logged = gateway.logged(user, 9)
    assert all(none_used(line) for line in logged), logged
    assert {line["endpoint"] for line in logged} == {"pass_through"}
    assert [line["status"] for line in logged].count(404) == 1
    assert gateway.usage(user) == []


def test_the_model_chooses_among_several_providers_of_files(gateway, providers, user):
    client = gateway.openai(user)
    asked = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
    there = {"x-ai-eg-model": "other"}
    file = client.files.create(file=("in.jsonl", b"{}"), purpose="batch", extra_headers=there)
    assert client.files.content(file.id, extra_headers=there).read() == b"{}"
    batch = client.batches.create(input_file_id=file.id, extra_body={"model": "other"}, **asked)
    assert client.batches.retrieve(batch.id, extra_headers=there).id == batch.id
    assert len(providers["spare"].requests("/v1/")) == 4
    assert not any("x-ai-eg-model" in request["headers"] for request in providers["spare"].requests())
    # The others are the first's, whatever is said of a model that has no backend here.
    for model in ("gpt", "unheard-of"):
        with pytest.raises(openai.NotFoundError):
            client.files.retrieve(file.id, extra_headers={"x-ai-eg-model": model})
        with pytest.raises(openai.NotFoundError):
            client.batches.create(input_file_id=file.id, extra_body={"model": model}, **asked)
    assert len(providers["main"].requests("/v1/")) == 4
    logged = gateway.logged(user, 8)
    assert [line["backend"] for line in logged].count("default/spare") == 4
    assert all(none_used(line) for line in logged)


def test_a_file_that_is_larger_than_what_the_gateway_holds(gateway, user):
    content = bytes(range(256)) * (40 << 12)
    client = gateway.openai(user)
    file = client.files.create(file=("large.bin", content), purpose="user_data")
    assert file.bytes == len(content) == 40 << 20
    assert client.files.content(file.id).read() == content
    client.files.delete(file.id)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_what_openai_answers_is_counted(gateway, user, stream):
    client = gateway.openai(user).with_options(base_url=f"{gateway.url}/main/v1")
    asked = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    answer = client.chat.completions.create(model="gpt-4.1", messages=HELLO, **asked)
    text = text_of(answer) if stream else answer.choices[0].message.content
    assert text == sentence("main")
    (line,) = gateway.logged(user)
    assert used_all(line) and line["original_model"] == "gpt-4.1", line
    assert (line["backend"], line["status"]) == ("default/main", 200)
    assert gateway.spent(user) == TOTAL


def claude_of(gateway, user):
    return anthropic.Anthropic(
        base_url=f"{gateway.url}/claude",
        api_key="sk-ant-of-the-client",
        default_headers={"x-user-id": user},
        max_retries=0,
        http_client=anthropic.DefaultHttpxClient(verify=False),
    )


def test_batches_of_anthropic(gateway, providers, user):
    client = claude_of(gateway, user)
    params = {"model": "claude-sonnet-4-5", "max_tokens": 99, "messages": HELLO}
    batch = client.messages.batches.create(requests=[{"custom_id": "one", "params": params}])
    assert (batch.processing_status, batch.request_counts.processing) == ("in_progress", 1)
    batch = client.messages.batches.retrieve(batch.id)
    assert batch.processing_status == "ended"
    with httpx.Client(base_url=gateway.url, verify=False) as http:
        results = http.get(
            f"/claude/v1/messages/batches/{batch.id}/results",
            headers={"x-api-key": "sk-ant-of-the-client", "x-user-id": user},
        )
    assert json.loads(results.text)["result"]["message"]["content"][0]["text"] == sentence("claude")
    requests = providers["claude"].requests("/v1/messages/batches")
    assert len(requests) == 3 and not any(has_clients_credential(request) for request in requests)
    assert all(none_used(line) for line in gateway.logged(user, 3))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_what_claude_answers_is_counted(gateway, user, stream):
    client = claude_of(gateway, user)
    asked = {"model": "claude-sonnet-4-5", "max_tokens": 99, "messages": HELLO}
    if stream:
        with client.messages.stream(**asked) as events:
            message = events.get_final_message()
    else:
        message = client.messages.create(**asked)
    assert message.content[0].text == sentence("claude")
    (line,) = gateway.logged(user)
    assert used_all(line) and line["response_model"] == "claude-sonnet-4-5", line
    assert gateway.spent(user) == TOTAL


@pytest.fixture
def bedrock(gateway, user):
    client = boto3.client(
        "bedrock-runtime",
        endpoint_url=f"{gateway.url}/bedrock",
        region_name="eu-west-1",
        aws_access_key_id="AKIA-of-the-client",
        aws_secret_access_key="secret-of-the-client",
        aws_session_token="token-of-the-client",
        verify=False,
        config=botocore.config.Config(retries={"total_max_attempts": 1}),
    )
    name_user = lambda request, **_: request.headers.add_header("x-user-id", user)  # noqa: E731
    client.meta.events.register("before-sign.bedrock-runtime.*", name_user)
    return client


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_converse_is_signed_anew_and_counted(gateway, providers, user, bedrock, stream):
    asked = {"modelId": CLAUDE, "messages": [{"role": "user", "content": [{"text": "one two three"}]}]}
    if stream:
        events = list(bedrock.converse_stream(**asked)["stream"])
        text = "".join(event.get("contentBlockDelta", {}).get("delta", {}).get("text", "") for event in events)
    else:
        text = bedrock.converse(**asked)["output"]["message"]["content"][0]["text"]
    assert text == sentence("bedrock")
    (request,) = providers["bedrock"].requests("/model/")
    assert not has_clients_credential(request)
    assert "us-west-2/bedrock" in request["headers"]["authorization"]
    (line,) = gateway.logged(user)
    assert used_all(line) and line["original_model"] == CLAUDE, line
    assert gateway.spent(user) == TOTAL


def test_invoke_model_is_counted(gateway, user, bedrock):
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 99, "messages": HELLO}
    answer = bedrock.invoke_model(modelId=CLAUDE, body=json.dumps(body))
    assert json.loads(answer["body"].read())["content"][0]["text"] == sentence("bedrock")
    events = bedrock.invoke_model_with_response_stream(modelId=CLAUDE, body=json.dumps(body))
    assert b"message_stop" in b"".join(event["chunk"]["bytes"] for event in events["body"])
    logged = gateway.logged(user, 2)
    assert all(used_all(line) for line in logged), logged
    assert gateway.spent(user) == 2 * TOTAL


def test_an_error_is_the_providers_own(gateway, user, bedrock, providers):
    providers["bedrock"].script(
        {"json": {"message": "Too many tokens, please wait before trying again."}},
        status=429,
        headers={"x-amzn-errortype": "ThrottlingException"},
    )
    with pytest.raises(bedrock.exceptions.ThrottlingException, match="Too many tokens"):
        bedrock.converse(modelId=CLAUDE, messages=[{"role": "user", "content": [{"text": "one"}]}])
    (line,) = gateway.logged(user)
    assert line["status"] == 429 and none_used(line)


def test_azures_own_paths(gateway, providers, user):
    path = "/openai/deployments/our-gpt/chat/completions?api-version=2024-10-21"
    headers = {"api-key": "key-of-the-client", "x-user-id": user}
    answer = gateway.http.post(f"/azure{path}", json={"messages": HELLO}, headers=headers)
    assert answer.json()["choices"][0]["message"]["content"] == sentence("azure")
    (request,) = providers["azure"].requests()
    assert request["path"] == path and not has_clients_credential(request)
    (line,) = gateway.logged(user)
    assert used_all(line) and line["original_model"] == "our-gpt", line


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v1/file", 404), ("/mainly/v1/models", 404), ("/main/..%2f..%2fx", 400), ("/v1/chat/completions", 405)],
)
def test_other_paths_stay_what_they_are(gateway, providers, path, status):
    answer = gateway.http.get(path)
    assert answer.status_code == status
    assert "message" in answer.json()["error"]
    assert not any(providers[name].requests() for name in ("main", "claude", "bedrock", "azure"))


@pytest.mark.parametrize("model", ["gpt", "other"])
def test_a_model_that_is_said_changes_nothing_elsewhere(gateway, providers, model):
    answer = gateway.http.get("/main/v1/models", headers={"x-ai-eg-model": model})
    assert answer.json()["object"] == "list"
    assert len(providers["main"].requests("/v1/models")) == 1


def test_models_go_their_way_beside_it(gateway, user):
    answer = gateway.openai(user).chat.completions.create(model="gpt", messages=HELLO)
    assert answer.choices[0].message.content == sentence("main")
