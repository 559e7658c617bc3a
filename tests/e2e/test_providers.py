"""The stand-ins themselves: the providers' own SDKs, in strict mode, take what they say, and they refuse what the
real ones refuse."""

import base64
import gzip
import io
import json
import signal
import socket
import struct
import time

import anthropic
import boto3
import botocore.config
import botocore.exceptions
import httpx
import openai
import pytest

from harness import providers as stand_ins
from harness.process import wait_for
from harness.resources import CLAUDE

SENTENCE = "a weir is a low dam that steers a river, measures it and holds it back when it must."
WEATHER = {
    "name": "weather",
    "description": "The weather in a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
    },
}
HELLO = [{"role": "user", "content": "one two three"}]


@pytest.fixture
def client(providers):
    return openai.OpenAI(
        base_url=providers["qwen3"].url + "/v1",
        api_key="none",
        max_retries=0,
        timeout=10,
        _strict_response_validation=True,
    )


@pytest.fixture
def claude(providers):
    return anthropic.Anthropic(
        base_url=providers["claude"].url,
        api_key=stand_ins.ANTHROPIC_KEY,
        max_retries=0,
        timeout=10,
        _strict_response_validation=True,
    )


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


class TestOpenAI:
    def test_chat(self, client):
        answer = client.chat.completions.create(model="m", messages=HELLO)
        assert answer.choices[0].message.content == f"Hello from qwen3: {SENTENCE}"
        assert answer.choices[0].finish_reason == "stop"
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (
            3,
            22,
            25,
        )

    def test_chat_stops_at_the_limit_and_at_a_stop_sequence(self, client):
        answer = client.chat.completions.create(model="m", messages=HELLO, max_completion_tokens=2)
        assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("Hello from ", "length")
        answer = client.chat.completions.create(model="m", messages=HELLO, stop=["from"])
        assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("Hello ", "stop")

    def test_chat_stream(self, client):
        chunks = list(client.chat.completions.create(model="m", messages=HELLO, stream=True))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == f"Hello from qwen3: {SENTENCE}"
        assert all(chunk.usage is None for chunk in chunks)

    def test_chat_stream_with_usage(self, client):
        options = {"include_usage": True}
        chunks = list(
            client.chat.completions.create(model="m", messages=HELLO, stream=True, stream_options=options)
        )
        assert [chunk.usage is not None for chunk in chunks].count(True) == 1
        assert chunks[-1].choices == []
        assert chunks[-1].usage.total_tokens == 25

    @pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "weather"}}])
    def test_tool(self, client, choice):
        tools = [{"type": "function", "function": WEATHER}]
        answer = client.chat.completions.create(model="m", messages=HELLO, tools=tools, tool_choice=choice)
        call = answer.choices[0].message.tool_calls[0]
        assert (call.function.name, json.loads(call.function.arguments)) == (
            "weather",
            {"city": "Paris", "days": 1},
        )
        assert answer.choices[0].finish_reason == "tool_calls"

    def test_tool_stream(self, client):
        tools = [{"type": "function", "function": WEATHER}]
        with client.chat.completions.stream(
            model="m", messages=HELLO, tools=tools, tool_choice="required"
        ) as stream:
            answer = stream.get_final_completion()
        assert json.loads(answer.choices[0].message.tool_calls[0].function.arguments) == {
            "city": "Paris",
            "days": 1,
        }

    def test_no_tool_unless_forced(self, client):
        tools = [{"type": "function", "function": WEATHER}]
        answer = client.chat.completions.create(model="m", messages=HELLO, tools=tools)
        assert answer.choices[0].message.tool_calls is None

    def test_structured_output(self, client):
        schema = {"name": "w", "schema": WEATHER["parameters"]}
        answer = client.chat.completions.create(
            model="m", messages=HELLO, response_format={"type": "json_schema", "json_schema": schema}
        )
        assert json.loads(answer.choices[0].message.content) == {"city": "Paris", "days": 1}

    def test_completions(self, client):
        answer = client.completions.create(model="m", prompt="one two", max_tokens=5)
        assert (answer.choices[0].text, answer.choices[0].finish_reason) == ("Hello from qwen3: a weir ", "length")
        assert answer.usage.total_tokens == 7

    def test_completions_stream(self, providers):
        # The SDK's type has no null for finish_reason, which the API sends in all chunks but the last.
        client = openai.OpenAI(base_url=providers["qwen3"].url + "/v1", api_key="none")
        chunks = list(client.completions.create(model="m", prompt="one", max_tokens=3, stream=True))
        assert "".join(chunk.choices[0].text for chunk in chunks) == "Hello from qwen3: "
        assert chunks[-1].choices[0].finish_reason == "length"

    def test_embeddings(self, client):
        answer = client.embeddings.create(
            model="m", input=["one two", "three"], encoding_format="float", dimensions=4
        )
        assert answer.usage.prompt_tokens == 3
        assert [item.embedding for item in answer.data] == [[0.5, -0.25, 0.5, -0.25], [-0.25, 0.5, -0.25, 0.5]]

    def test_embeddings_in_base64(self, providers):
        # What the SDK asks for when the caller says nothing; its strict mode knows only lists.
        client = openai.OpenAI(base_url=providers["qwen3"].url + "/v1", api_key="none")
        answer = client.embeddings.create(model="m", input="three", encoding_format="base64", dimensions=4)
        assert struct.unpack("<4f", base64.b64decode(answer.data[0].embedding)) == (-0.25, 0.5, -0.25, 0.5)

    def test_responses(self, client):
        answer = client.responses.create(model="m", input="one two three", instructions="four")
        assert answer.output_text == f"Hello from qwen3: {SENTENCE}"
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (4, 22)

    def test_responses_cut(self, client):
        answer = client.responses.create(model="m", input="x", max_output_tokens=2)
        assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "max_output_tokens")

    def test_responses_stream(self, client):
        events = list(client.responses.create(model="m", input="one two three", stream=True))
        names = [event.type for event in events]
        assert names[:4] == [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
        ]
        assert names[-4:] == [
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
        assert [event.sequence_number for event in events] == list(range(len(events)))
        assert events[-1].response.usage.total_tokens == 25

    def test_responses_tool_stream(self, client):
        tools = [{"type": "function", "strict": True, **WEATHER}]
        with client.responses.stream(model="m", input="x", tools=tools, tool_choice="required") as stream:
            answer = stream.get_final_response()
        assert json.loads(answer.output[0].arguments) == {"city": "Paris", "days": 1}

    def test_images(self, client):
        answer = client.images.generate(model="m", prompt="a weir", n=2)
        assert base64.b64decode(answer.data[1].b64_json).startswith(b"\x89PNG")
        assert answer.usage.total_tokens == 2 + 2 * 272

    def test_speech(self, client):
        answer = client.audio.speech.create(model="m", voice="alloy", input="hello there")
        assert answer.read() == b"m:hello there"

    def test_transcription(self, client):
        answer = client.audio.transcriptions.create(model="m", file=("a.wav", b"x" * 3200))
        assert answer.text == f"Hello from qwen3: {SENTENCE}"
        assert answer.usage.input_tokens == 2
        stream = client.audio.transcriptions.create(model="m", file=("a.wav", b"x"), stream=True)
        assert list(stream)[-1].usage.output_tokens == 22
        assert client.audio.translations.create(model="m", file=("a.wav", b"x")).text

    def test_models(self, client):
        assert [model.id for model in client.models.list()] == ["qwen3"]

    def test_tokenize_and_rerank(self, providers):
        url = providers["qwen3"].url
        counted = httpx.post(url + "/tokenize", json={"model": "m", "messages": HELLO}).json()
        assert counted["count"] == 3
        documents = ["one", "one two three", "one two"]
        body = {"model": "m", "query": "one two", "documents": documents, "top_n": 2}
        ranked = httpx.post(url + "/v2/rerank", json=body).json()
        assert [result["index"] for result in ranked["results"]] == [1, 2]
        assert ranked["meta"]["tokens"]["input_tokens"] == 8

    def test_refusals(self, providers, client):
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(model="m", messages=[])
        assert caught.value.type == "invalid_request_error"
        with pytest.raises(openai.NotFoundError):
            client.post("/nothing", cast_to=object, body={})
        keyed = openai.OpenAI(base_url=providers["main"].url + "/v1", api_key="wrong", max_retries=0)
        with pytest.raises(openai.AuthenticationError) as caught:
            keyed.models.list()
        assert caught.value.code == "invalid_api_key"
        assert keyed.with_options(api_key=stand_ins.OPENAI_KEY).models.list().data[0].id == "main"


class TestAnthropic:
    def test_message(self, claude):
        answer = claude.messages.create(model="m", max_tokens=50, messages=HELLO)
        assert answer.content[0].text == f"Hello from claude: {SENTENCE}"
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (3, 22)
        assert answer.stop_reason == "end_turn"

    def test_stream(self, claude):
        with claude.messages.stream(model="m", max_tokens=4, messages=HELLO) as stream:
            answer = stream.get_final_message()
        assert answer.content[0].text == "Hello from claude: a "
        assert (answer.stop_reason, answer.usage.output_tokens) == ("max_tokens", 4)

    def test_tool_stream(self, claude):
        tools = [{"name": "weather", "input_schema": WEATHER["parameters"]}]
        choice = {"type": "any"}
        with claude.messages.stream(
            model="m", max_tokens=50, messages=HELLO, tools=tools, tool_choice=choice
        ) as stream:
            answer = stream.get_final_message()
        assert answer.content[0].input == {"city": "Paris", "days": 1}
        assert answer.stop_reason == "tool_use"

    def test_thinking_and_cache(self, claude):
        answer = claude.messages.create(
            model="m",
            max_tokens=4000,
            thinking={"type": "enabled", "budget_tokens": 1024},
            system=[{"type": "text", "text": "be very brief", "cache_control": {"type": "ephemeral"}}],
            messages=HELLO,
        )
        assert [block.type for block in answer.content] == ["thinking", "text"]
        assert (answer.usage.cache_creation_input_tokens, answer.usage.input_tokens) == (3, 3)

    def test_count(self, claude):
        assert claude.messages.count_tokens(model="m", messages=HELLO, system="four").input_tokens == 4

    def test_refusals(self, claude):
        with pytest.raises(anthropic.BadRequestError, match="non-empty"):
            claude.messages.create(model="m", max_tokens=5, messages=[{"role": "user", "content": ""}])
        with pytest.raises(anthropic.BadRequestError, match="temperature"):
            claude.messages.create(model="m", max_tokens=5, messages=HELLO, extra_body={"temperature": 1})
        with pytest.raises(anthropic.AuthenticationError):
            claude.with_options(api_key="wrong").messages.create(model="m", max_tokens=5, messages=HELLO)


class TestBedrock:
    def test_invoke(self, providers):
        answer = bedrock_client(providers["bedrock"]).invoke_model(modelId=CLAUDE, body=json.dumps(claude_body()))
        message = json.load(answer["body"])
        assert message["content"][0]["text"] == f"Hello from bedrock: {SENTENCE}"
        assert message["model"] == CLAUDE
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        assert headers["x-amzn-bedrock-input-token-count"] == "3"
        assert headers["x-amzn-requestid"]

    def test_stream(self, providers):
        answer = bedrock_client(providers["bedrock"]).invoke_model_with_response_stream(
            modelId=CLAUDE, body=json.dumps(claude_body(max_tokens=3))
        )
        events = [json.loads(event["chunk"]["bytes"]) for event in answer["body"]]
        assert [event["type"] for event in events] == [
            "message_start",
            "content_block_start",
            "ping",
            *["content_block_delta"] * 3,
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]
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


class TestScripts:
    def test_in_order_and_by_path(self, providers):
        qwen3 = providers["qwen3"]
        qwen3.script({"text": "for completions"}, path="/v1/completions", status=418)
        qwen3.fail(503, times=2)
        url = qwen3.url
        assert httpx.get(url + "/v1/models").status_code == 503
        assert httpx.post(url + "/v1/completions", json={}).text == "for completions"
        assert httpx.get(url + "/v1/models").status_code == 503
        assert httpx.get(url + "/v1/models").status_code == 200

    def test_reset_before_and_after_the_head(self, providers):
        qwen3 = providers["qwen3"]
        qwen3.script({"reset": True})
        with pytest.raises(httpx.ReadError):
            httpx.get(qwen3.url + "/v1/models")
        qwen3.script({"text": "some"}, {"delay_ms": 50}, {"reset": True})
        with httpx.stream("GET", qwen3.url + "/v1/models") as answer:
            assert answer.status_code == 200
            with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
                answer.read()
        assert [request["answer"] for request in qwen3.requests()] == ["reset", "reset"]

    def test_a_hang_lasts_until_the_client_leaves(self, providers):
        qwen3 = providers["qwen3"]
        qwen3.script({"text": "head first"}, {"hang": True})
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(qwen3.url + "/v1/models", timeout=0.3)
        wait_for(lambda: qwen3.requests()[0]["answer"] == "cut", what="the client's leaving")

    def test_default_answers_can_be_shaped(self, providers, client):
        providers["qwen3"].script({"default": {"words": 7, "delay_ms": 20}})
        started = time.monotonic()
        chunks = list(client.chat.completions.create(model="m", messages=HELLO, stream=True))
        assert time.monotonic() - started > 0.14
        assert len(chunks) == 9

    def test_gzip(self, providers, client):
        providers["qwen3"].script({"default": {}}, gzip=True)
        raw = client.chat.completions.with_raw_response.create(model="m", messages=HELLO)
        assert raw.headers["content-encoding"] == "gzip"
        assert raw.parse().choices[0].message.content
        providers["qwen3"].script({"base64": base64.b64encode(gzip.compress(b"{}")).decode()})
        assert gzip.decompress(httpx.get(providers["qwen3"].url + "/v1/models").content) == b"{}"

    def test_a_length_that_is_not_kept(self, providers):
        qwen3 = providers["qwen3"]
        qwen3.script({"text": "half"}, {"delay_ms": 1}, headers={"content-length": "8"})
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(qwen3.url + "/v1/models")

    def test_a_wrong_script_is_refused(self, providers):
        answer = httpx.post(providers["qwen3"].url + "/_script", json={"steps": [{"txt": "x"}]})
        assert answer.status_code == 400


def test_requests_are_kept_as_they_came(providers):
    url = providers["qwen3"].url
    httpx.post(url + "/v1/x?a=1", content=b"\xff\x00", headers=[("x-twice", "1"), ("x-twice", "2")])
    request = providers["qwen3"].requests()[0]
    assert (request["method"], request["path"]) == ("POST", "/v1/x?a=1")
    assert request["headers"]["x-twice"] == "1, 2"
    assert base64.b64decode(request["body_base64"]) == b"\xff\x00"


def test_a_provider_ends_on_a_signal_with_streams_open():
    provider = stand_ins.start_openai("slow")
    provider["slow"].script({"text": "x"}, {"hang": True})
    with httpx.stream("GET", provider["slow"].url + "/v1/models"):
        provider.popen.send_signal(signal.SIGTERM)
        assert provider.wait(5) == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", provider["slow"].port), 1)


def test_providers_compress_when_told_to():
    provider = stand_ins.start_openai("packed", gzip=True)
    try:
        url = provider["packed"].url + "/v1/models"
        assert httpx.get(url).headers["content-encoding"] == "gzip"
        assert "content-encoding" not in httpx.get(url, headers={"accept-encoding": "identity"}).headers
    finally:
        provider.stop()


def test_form_without_its_file_is_refused(providers):
    form = {"model": (None, io.BytesIO(b"m"))}
    answer = httpx.post(providers["qwen3"].url + "/v1/audio/transcriptions", files=form)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "file"


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
        assert (answer.model, answer.choices[0].message.content) == ("our-gpt", f"Hello from azure: {SENTENCE}")
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
    assert answer.choices[0].message.content == f"Hello from bedrock: {SENTENCE}"
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
        assert answer.content[0].text == f"Hello from vertex: {SENTENCE}"
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
        assert candidate["content"]["parts"][0]["text"] == f"Hello from vertex: {SENTENCE}"
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
