"""The stand-ins for clouds: the SDKs that are made for them, in strict mode, take what they say, and they refuse what the real ones
refuse."""

import json

import anthropic
import boto3
import botocore.config
import botocore.exceptions
import httpx
import openai
import pytest

from harness import providers as stand_ins
from harness.resources import CLAUDE
from harness.samples import HELLO, events_of_a_text, sentence


def bedrock_client(provider, key=stand_ins.AWS_KEY, region=stand_ins.REGION):
    return boto3.client(
        "bedrock-runtime",
        region_name=region,
        endpoint_url=provider.url,
        aws_access_key_id=key["access_key_id"],
        aws_secret_access_key=key["secret_access_key"],
        aws_session_token=key["session_token"],
        config=botocore.config.Config(retries={"total_max_attempts": 1}),
    )


def claude_body(**more):
    return {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 50, "messages": HELLO, **more}


class TestBedrock:
    def test_invoke(self, providers):
        answer = bedrock_client(providers["bedrock"]).invoke_model(modelId=CLAUDE, body=json.dumps(claude_body()))
        message = json.load(answer["body"])
        assert message["content"][0]["text"] == sentence("bedrock")
        assert message["model"] == CLAUDE
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        assert headers["x-amzn-bedrock-input-token-count"] == "3"
        assert headers["x-amzn-requestid"]

    def test_stream(self, providers):
        answer = bedrock_client(providers["bedrock"]).invoke_model_with_response_stream(
            modelId=CLAUDE, body=json.dumps(claude_body(max_tokens=3))
        )
        events = [json.loads(event["chunk"]["bytes"]) for event in answer["body"]]
        assert [event["type"] for event in events] == events_of_a_text(3)
        assert events[-1]["amazon-bedrock-invocationMetrics"]["outputTokenCount"] == 3

    def test_anthropics_own_bedrock_client(self, providers):
        # It sends the model's colon as it is, where boto3 escapes it: both are signed paths.
        client = anthropic.AnthropicBedrock(
            base_url=providers["bedrock"].url,
            aws_region=stand_ins.REGION,
            aws_access_key=stand_ins.AWS_KEY["access_key_id"],
            aws_secret_key=stand_ins.AWS_KEY["secret_access_key"],
            max_retries=0,
            _strict_response_validation=True,
        )
        # It asks for the latest version of the API, which Bedrock has for Claude 4.7 and later.
        model = "us.anthropic.claude-opus-4-7-v1:0"
        assert client.messages.create(model=model, max_tokens=50, messages=HELLO).usage.output_tokens == 22
        with client.messages.stream(model=model, max_tokens=4, messages=HELLO) as stream:
            assert stream.get_final_message().usage.output_tokens == 4
        paths = [request["path"] for request in providers["bedrock"].requests()]
        assert paths[0] == f"/model/{model}/invoke"
        with pytest.raises(anthropic.BadRequestError, match="anthropic_version"):
            client.messages.create(model=CLAUDE, max_tokens=50, messages=HELLO)

    def test_an_arn_is_one_segment_of_the_path(self, providers):
        model = "arn:aws:bedrock:us-west-2:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5"
        answer = bedrock_client(providers["bedrock"]).invoke_model(modelId=model, body=json.dumps(claude_body()))
        assert json.load(answer["body"])["model"] == model
        assert "inference-profile%2F" in providers["bedrock"].requests()[0]["path"]

    @pytest.mark.parametrize(
        ("change", "region", "error"),
        [
            ({"secret_access_key": "wrong"}, "us-west-2", "InvalidSignatureException"),
            ({"access_key_id": "AKIAUNKNOWN"}, "us-west-2", "UnrecognizedClientException"),
            ({"session_token": "unasked"}, "us-west-2", "UnrecognizedClientException"),
            ({}, "eu-west-1", "InvalidSignatureException"),
        ],
    )
    def test_bad_signatures(self, providers, change, region, error):
        client = bedrock_client(providers["bedrock"], {**stand_ins.AWS_KEY, **change}, region)
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            client.invoke_model(modelId=CLAUDE, body=json.dumps(claude_body()))
        assert caught.value.response["Error"]["Code"] == error
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403

    def test_a_changed_body_breaks_the_signature(self, providers):
        bedrock = providers["bedrock"]
        bedrock_client(bedrock).invoke_model(modelId=CLAUDE, body=json.dumps(claude_body()))
        sent = bedrock.requests()[0]
        headers = {name: value for name, value in sent["headers"].items() if name != "content-length"}
        again = httpx.post(bedrock.url + sent["path"], headers=headers, content=sent["body"])
        assert again.status_code == 200
        changed = httpx.post(bedrock.url + sent["path"], headers=headers, content=sent["body"] + " ")
        assert changed.status_code == 403
        assert changed.headers["x-amzn-errortype"] == "InvalidSignatureException"
        unsigned = httpx.post(bedrock.url + sent["path"], content=sent["body"])
        assert unsigned.headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"

    def test_keys_can_be_rotated(self, providers):
        bedrock = providers["bedrock"]
        try:
            bedrock.set_keys(stand_ins.AWS_NEXT_KEY)
            with pytest.raises(botocore.exceptions.ClientError):
                bedrock_client(bedrock).invoke_model(modelId=CLAUDE, body=json.dumps(claude_body()))
            bedrock_client(bedrock, stand_ins.AWS_NEXT_KEY).invoke_model(
                modelId=CLAUDE, body=json.dumps(claude_body())
            )
        finally:
            bedrock.set_keys(stand_ins.AWS_KEY)

    @pytest.mark.parametrize("extra", [{"model": "m"}, {"stream": True}, {"anthropic_version": "2023-06-01"}])
    def test_the_body_is_bedrocks(self, providers, extra):
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            bedrock_client(providers["bedrock"]).invoke_model(
                modelId=CLAUDE, body=json.dumps({**claude_body(), **extra})
            )
        assert caught.value.response["Error"]["Code"] == "ValidationException"

    def test_boto_sees_a_bad_checksum(self, providers):
        providers["bedrock"].script(
            {"chunk": {"type": "ping"}},
            {"frame": {"headers": {":message-type": "event", ":event-type": "chunk"}, "corrupt_crc": True}},
            headers={"content-type": "application/vnd.amazon.eventstream"},
        )
        answer = bedrock_client(providers["bedrock"]).invoke_model_with_response_stream(
            modelId=CLAUDE, body=json.dumps(claude_body())
        )
        with pytest.raises(Exception, match="[Cc]hecksum"):
            list(answer["body"])

    def test_boto_sees_an_exception_frame(self, providers):
        headers = {
            ":message-type": "exception",
            ":exception-type": "throttlingException",
            ":content-type": "application/json",
        }
        providers["bedrock"].script(
            {"frame": {"headers": headers, "payload": {"message": "slow down"}}},
            headers={"content-type": "application/vnd.amazon.eventstream"},
        )
        answer = bedrock_client(providers["bedrock"]).invoke_model_with_response_stream(
            modelId=CLAUDE, body=json.dumps(claude_body())
        )
        with pytest.raises(botocore.exceptions.EventStreamError, match="slow down"):
            list(answer["body"])


