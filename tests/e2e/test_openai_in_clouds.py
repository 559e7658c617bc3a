"""OpenAI's SDK, and the API at Azure and on Bedrock: the stand-ins refuse wrong paths, versions, keys, signatures, and what
OpenAI refuses of a request."""

import json

import openai
import pytest

from harness import providers as stand_ins
from harness import resources
from harness.samples import HELLO, TOTAL, sentence, text_of

VERSION = "2024-10-21"
GPT_OSS = "openai.gpt-oss-20b-1:0"
#: The client's name of a model, who serves it, where, and what it is called there.
PLACES = {
    "azure-dated": ("azure", f"/openai/deployments/our-gpt/chat/completions?api-version={VERSION}", "our-gpt"),
    "azure-v1": ("azure", "/openai/v1/chat/completions", "our-gpt"),
    "bedrock-signed": ("bedrock", "/openai/v1/chat/completions", GPT_OSS),
    "bedrock-keyed": ("bedrock", "/openai/v1/chat/completions", GPT_OSS),
}

places = pytest.mark.parametrize("model", PLACES)


@pytest.fixture(scope="module")
def gateway(shared_providers, start_gateway):
    azure, bedrock = shared_providers["azure"].url, shared_providers["bedrock"].url

    def there(name):
        return {"name": name, "modelNameOverride": PLACES[name][2]}

    return start_gateway(
        [
            *resources.gateway(),
            *resources.backend("azure-dated", azure, "AzureOpenAI", VERSION),
            *resources.azure_key("azure-dated", stand_ins.AZURE_KEY),
            *resources.backend("azure-v1", azure, "AzureOpenAI"),
            *resources.azure_token("azure-v1", stand_ins.AZURE_TOKEN),
            *resources.backend("azure-wrong", azure, "AzureOpenAI", VERSION),
            *resources.azure_key("azure-wrong", "another-key"),
            *resources.backend("bedrock-signed", bedrock, "AWSOpenAI"),
            *resources.aws_file("bedrock-signed", stand_ins.AWS_KEY),
            *resources.backend("bedrock-keyed", bedrock, "AWSOpenAI"),
            *resources.api_key("bedrock-keyed", stand_ins.BEDROCK_API_KEY),
            resources.route(
                *[resources.rule(name, there(name)) for name in PLACES],
                resources.rule("missing", {"name": "azure-dated"}),
                resources.rule("wrong", {"name": "azure-wrong"}),
                resources.rule("several", there("azure-dated"), {**there("bedrock-signed"), "priority": 1}),
            ),
            resources.traffic(
                retry={"numRetries": 1, "retryOn": {"httpStatusCodes": [500], "triggers": ["retriable-status-codes"]}}
            ),
        ]
    )


@pytest.fixture
def client(gateway):
    return gateway.openai()


def last(providers, model):
    return providers[PLACES[model][0]].requests()[-1]


@places
def test_whole(client, providers, model):
    answer = client.chat.completions.create(model=model, messages=HELLO)
    provider, path, name = PLACES[model]
    assert answer.choices[0].message.content == sentence(provider)
    assert (answer.usage.total_tokens, answer.model) == (TOTAL, name)
    request = last(providers, model)
    assert (request["path"], json.loads(request["body"])["model"]) == (path, name)
    assert "sk-of-the-client" not in json.dumps(request["headers"])


@places
def test_stream(gateway, providers, user, model):
    # Azure's first chunk names nothing, which the SDK's strict types do not have.
    client = gateway.openai(user, _strict_response_validation=False)
    chunks = list(client.chat.completions.create(model=model, messages=HELLO, stream=True))
    assert text_of(chunks) == sentence(PLACES[model][0])
    assert not any(chunk.usage for chunk in chunks), "the client did not ask for usage"
    assert json.loads(last(providers, model)["body"])["stream_options"] == {"include_usage": True}
    (line,) = gateway.logged(user)
    assert line["usage_status"] == "complete"
    assert gateway.spent(user) == TOTAL


@places
def test_the_body_reaches_the_backend_byte_by_byte(gateway, providers, model):
    name = PLACES[model][2]
    body = '{ "model":"%s",\n "messages" : [{"role":"user","content":"\\u00fc"}], "temperature": 1e0,"seed":0 }'
    content = (body % model).encode()
    answer = gateway.http.post(
        "/v1/chat/completions", content=content, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 200, answer.text
    assert last(providers, model)["body"] == body % name


@places
def test_responses(client, providers, model):
    answer = client.responses.create(model=model, input="one two three")
    assert answer.output_text == sentence(PLACES[model][0])
    path = last(providers, model)["path"]
    expected = f"/openai/responses?api-version={VERSION}" if model == "azure-dated" else "/openai/v1/responses"
    assert path == expected


def test_embeddings(client, providers):
    for model in ("azure-dated", "azure-v1"):
        answer = client.embeddings.create(model=model, input=["one two", "three"], encoding_format="float")
        assert (len(answer.data), answer.usage.prompt_tokens) == (2, 3)
    paths = [request["path"] for request in providers["azure"].requests()]
    assert paths == [f"/openai/deployments/our-gpt/embeddings?api-version={VERSION}", "/openai/v1/embeddings"]
    with pytest.raises(openai.UnprocessableEntityError, match="AWSOpenAI"):
        client.embeddings.create(model="bedrock-signed", input="x", encoding_format="float")


def test_the_key_goes_where_it_belongs(client, providers):
    for model in PLACES:
        client.chat.completions.create(model=model, messages=HELLO)
    by_key, by_token = (request["headers"] for request in providers["azure"].requests())
    assert by_key["api-key"] == stand_ins.AZURE_KEY
    assert "authorization" not in by_key
    assert by_token["authorization"] == f"Bearer {stand_ins.AZURE_TOKEN}"
    assert "api-key" not in by_token
    signed, keyed = (request["headers"] for request in providers["bedrock"].requests())
    assert f"/{stand_ins.REGION}/bedrock/aws4_request" in signed["authorization"]
    assert keyed["authorization"] == f"Bearer {stand_ins.BEDROCK_API_KEY}"


def test_the_version_is_the_backends(gateway, providers):
    body = {"model": "azure-dated", "messages": HELLO}
    answer = gateway.http.post("/v1/chat/completions?api-version=2020-01-01", json=body)
    assert answer.status_code == 200, answer.text


def test_errors(client, providers):
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="missing", messages=HELLO)
    assert caught.value.code == "DeploymentNotFound"
    with pytest.raises(openai.AuthenticationError, match="subscription key") as caught:
        client.chat.completions.create(model="wrong", messages=HELLO)
    assert "another-key" not in str(caught.value)
    for model in PLACES:
        with pytest.raises(openai.BadRequestError, match="top_k"):
            client.chat.completions.create(model=model, messages=HELLO, extra_body={"top_k": 1})


def test_a_revoked_key_is_the_clouds_error(client, providers):
    providers["bedrock"].set_keys()
    try:
        with pytest.raises(openai.PermissionDeniedError, match="security token"):
            client.chat.completions.create(model="bedrock-signed", messages=HELLO)
    finally:
        providers["bedrock"].set_keys(stand_ins.AWS_KEY)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_the_next_cloud_is_tried(gateway, providers, stream):
    providers["azure"].fail(500)
    answer = gateway.chat("several", stream=stream)
    assert answer.status_code == 200, answer.text
    assert "bedrock" in answer.text
    assert providers["azure"].requests()[0]["path"].startswith("/openai/deployments/")
    request = providers["bedrock"].requests()[0]
    assert request["path"] == "/openai/v1/chat/completions"
    assert "api-key" not in request["headers"]
