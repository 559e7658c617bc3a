"""Google's SDK as a client, with only its base address changed: before Vertex AI, which speaks its language, and before others."""

import json

import httpx
import pytest
from google.genai import errors, types

from harness import providers as stand_ins
from harness import resources
from harness.samples import ARGUMENTS, INPUT, OUTPUT, SSE, TOTAL, WEATHER, sentence

#: Who answers, by the client's name of a model.
PROVIDERS = {"gemini": "vertex", "gemini-older": "vertex", "claude": "claude", "gpt": "main", "nova": "bedrock"}
HELLO = "one two three"
THINK = types.ThinkingConfig(include_thoughts=True, thinking_budget=2048)
TOOL = types.Tool(function_declarations=[types.FunctionDeclaration(name="weather", parameters_json_schema=WEATHER["parameters"])])
ARRAY = "/v1beta/models/{}:streamGenerateContent"

models = pytest.mark.parametrize("model", PROVIDERS)
whole_and_streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@pytest.fixture(scope="module")
def gateway(shared_providers, start_gateway):
    url = {name: shared_providers[name].url for name in PROVIDERS.values()}
    return start_gateway(
        [
            *resources.gateway(),
            *resources.backend("vertex", url["vertex"], "GCPVertexAI"),
            *resources.google_token("vertex", stand_ins.GOOGLE_TOKEN),
            *resources.backend("claude", url["claude"], "Anthropic"),
            *resources.anthropic_key("claude", stand_ins.ANTHROPIC_KEY),
            *resources.backend("main", url["main"], "OpenAI"),
            *resources.api_key("main", stand_ins.OPENAI_KEY),
            *resources.backend("bedrock", url["bedrock"], "AWSBedrock"),
            *resources.aws_file("bedrock", stand_ins.AWS_KEY),
            resources.route(
                resources.rule("gemini", {"name": "vertex", "modelNameOverride": "gemini-3-flash-preview"}),
                resources.rule("gemini-older", {"name": "vertex", "modelNameOverride": "gemini-2.5-flash"}),
                resources.rule("claude", {"name": "claude", "modelNameOverride": "claude-sonnet-4-5"}),
                resources.rule("gpt", {"name": "main", "modelNameOverride": "gpt-4.1"}),
                resources.rule("nova", {"name": "bedrock", "modelNameOverride": "us.amazon.nova-lite-v1:0"}),
            ),
        ]
    )


def ask(gateway, stream, user=None, **asked):
    """The pieces of an answer."""
    client = gateway.gemini(user)
    if stream:
        return list(client.models.generate_content_stream(**asked))
    return [client.models.generate_content(**asked)]


def text_of(pieces):
    return "".join(piece.text or "" for piece in pieces)


def received(providers, model):
    """The last request that a model's provider received, and its body."""
    request = providers[PROVIDERS[model]].requests()[-1]
    return request, json.loads(request["body"])


@models
@whole_and_streamed
def test_instructions_and_settings(gateway, providers, model, stream):
    config = types.GenerateContentConfig(system_instruction="Be brief", temperature=0.5, max_output_tokens=4000)
    pieces = ask(gateway, stream, model=model, contents=HELLO, config=config)
    assert text_of(pieces) == sentence(PROVIDERS[model])
    request, body = received(providers, model)
    assert "Be brief" in request["body"] and "0.5" in request["body"]
    assert "x-goog-api-key" not in request["headers"] and "key-of-the-client" not in str(request)
    if PROVIDERS[model] == "vertex":
        assert body["systemInstruction"]["parts"] == [{"text": "Be brief"}]


@models
def test_json_by_a_schema(gateway, providers, model):
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    config = types.GenerateContentConfig(response_mime_type="application/json", response_json_schema=schema)
    assert ask(gateway, False, model=model, contents=HELLO, config=config)
    request, _ = received(providers, model)
    assert '"city"' in request["body"].replace('\\"', '"')


@models
@whole_and_streamed
def test_a_chat_with_a_tool(gateway, model, stream):
    """The SDK keeps a stream's pieces as they came, and sends results without the names of their calls."""
    client = gateway.gemini()
    chat = client.chats.create(model=model)

    def say(message, mode):
        calling = types.ToolConfig(function_calling_config=types.FunctionCallingConfig(mode=mode))
        config = types.GenerateContentConfig(tools=[TOOL], tool_config=calling)
        return list(chat.send_message_stream(message, config)) if stream else [chat.send_message(message, config)]

    [call] = [call for piece in say(HELLO, "ANY") for call in piece.function_calls or []]
    assert (call.name, call.args) == ("weather", ARGUMENTS)
    result = types.Part.from_function_response(name=call.name, response={"result": "rain"})
    assert text_of(say(result, "AUTO")) == sentence(PROVIDERS[model])