class TestCredentials:
    def test_boto_fetches_them(self, providers, monkeypatch):
        endpoint = providers["pod-identity"]
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", endpoint.url + "/v1/credentials")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "pod-token-1")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        credentials = boto3.session.Session().get_credentials().get_frozen_credentials()
        assert credentials.access_key == stand_ins.AWS_KEY["access_key_id"]

    def test_token_and_answer(self, providers):
        endpoint = providers["pod-identity"]
        url = endpoint.url + "/v1/credentials"
        assert httpx.get(url).status_code == 400
        assert httpx.get(url, headers={"authorization": "wrong"}).status_code == 401
        try:
            endpoint.set_credentials(token="t2", key=stand_ins.AWS_NEXT_KEY, valid_for_s=60)
            answer = httpx.get(url, headers={"authorization": "t2"}).json()
            assert answer["Token"] == stand_ins.AWS_NEXT_KEY["session_token"]
            assert answer["Expiration"].endswith("Z")
        finally:
            endpoint.set_credentials(token="pod-token-1", key=stand_ins.AWS_KEY, valid_for_s=6 * 3600)


class TestAzure:
    """What OpenAI's SDK for Azure sends, and what is refused."""

    @pytest.fixture
    def azure(self, providers):
        return openai.AzureOpenAI(
            azure_endpoint=providers["azure"].url,
            api_key=stand_ins.AZURE_KEY,
            api_version="2024-10-21",
            max_retries=0,
            timeout=10,
        )

    def test_its_own_sdk(self, azure):
        answer = azure.chat.completions.create(model="our-gpt", messages=HELLO)
        assert (answer.model, answer.choices[0].message.content) == ("our-gpt", sentence("azure"))
        chunks = list(azure.chat.completions.create(model="our-gpt", messages=HELLO, stream=True))
        assert chunks[0].choices == []
        assert azure.responses.create(model="our-gpt", input="x").output_text
        assert len(azure.embeddings.create(model="our-gpt", input="x", encoding_format="float").data) == 1
        with pytest.raises(openai.NotFoundError, match="deployment"):
            azure.chat.completions.create(model="missing", messages=HELLO)

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("/openai/v1/chat/completions", 200),
            ("/openai/v1/chat/completions?api-version=preview", 200),
            ("/openai/v1/chat/completions?api-version=2024-10-21", 400),
            ("/openai/deployments/m/chat/completions", 404),
            ("/openai/deployments/m/chat/completions?api-version=latest", 404),
            ("/openai/deployments/m/chat/completions?api-version=2024-10-21&api-version=2024-10-21", 404),
            ("/openai/deployments/m/responses?api-version=2024-10-21", 404),
            ("/openai/responses?api-version=2024-10-21", 200),
            ("/v1/chat/completions", 404),
        ],
    )
    def test_paths(self, providers, path, status):
        body = {"model": "m", "messages": HELLO} if "chat" in path else {"model": "m", "input": "x"}
        headers = {"api-key": stand_ins.AZURE_KEY}
        answer = httpx.post(providers["azure"].url + path, json=body, headers=headers)
        assert answer.status_code == status, answer.text

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"api-key": stand_ins.AZURE_KEY}, 200),
            ({"authorization": f"Bearer {stand_ins.AZURE_TOKEN}"}, 200),
            ({"api-key": "x"}, 401),
            ({"authorization": "Bearer x"}, 401),
            ({}, 401),
        ],
    )
    def test_keys(self, providers, headers, status):
        body = {"model": "m", "messages": HELLO}
        url = providers["azure"].url + "/openai/v1/chat/completions"
        assert httpx.post(url, json=body, headers=headers).status_code == status


