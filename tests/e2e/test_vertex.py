"""OpenAI's and Anthropic's SDKs, and Vertex AI: Gemini, to which both are translated, and Claude, to which Anthropic's messages go
in another envelope. The stand-in refuses wrong paths, tokens and fields, signatures that are not its own, and calls without one."""

import json

import anthropic
import openai
import pytest

from harness import providers as stand_ins
from harness import resources
from harness.samples import ARGUMENTS, HELLO, INPUT, PIXEL, TOOLS, WEATHER, sentence
from harness.sdks import as_history

#: The client's name of a model, its schema, its publisher, and what it is called at Google.
MODELS = {
    "gemini-signs": ("GCPVertexAI", "google", "gemini-3-flash-preview"),
    "gemini-older": ("GCPVertexAI", "google", "gemini-2.5-flash"),
    "claude": ("GCPAnthropic", "anthropic", "claude-sonnet-4-5@20250929"),
}
GEMINIS = ["gemini-signs", "gemini-older"]
#: Of another provider, with thoughts that it signs.
ELSEWHERE = "claude-native"
#: Of OpenAI, to which chats pass as they are.
OPENAI = "our-gpt"
THINK = {"type": "enabled", "budget_tokens": 1024}
TOOL = {"name": "weather", "description": "The weather in a city", "input_schema": WEATHER["parameters"]}
PLACEHOLDER = "skip_thought_signature_validator"

models = pytest.mark.parametrize("model", MODELS)
whole_and_streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@pytest.fixture(scope="module")
def gateway(shared_providers, start_gateway):
    vertex, claude = shared_providers["vertex"].url, shared_providers["claude"].url

    def there(name):
        return {"name": name, "modelNameOverride": MODELS[name][2]}

    backends = [
        part
        for name, (schema, *_) in MODELS.items()
        for part in (
            *resources.backend(name, vertex, schema),
            *resources.google_token(name, stand_ins.GOOGLE_TOKEN),
        )
    ]
    return start_gateway(
        [
            *resources.gateway(),
            *backends,
            *resources.backend("gemini-wrong", vertex, "GCPVertexAI"),
            *resources.google_token("gemini-wrong", "another-token"),
            *resources.backend(ELSEWHERE, claude, "Anthropic"),
            *resources.anthropic_key(ELSEWHERE, stand_ins.ANTHROPIC_KEY),
            *resources.backend(OPENAI, shared_providers["azure"].url, "AzureOpenAI"),
            *resources.azure_token(OPENAI, stand_ins.AZURE_TOKEN),
            resources.route(
                *[resources.rule(name, there(name)) for name in MODELS],
                resources.rule(OPENAI, {"name": OPENAI, "modelNameOverride": "our-gpt"}),
                resources.rule("wrong", {"name": "gemini-wrong", "modelNameOverride": "gemini-2.5-flash"}),
                resources.rule("several", there("gemini-signs"), {**there("claude"), "priority": 1}),
                resources.rule(ELSEWHERE, ELSEWHERE),
            ),
            resources.traffic(
                retry={"numRetries": 1, "retryOn": {"httpStatusCodes": [503], "triggers": ["retriable-status-codes"]}}
            ),
        ]
    )


def received(providers, position=-1):
    """The request that Vertex AI received, and its body."""
    request = providers["vertex"].requests()[position]
    return request, json.loads(request["body"])


def path_of(model, stream):
    schema, publisher, name = MODELS[model]
    gemini = {False: "generateContent", True: "streamGenerateContent?alt=sse"}
    method = gemini[stream] if schema == "GCPVertexAI" else {False: "rawPredict", True: "streamRawPredict"}[stream]
    parent = f"/v1/projects/{stand_ins.GOOGLE_PROJECT}/locations/{stand_ins.GOOGLE_REGION}"
    return f"{parent}/publishers/{publisher}/models/{name}:{method}"


def chat(gateway, stream, user=None, **asked):
    """An answer's message, as OpenAI's SDK hands it out."""
    client = gateway.openai(user)
    if not stream:
        return as_history(client.chat.completions.create(**asked).choices[0].message)
    with client.chat.completions.stream(**asked) as events:
        return as_history(events.get_final_completion().choices[0].message)


def tell(gateway, stream, user=None, **asked):
    """An answer, as Anthropic's SDK hands it out."""
    asked = {"max_tokens": 4000, **asked}
    client = gateway.anthropic(user)
    if not stream:
        return client.messages.create(**asked)
    with client.messages.stream(**asked) as events:
        return events.get_final_message()


def text_in(answer):
    return "".join(block.text for block in answer.content if block.type == "text")


