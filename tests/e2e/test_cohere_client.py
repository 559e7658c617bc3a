"""Cohere's SDK as a client, with only its base address changed: before Cohere itself, which gets the bytes, and before others. The SDK
takes anything that it gets, so each answer is held to the SDK's types."""

import json

import cohere
import pytest

from harness import providers as stand_ins
from harness import resources
from harness.resources import CLAUDE
from harness.samples import ARGUMENTS, HELLO, INPUT, OUTPUT, PIXEL, SSE, TOOLS, WEATHER, message_start, sentence, text_events
from harness.sdks import BEGINNING, message_of, strictly

#: Who answers, by the client's name of a model.
PROVIDERS = {
    "claude": "claude",
    "gpt": "main",
    "nova": "bedrock",
    "bedrock-claude": "bedrock",
    "gemini": "vertex",
    "command": "cohere",
    "command-reasoning": "cohere",
}
DOCUMENTS = [{"id": "1", "data": {"title": "Weirs", "text": "low dams"}}, "more of them"]

models = pytest.mark.parametrize("model", PROVIDERS)
whole_and_streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@pytest.fixture(scope="module")
def gateway(shared_providers, start_gateway):
    url = {name: shared_providers[name].url for name in PROVIDERS.values()}
    override = lambda backend, model: {"name": backend, "modelNameOverride": model}
    return start_gateway(
        [
            *resources.gateway(),
            *resources.backend("claude", url["claude"], "Anthropic"),
            *resources.anthropic_key("claude", stand_ins.ANTHROPIC_KEY),
            *resources.backend("main", url["main"], "OpenAI"),
            *resources.api_key("main", stand_ins.OPENAI_KEY),
            *resources.backend("bedrock", url["bedrock"], "AWSBedrock"),
            *resources.aws_file("bedrock", stand_ins.AWS_KEY),
            *resources.backend("vertex", url["vertex"], "GCPVertexAI"),
            *resources.google_token("vertex", stand_ins.GOOGLE_TOKEN),
            *resources.backend("cohere", url["cohere"], "Cohere"),
            *resources.api_key("cohere", stand_ins.COHERE_KEY),
            *resources.backend("nobody", "http://127.0.0.1:9", "Anthropic"),
            resources.route(
                resources.rule("claude", override("claude", "claude-sonnet-4-5")),
                resources.rule("gpt", override("main", "gpt-4.1")),
                resources.rule("nova", override("bedrock", "us.amazon.nova-lite-v1:0")),
                resources.rule("bedrock-claude", override("bedrock", CLAUDE)),
                resources.rule("gemini", override("vertex", "gemini-3-flash-preview")),
                resources.rule("command", override("cohere", "command-a-03-2025")),
                resources.rule("command-reasoning", override("cohere", "command-a-reasoning-08-2025")),
                resources.rule("nobody", "nobody"),
            ),
        ]
    )


def ask(gateway, stream, user=None, **asked):
    """The message of an answer, and how it ends."""
    client = gateway.cohere(user)
    if stream:
        events = [strictly(event) for event in client.chat_stream(**asked)]
        return message_of(events), events[-1].delta
    answer = strictly(client.chat(**asked))
    return answer.message.model_dump(exclude_none=True), answer


@pytest.mark.parametrize("model", ["claude", "command"])
def test_the_gateways_address_will_do(gateway, model):
    """Without `/cohere`: a path that is no endpoint is refused in Cohere's shape as well."""
    client = gateway.cohere(prefix="")
    answer = strictly(client.chat(model=model, messages=[{"role": "user", "content": "one two three"}]))
    assert answer.message.content[0].text == sentence(PROVIDERS[model])
    with pytest.raises(cohere.errors.NotFoundError) as refused:
        client.embed(model=model, input_type="search_query", texts=["x"])
    assert "/v2/embed" in refused.value.body["message"]


def text_of(message):
    return "".join(block.get("text", "") for block in message["content"])


def of_request(line):
    """Where a request lost something."""
    return [loss.split(":")[0] for loss in line["losses"] if not loss.startswith("answer.")]