def test_thoughts_go_and_come_back(gateway, providers):
    client = gateway.gemini()
    config = types.GenerateContentConfig(thinking_config=THINK, max_output_tokens=8000)
    for stream in (False, True):
        chat = client.chats.create(model="claude", config=config)
        for _ in range(2):
            pieces = list(chat.send_message_stream(HELLO)) if stream else [chat.send_message(HELLO)]
            parts = [part for piece in pieces for part in piece.candidates[0].content.parts]
            assert any(part.thought for part in parts) and any(part.thought_signature for part in parts)
        # The stand-in refuses a signature that is not its own.
        _, body = received(providers, "claude")
        [turn] = [message for message in body["messages"] if message["role"] == "assistant"]
        assert turn["content"][0]["type"] == "thinking" and turn["content"][0]["signature"]
        # Nor does Gemini mind what another model thought.
        history = chat.get_history()
        answer = client.chats.create(model="gemini", history=history).send_message(HELLO)
        assert answer.text == sentence("vertex")


def test_tokens_are_counted(gateway):
    client = gateway.gemini()
    for model in ("gemini", "nova"):
        assert client.models.count_tokens(model=model, contents=HELLO).total_tokens == INPUT
    with pytest.raises(errors.ClientError) as refused:
        client.models.count_tokens(model="gpt", contents=HELLO)
    assert (refused.value.code, refused.value.status) == (422, "UNIMPLEMENTED")


def test_models_are_listed(gateway):
    client = gateway.gemini()
    assert {model.name for model in client.models.list()} == {f"models/{name}" for name in PROVIDERS}
    assert client.models.get(model="claude").display_name == "claude"
    with pytest.raises(errors.ClientError) as unknown:
        client.models.get(model="none")
    assert unknown.value.status == "NOT_FOUND"


@whole_and_streamed
def test_errors_are_googles(gateway, providers, stream):
    with pytest.raises(errors.ClientError) as unknown:
        ask(gateway, stream, model="none", contents=HELLO)
    assert (unknown.value.code, unknown.value.status) == (404, "NOT_FOUND")
    for model, body in {
        "claude": {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}},
        "gpt": {"error": {"message": "slow down", "type": "tokens", "code": "rate_limit_exceeded"}},
        "gemini": {"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}},
    }.items():
        providers[PROVIDERS[model]].script({"json": body}, status=429)
        with pytest.raises(errors.ClientError) as limited:
            ask(gateway, stream, model=model, contents=HELLO)
        assert (limited.value.code, limited.value.status) == (429, "RESOURCE_EXHAUSTED")
        assert limited.value.message == "slow down"


def test_a_stream_that_breaks_says_so(gateway, providers):
    start = {"candidates": [{"content": {"role": "model", "parts": [{"text": "Hi"}]}}], "modelVersion": "m", "responseId": "r"}
    providers["vertex"].script({"text": f"data: {json.dumps(start)}\r\n\r\n"}, headers=SSE)
    with pytest.raises(errors.ServerError) as broken:
        ask(gateway, True, model="gemini", contents=HELLO)
    assert (broken.value.code, broken.value.status) == (502, "UNAVAILABLE")


@models
def test_without_events_a_stream_is_an_array(gateway, user, model):
    body = {"contents": [{"parts": [{"text": HELLO}]}]}
    path = ARRAY.format(model)
    with httpx.stream("POST", gateway.url + path, json=body, headers={"x-user-id": user}, verify=False) as answer:
        assert answer.headers["content-type"] == "application/json" and "content-length" not in answer.headers
        pieces = json.loads(answer.read())
    parts = [part for piece in pieces for part in piece["candidates"][0]["content"]["parts"]]
    assert "".join(part.get("text", "") for part in parts) == sentence(PROVIDERS[model])
    [line] = gateway.logged(user, 1)
    assert (line["input_tokens"], line["output_tokens"], line["total_tokens"]) == (INPUT, OUTPUT, TOTAL)
    assert line["usage_status"] == "complete"