@models
@whole_and_streamed
def test_where_it_is_sent(gateway, providers, model, stream):
    chat(gateway, stream, model=model, messages=HELLO)
    tell(gateway, stream, model=model, messages=HELLO)
    for request in providers["vertex"].requests():
        assert request["path"] == path_of(model, stream)
        assert request["headers"]["authorization"] == f"Bearer {stand_ins.GOOGLE_TOKEN}"
        assert "of-the-client" not in json.dumps(request["headers"])
        assert not {"x-api-key", "anthropic-version"} & set(request["headers"])
        assert "model" not in json.loads(request["body"])


def test_claudes_envelope_is_an_edit_in_place(gateway, providers, user):
    body = '{ "model":"claude",\n "max_tokens" : 50, "messages":[{"role":"user","content":"\\u00fc"}], "temperature":1e0}'
    headers = {
        "content-type": "application/json",
        "x-user-id": user,
        "anthropic-version": "2023-06-01",
        "anthropic-beta": "context-1m-2025-08-07, effort-2025-11-24",
    }
    answer = gateway.http.post("/v1/messages", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    request, _ = received(providers)
    assert request["body"] == (
        '{ \n "max_tokens" : 50, "messages":[{"role":"user","content":"\\u00fc"}], "temperature":1e0'
        ',"anthropic_version":"vertex-2023-10-16"}'
    )
    assert request["headers"]["anthropic-beta"] == "context-1m-2025-08-07"
    [line] = gateway.logged(user)
    assert line["losses"] == ["anthropic-beta.effort-2025-11-24: not known to Vertex AI"]


@models
@whole_and_streamed
def test_openais_tools_in_two_turns(gateway, providers, model, stream):
    asked = {"model": model, "tools": TOOLS, "extra_body": {"thinking": THINK, "max_tokens": 4000}}
    messages = list(HELLO)
    called = chat(gateway, stream, messages=messages, **asked)
    call = called["tool_calls"][0]
    assert json.loads(call["function"]["arguments"]) == ARGUMENTS
    assert called["reasoning_content"]
    messages += [called, {"role": "tool", "tool_call_id": call["id"], "content": "rain"}]
    assert chat(gateway, stream, messages=messages, **asked)["content"] == sentence("vertex")
    if model == "gemini-signs":
        assert is_signed_by_itself(received(providers)[1])


@models
@whole_and_streamed
def test_anthropics_tools_in_two_turns(gateway, providers, model, stream):
    asked = {"model": model, "tools": [TOOL], "thinking": THINK}
    called = tell(gateway, stream, messages=HELLO, **asked)
    call = called.content[-1]
    assert (called.stop_reason, call.name, call.input) == ("tool_use", "weather", ARGUMENTS)
    assert called.content[0].type == "thinking"
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "rain"}
    messages = [
        *HELLO,
        {"role": "assistant", "content": called.content},
        {"role": "user", "content": [result]},
    ]
    answer = tell(gateway, stream, messages=messages, **asked)
    assert (text_in(answer), answer.stop_reason) == (sentence("vertex"), "end_turn")
    if model == "gemini-signs":
        assert is_signed_by_itself(received(providers)[1])


def is_signed_by_itself(body):
    """Whether the call of a history has the signature that it came with."""
    calls = [part for content in body["contents"] for part in content["parts"] if "functionCall" in part]
    return bool(calls) and all(part["thoughtSignature"] != PLACEHOLDER for part in calls)


@whole_and_streamed
def test_a_conversation_moves_between_models(gateway, stream):
    """Each stand-in refuses signatures of another."""
    for first, second in [(ELSEWHERE, "gemini-signs"), ("gemini-signs", ELSEWHERE), ("gemini-signs", "claude")]:
        asked = {"tools": [TOOL], "thinking": THINK}
        called = tell(gateway, stream, model=first, messages=HELLO, **asked)
        result = {"type": "tool_result", "tool_use_id": called.content[-1].id, "content": "rain"}
        messages = [
            *HELLO,
            {"role": "assistant", "content": called.content},
            {"role": "user", "content": [result]},
        ]
        assert tell(gateway, stream, model=second, messages=messages, **asked).stop_reason == "end_turn"

        asked = {"tools": TOOLS, "extra_body": {"thinking": THINK, "max_tokens": 4000}}
        called = chat(gateway, stream, model=first, messages=HELLO, **asked)
        result = {"role": "tool", "tool_call_id": called["tool_calls"][0]["id"], "content": "rain"}
        assert chat(gateway, stream, model=second, messages=[*HELLO, called, result], **asked)["content"]