def test_bedrock_has_openais_api_by_key(providers):
    client = openai.OpenAI(
        base_url=providers["bedrock"].url + "/openai/v1", api_key=stand_ins.BEDROCK_API_KEY, max_retries=0, timeout=10
    )
    answer = client.chat.completions.create(model="openai.gpt-oss-20b-1:0", messages=HELLO)
    assert answer.choices[0].message.content == sentence("bedrock")
    with pytest.raises(openai.PermissionDeniedError):
        client.with_options(api_key="x").chat.completions.create(model="m", messages=HELLO)
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="m", input="x")
    with pytest.raises(openai.BadRequestError, match="top_k"):
        client.chat.completions.create(model="m", messages=HELLO, extra_body={"top_k": 1})


class TestVertex:
    """What Anthropic's SDK for Vertex AI sends, what Gemini answers, and what is refused."""

    GEMINI = "/v1/projects/weir-test/locations/us-central1/publishers/google/models/gemini-3-flash-preview"
    PROMPT = {"contents": [{"role": "user", "parts": [{"text": "one two three"}]}]}

    @pytest.fixture
    def vertex(self, providers):
        return anthropic.AnthropicVertex(
            access_token=stand_ins.GOOGLE_TOKEN,
            project_id=stand_ins.GOOGLE_PROJECT,
            region=stand_ins.GOOGLE_REGION,
            base_url=providers["vertex"].url + "/v1",
            max_retries=0,
            timeout=10,
        )

    @pytest.fixture
    def gemini(self, providers):
        def ask(body=self.PROMPT, method="generateContent", path=self.GEMINI, token=stand_ins.GOOGLE_TOKEN):
            url = providers["vertex"].url + f"{path}:{method}"
            return httpx.post(url, json=body, headers={"authorization": f"Bearer {token}"})

        return ask

    def test_its_own_sdk(self, vertex):
        asked = {"model": "claude-opus-4-7@default", "max_tokens": 50, "messages": HELLO}
        answer = vertex.messages.create(**asked)
        assert answer.content[0].text == sentence("vertex")
        with vertex.messages.stream(**asked) as stream:
            assert stream.get_final_message().content[0].text == answer.content[0].text
        counted = vertex.messages.count_tokens(model="claude-opus-4-7@default", messages=HELLO)
        assert counted.input_tokens == answer.usage.input_tokens
        with pytest.raises(anthropic.BadRequestError, match="inference_geo"):
            vertex.messages.create(**asked, extra_body={"inference_geo": "us"})
        with pytest.raises(anthropic.BadRequestError, match="anthropic_version"):
            vertex.messages.create(**{**asked, "model": "claude-sonnet-4-5@20250929"})
        with pytest.raises(anthropic.AuthenticationError):
            vertex.with_options(access_token="x").messages.create(**asked)

    def test_gemini(self, gemini):
        answer = gemini().json()
        [candidate] = answer["candidates"]
        assert candidate["content"]["parts"][0]["text"] == sentence("vertex")
        assert answer["usageMetadata"]["promptTokenCount"] == 3
        events = gemini(method="streamGenerateContent?alt=sse").text.strip().split("\n\n")
        chunks = [json.loads(event.removeprefix("data: ")) for event in events]
        assert chunks[-1]["usageMetadata"] == answer["usageMetadata"]
        assert isinstance(gemini(method="streamGenerateContent").json(), list)

    @pytest.mark.parametrize(
        ("change", "status", "message"),
        [
            ({"token": "x"}, 401, "authentication"),
            ({"path": GEMINI.replace("weir-test", "other")}, 403, "Permission denied"),
            ({"path": GEMINI.replace("google", "openai")}, 404, "not found"),
            ({"body": {}}, 400, "contents"),
            ({"body": {**PROMPT, "temperature": 1}}, 400, "temperature"),
            ({"body": {**PROMPT, "generationConfig": {"temperature": 3}}}, 400, "temperature"),
        ],
    )
    def test_what_gemini_refuses(self, gemini, change, status, message):
        answer = gemini(**change)
        assert (answer.status_code, message in answer.json()["error"]["message"]) == (status, True), answer.text