def received(providers, model):
    """The last request that a model's provider received, and its body."""
    request = providers[PROVIDERS[model]].requests()[-1]
    return request, json.loads(request["body"])


@models
@whole_and_streamed
def test_instructions_and_settings(gateway, providers, user, model, stream):
    messages = [{"role": "system", "content": "Be brief"}, *HELLO]
    asked = {"messages": messages, "temperature": 0.5, "max_tokens": 4000, "stop_sequences": ["END"]}
    said, end = ask(gateway, stream, user, model=model, **asked)
    assert (text_of(said), end.finish_reason) == (sentence(PROVIDERS[model]), "COMPLETE")
    request, _ = received(providers, model)
    assert "Be brief" in request["body"] and "0.5" in request["body"]
    assert "key-of-the-client" not in str(request)
    [line] = gateway.logged(user, 1)
    counted = (line["input_tokens"], line["output_tokens"])
    assert counted == (end.usage.tokens.input_tokens, end.usage.tokens.output_tokens)
    assert line["usage_status"] == "complete" and not of_request(line)


def test_to_cohere_the_bytes_pass(gateway, providers):
    gateway.cohere().chat(model="command", messages=HELLO, safety_mode="OFF", k=7, priority=3)
    request, body = received(providers, "command")
    assert request["path"] == "/v2/chat"
    own = {"safety_mode": "OFF", "k": 7, "priority": 3, "stream": False}
    assert body == {"model": "command-a-03-2025", "messages": HELLO, **own}


@models
@whole_and_streamed
def test_tools_in_two_turns(gateway, model, stream):
    messages = list(HELLO)
    said, end = ask(gateway, stream, model=model, messages=messages, tools=TOOLS, tool_choice="REQUIRED")
    [call] = said["tool_calls"]
    called = (call["function"]["name"], json.loads(call["function"]["arguments"]))
    assert (called, end.finish_reason) == (("weather", ARGUMENTS), "TOOL_CALL")
    messages += [said, {"role": "tool", "tool_call_id": call["id"], "content": "rain"}]
    said, end = ask(gateway, stream, model=model, messages=messages, tools=TOOLS)
    assert (text_of(said), end.finish_reason) == (sentence(PROVIDERS[model]), "COMPLETE")


@whole_and_streamed
def test_a_conversation_of_claudes_goes_on_at_cohere(gateway, providers, stream):
    """Claude says something before it calls a tool, and thinks: Cohere would refuse either."""
    call = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": ARGUMENTS}
    content = [{"type": "thinking", "thinking": "Hm", "signature": "EqoB"}, {"type": "text", "text": "I look."}, call]
    providers["claude"].script({"json": {**message_start()["message"], "content": content, "stop_reason": "tool_use"}})
    said, end = ask(gateway, False, model="claude", messages=HELLO, tools=TOOLS)
    assert [block["type"] for block in said["content"]] == ["thinking", "text"]
    result = {"role": "tool", "tool_call_id": "toolu_1", "content": "rain"}
    history = [*HELLO, said, result]
    for model in ("command", "command-reasoning"):
        answer, _ = ask(gateway, stream, model=model, messages=history, tools=TOOLS)
        assert text_of(answer) == sentence("cohere")
        _, body = received(providers, model)
        assert "I look." in body["messages"][1]["tool_plan"] and "content" not in body["messages"][1]
    answer, _ = ask(gateway, stream, model="claude", messages=[*history, answer, *HELLO], tools=TOOLS)
    assert text_of(answer) == sentence("claude")


@whole_and_streamed
def test_thoughts(gateway, providers, stream):
    thinking = {"type": "enabled", "token_budget": 2048}
    asked = {"model": "claude", "thinking": thinking, "max_tokens": 8000}
    said, _ = ask(gateway, stream, messages=HELLO, **asked)
    assert [block["type"] for block in said["content"]] == ["thinking", "text"]
    _, body = received(providers, "claude")
    assert body["thinking"]["budget_tokens"] == 2048
    # Without its signature, which Cohere's API has no place for, the thought stays here.
    answer, _ = ask(gateway, stream, messages=[*HELLO, said, *HELLO], **asked)
    assert text_of(answer) == sentence("claude")