@whole_and_streamed
def test_a_chat_passes_on_to_openai(gateway, providers, user, stream):
    """The stand-in refuses ids over 40 characters, and members that OpenAI does not have."""
    asked = {"model": "gemini-signs", "tools": TOOLS, "extra_body": {"thinking": THINK, "max_tokens": 4000}}
    called = chat(gateway, stream, messages=HELLO, **asked)
    call = called["tool_calls"][0]["id"]
    assert len(call) > 40
    messages = [*HELLO, called, {"role": "tool", "tool_call_id": call, "content": "rain"}]
    answer = gateway.openai(user, _strict_response_validation=False).chat.completions.create(
        model=OPENAI, messages=messages, tools=TOOLS
    )
    assert answer.choices[0].message.content == sentence("azure")
    sent = json.loads(providers["azure"].requests()[-1]["body"])["messages"]
    assert sent[1]["tool_calls"][0]["id"] == sent[2]["tool_call_id"] == call.split("__")[0]
    [line] = gateway.logged(user)
    assert "messages[1].tool_calls[0].signature" in [loss.split(": ")[0] for loss in line["losses"]]


@pytest.mark.parametrize("model", GEMINIS)
def test_what_gemini_receives(gateway, providers, user, model):
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    answer = tell(
        gateway,
        False,
        user,
        model=model,
        system="Be brief.",
        messages=[{"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture]}],
        stop_sequences=["END"],
        output_config={"format": {"type": "json_schema", "schema": schema}},
        metadata={"user_id": "u-1"},
        extra_body={"temperature": 0.5, "context_management": {"edits": []}},
    )
    assert list(json.loads(text_in(answer))) == ["city"]
    _, body = received(providers)
    assert body["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert body["contents"][0]["parts"][1] == {"inlineData": {"mimeType": "image/png", "data": PIXEL}}
    config = body["generationConfig"]
    assert (config["maxOutputTokens"], config["temperature"], config["stopSequences"]) == (4000, 0.5, ["END"])
    assert config["responseJsonSchema"] == schema
    assert body["labels"] == {"user": "u-1"}
    [line] = gateway.logged(user)
    lost = [loss.split(": ")[0] for loss in line["losses"] if not loss.startswith("answer.")]
    assert lost == ["context_management"]


@models
def test_an_answer_that_is_cut(gateway, model):
    answer = gateway.openai().chat.completions.create(model=model, messages=HELLO, max_completion_tokens=2)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("Hello from ", "length")
    answer = tell(gateway, True, model=model, messages=HELLO, max_tokens=2)
    assert (text_in(answer), answer.stop_reason) == ("Hello from ", "max_tokens")


def test_claude_counts_tokens(gateway, providers):
    counted = gateway.anthropic().messages.count_tokens(model="claude", messages=HELLO)
    assert counted.input_tokens == INPUT
    request, body = received(providers)
    assert request["path"].endswith("/publishers/anthropic/models/count-tokens:rawPredict")
    assert body["model"] == MODELS["claude"][2]


def test_gemini_counts_tokens(gateway, providers):
    tool = {"name": "weather", "input_schema": {"type": "object"}}
    counted = gateway.anthropic().messages.count_tokens(model="gemini-signs", messages=HELLO, system="Be.", tools=[tool])
    assert counted.input_tokens == INPUT + 1
    request, body = received(providers)
    assert request["path"].endswith(":countTokens")
    assert set(body) == {"contents", "systemInstruction", "tools"}


@pytest.mark.parametrize("model", ["claude", "gemini-signs"])
def test_tokens_are_counted_for_vllms_clients(gateway, model):
    answer = gateway.http.post("/tokenize", json={"model": model, "messages": HELLO})
    assert (answer.status_code, answer.json()["count"]) == (200, INPUT), answer.text


def test_errors_are_the_clients(gateway, providers):
    with pytest.raises(openai.AuthenticationError, match="authentication credentials") as caught:
        gateway.openai().chat.completions.create(model="wrong", messages=HELLO)
    assert "another-token" not in str(caught.value)
    with pytest.raises(anthropic.AuthenticationError, match="authentication credentials"):
        tell(gateway, False, model="wrong", messages=HELLO)
    with pytest.raises(openai.UnprocessableEntityError, match="GCPVertexAI"):
        gateway.openai().images.generate(model="gemini-older", prompt="x")
    error = {"error": {"code": 429, "message": "Resource exhausted.", "status": "RESOURCE_EXHAUSTED"}}
    for stream in [False, True]:
        # Where a stream was asked for, Google's error is in a list.
        for model, ask in [("gemini-older", chat), ("gemini-signs", tell)]:
            providers["vertex"].script({"json": [error] if stream else error}, status=429)
            with pytest.raises((openai.RateLimitError, anthropic.RateLimitError), match="Resource exhausted"):
                ask(gateway, stream, model=model, messages=HELLO)


@whole_and_streamed
def test_the_next_backend_is_tried(gateway, providers, stream):
    providers["vertex"].fail(503)
    answer = gateway.chat("several", stream=stream)
    assert answer.status_code == 200, answer.text
    paths = [request["path"] for request in providers["vertex"].requests()]
    assert paths == [path_of("gemini-signs", stream), path_of("claude", stream)]