@models
def test_json_by_a_schema(gateway, providers, model):
    format = {"type": "json_object", "json_schema": WEATHER["parameters"]}
    said, _ = ask(gateway, False, model=model, messages=HELLO, response_format=format)
    assert said["content"]
    request, _ = received(providers, model)
    assert '"city"' in request["body"].replace('\\"', '"')


@models
@whole_and_streamed
def test_documents_are_shown(gateway, providers, user, model, stream):
    said, _ = ask(gateway, stream, user, model=model, messages=HELLO, documents=DOCUMENTS)
    assert text_of(said) == sentence(PROVIDERS[model])
    request, body = received(providers, model)
    [line] = gateway.logged(user, 1)
    if PROVIDERS[model] == "cohere":
        assert body["documents"] == DOCUMENTS and said["citations"] and not line["losses"]
        return
    assert "Weirs" in request["body"]
    assert of_request(line) == ["documents"]


@pytest.mark.parametrize("model", ["claude", "gpt", "nova", "gemini"])
def test_pictures(gateway, providers, model):
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    content = [{"type": "text", "text": "one two three"}, picture]
    said, _ = ask(gateway, False, model=model, messages=[{"role": "user", "content": content}])
    assert text_of(said) == sentence(PROVIDERS[model])
    assert PIXEL in received(providers, model)[0]["body"]


def test_what_only_cohere_has_is_lost_elsewhere(gateway, user):
    asked = {"safety_mode": "STRICT", "citation_options": {"mode": "FAST"}, "priority": 3}
    ask(gateway, False, user, model="claude", messages=HELLO, **asked)
    [line] = gateway.logged(user, 1)
    assert sorted(of_request(line)) == sorted(asked)


@whole_and_streamed
def test_errors_are_coheres(gateway, providers, stream):
    with pytest.raises(cohere.NotFoundError, match="none"):
        ask(gateway, stream, model="none", messages=HELLO)
    with pytest.raises(cohere.UnprocessableEntityError, match="tool_choice"):
        ask(gateway, stream, model="claude", messages=HELLO, tool_choice="AUTO")
    for model, body in {
        "claude": {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}},
        "gpt": {"error": {"message": "slow down", "type": "tokens", "code": "rate_limit_exceeded"}},
        "command": {"message": "slow down"},
    }.items():
        providers[PROVIDERS[model]].script({"json": body}, status=429)
        with pytest.raises(cohere.TooManyRequestsError) as limited:
            ask(gateway, stream, model=model, messages=HELLO)
        assert limited.value.body == {"message": "slow down"}
    # What Envoy itself says.
    with pytest.raises(cohere.ServiceUnavailableError) as refused:
        ask(gateway, stream, model="nobody", messages=HELLO)
    assert set(refused.value.body) == {"message"}


def test_a_stream_that_breaks_says_so(gateway, providers):
    start = {"type": "message-start", "id": "c", "delta": {"message": {"role": "assistant", **BEGINNING}}}
    begun = {"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}}
    piece = {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "Hi"}}}}
    told = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in (start, begun, piece)]
    providers["cohere"].script({"text": "".join(told)}, headers=SSE)
    claudes = [message_start(), *text_events("Hi")]
    told = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in claudes]
    providers["claude"].script({"text": "".join(told)}, headers=SSE)
    for model in ("command", "claude"):
        *events, end = [strictly(event) for event in gateway.cohere().chat_stream(model=model, messages=HELLO)]
        assert message_of(events)["content"] == [{"type": "text", "text": "Hi"}]
        assert (end.type, end.delta.finish_reason) == ("message-end", "ERROR")
        assert "ended before" in end.delta.error



def test_pieces_come_as_the_model_says_them(gateway, user):
    events = list(gateway.cohere(user).chat_stream(model="claude", messages=HELLO))
    assert sum(1 for event in events if event.type == "content-delta") == OUTPUT
    [line] = gateway.logged(user, 1)
    assert (line["input_tokens"], line["output_tokens"]) == (INPUT, OUTPUT)
