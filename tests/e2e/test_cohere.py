"""Clients of both APIs and Cohere's chat behind them: the stand-in refuses what Cohere refuses, and its answers are those of
Cohere's own SDK."""

import json

import anthropic
import cohere
import openai
import pytest

from harness import providers as stand_ins
from harness import resources
from harness.samples import ARGUMENTS, HELLO, INPUT, OUTPUT, PIXEL, TOOLS, WEATHER, sentence, text_of
from harness.sdks import as_history, strictly

COMMAND, REASONING = "command-a-03-2025", "command-a-reasoning-08-2025"
#: The blocks of an answer.
KINDS = {COMMAND: ["text"], REASONING: ["thinking", "text"]}
THOUGHT = "The user greets me, so I greet back."
PLAN = "I will use each of the tools."
TOOL = {"name": "weather", "description": "The weather in a city", "input_schema": WEATHER["parameters"]}
NOW = {"type": "function", "function": {"name": "now", "description": "The time"}}

models = pytest.mark.parametrize("model", [COMMAND, REASONING])
streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@pytest.fixture(scope="module")
def gateway(shared_providers, start_gateway):
    url = shared_providers["cohere"].url
    return start_gateway(
        [
            *resources.gateway(),
            *resources.backend("command", url, "Cohere", "v2"),
            *resources.api_key("command", stand_ins.COHERE_KEY),
            *resources.backend("keyless", url, "Cohere"),
            *resources.api_key("keyless", "another-key"),
            resources.route(
                *[resources.rule(model, "command") for model in (COMMAND, REASONING)],
                resources.rule("wrong", "keyless"),
            ),
        ]
    )


@pytest.fixture
def client(gateway):
    return gateway.openai()


@pytest.fixture
def claude(gateway):
    return gateway.anthropic()


def sent(providers):
    return [json.loads(request["body"]) for request in providers["cohere"].requests()]


def complete(client, stream, **asked):
    """A completion, from its chunks where it is streamed."""
    if not stream:
        return client.chat.completions.create(**asked)
    with client.chat.completions.stream(**asked, stream_options={"include_usage": True}) as events:
        return events.get_final_completion()


def message(client, stream, **asked):
    if not stream:
        return client.messages.create(**asked)
    with client.messages.stream(**asked) as events:
        return events.get_final_message()


class TestStandIn:
    """Cohere's SDK takes what the stand-in says, and sees all of it."""

    @pytest.fixture
    def sdk(self, providers):
        return cohere.ClientV2(api_key=stand_ins.COHERE_KEY, base_url=providers["cohere"].url)

    @models
    def test_whole(self, sdk, model):
        answer = sdk.chat(model=model, messages=HELLO, documents=["one"], logprobs=True)
        strictly(answer)
        assert answer.message.content[-1].text == sentence("cohere")
        assert [block.type for block in answer.message.content] == KINDS[model]
        assert (answer.finish_reason, answer.usage.tokens.output_tokens) == ("COMPLETE", OUTPUT)
        assert answer.message.citations[0].sources[0].document == {"text": "one"}

    @models
    def test_stream(self, sdk, model):
        events = list(sdk.chat_stream(model=model, messages=HELLO, documents=["one"]))
        for event in events:
            strictly(event)
        deltas = [event.delta.message.content for event in events if event.type == "content-delta"]
        assert "".join(delta.text or "" for delta in deltas) == sentence("cohere")
        assert "".join(delta.thinking or "" for delta in deltas) == (THOUGHT if model == REASONING else "")
        assert "citation-start" in [event.type for event in events]
        assert events[-1].delta.usage.tokens.input_tokens == INPUT

    @models
    def test_tools(self, sdk, model):
        asked = {"model": model, "messages": HELLO, "tools": TOOLS, "tool_choice": "REQUIRED"}
        answer = sdk.chat(**asked)
        strictly(answer)
        assert json.loads(answer.message.tool_calls[0].function.arguments) == ARGUMENTS
        events = list(sdk.chat_stream(**asked))
        for event in events:
            strictly(event)
        pieces = [event.delta.message.tool_calls for event in events if event.type == "tool-call-delta"]
        assert json.loads("".join(piece.function.arguments for piece in pieces)) == ARGUMENTS

    def test_errors(self, sdk, providers):
        with pytest.raises(cohere.UnprocessableEntityError, match="unknown field"):
            sdk.chat(model=COMMAND, messages=HELLO, request_options={"additional_body_parameters": {"user": "u"}})
        with pytest.raises(cohere.BadRequestError, match="text content is not allowed"):
            calls = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
            sdk.chat(model=COMMAND, messages=[{"role": "assistant", "content": "x", "tool_calls": calls}])
        with pytest.raises(cohere.UnauthorizedError):
            cohere.ClientV2(api_key="x", base_url=providers["cohere"].url).chat(model=COMMAND, messages=HELLO)


@models
@streamed
def test_texts_and_thoughts(client, claude, providers, model, stream):
    said = complete(client, stream, model=model, messages=HELLO, max_tokens=100).choices[0].message
    assert said.model_dump().get("reasoning_content") == (THOUGHT if model == REASONING else None)
    answer = message(claude, stream, model=model, messages=HELLO, max_tokens=100)
    assert [block.type for block in answer.content] == KINDS[model]
    request = providers["cohere"].requests()[0]
    assert (request["path"], request["headers"]["authorization"]) == ("/v2/chat", f"Bearer {stand_ins.COHERE_KEY}")
    assert json.loads(request["body"]) == {"model": model, "messages": HELLO, "stream": stream, "max_tokens": 100}


@models
@streamed
def test_parallel_tools_in_two_turns(client, providers, model, stream):
    messages = list(HELLO)
    answer = complete(client, stream, model=model, messages=messages, tools=[*TOOLS, NOW], tool_choice="required")
    choice = answer.choices[0]
    calls = choice.message.tool_calls
    assert choice.finish_reason == "tool_calls"
    called = [(call.function.name, json.loads(call.function.arguments)) for call in calls]
    assert called == [("weather", ARGUMENTS), ("now", {})]
    said = as_history(choice.message)
    assert said["reasoning_content"] == PLAN
    messages.append(said)
    messages += [{"role": "tool", "tool_call_id": call.id, "content": "rain"} for call in calls]
    answer = complete(client, stream, model=model, messages=messages, tools=TOOLS)
    assert answer.choices[0].message.content == sentence("cohere")
    back = sent(providers)[1]["messages"][1]
    planned = {"content": [{"type": "thinking", "thinking": PLAN}]} if model == REASONING else {"tool_plan": PLAN}
    made = [{key: call[key] for key in ("id", "type", "function")} for call in said["tool_calls"]]
    assert back == {"role": "assistant", "tool_calls": made, **planned}


@models
@streamed
def test_anthropics_tools_in_two_turns(claude, providers, model, stream):
    messages = list(HELLO)
    asked = {"model": model, "max_tokens": 100, "tools": [TOOL]}
    answer = message(claude, stream, messages=messages, tool_choice={"type": "tool", "name": "weather"}, **asked)
    call = answer.content[-1]
    assert [block.type for block in answer.content] == ["thinking", "tool_use"]
    assert (answer.stop_reason, answer.content[0].thinking, call.input) == ("tool_use", PLAN, ARGUMENTS)
    messages.append({"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in answer.content]})
    failed = {"type": "tool_result", "tool_use_id": call.id, "content": "no such city", "is_error": True}
    messages.append({"role": "user", "content": [failed, {"type": "text", "text": "go on"}]})
    answer = message(claude, stream, messages=messages, **asked)
    assert answer.content[-1].text == sentence("cohere")
    result, more = sent(providers)[1]["messages"][2:]
    assert result == {"role": "tool", "tool_call_id": call.id, "content": '{"error":"no such city"}'}
    assert more == {"role": "user", "content": "go on"}


@streamed
def test_structured_output(client, stream):
    schema = {"name": "weather", "schema": WEATHER["parameters"]}
    format = {"type": "json_schema", "json_schema": schema}
    answer = complete(client, stream, model=COMMAND, messages=HELLO, response_format=format)
    assert json.loads(answer.choices[0].message.content) == ARGUMENTS


def test_pictures_stops_and_probabilities(client, providers):
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}", "detail": "low"}}
    content = [{"type": "text", "text": "one two three"}, picture]
    asked = {"model": COMMAND, "messages": [{"role": "user", "content": content}], "seed": 7, "stop": "from"}
    answer = client.chat.completions.create(**asked, logprobs=True)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("Hello ", "stop")
    assert [(token.token, token.logprob) for token in answer.choices[0].logprobs.content] == [("Hello ", -0.5)]
    body = sent(providers)[0]
    assert (body["messages"][0]["content"], body["seed"], body["stop_sequences"]) == (content, 7, ["from"])


@streamed
def test_the_limit_and_the_stop_are_told_to_anthropics_clients(claude, stream):
    answer = message(claude, stream, model=COMMAND, messages=HELLO, max_tokens=2)
    assert (answer.content[0].text, answer.stop_reason) == ("Hello from ", "max_tokens")
    answer = message(claude, stream, model=COMMAND, messages=HELLO, max_tokens=9, stop_sequences=["from"])
    assert (answer.content[0].text, answer.stop_reason) == ("Hello ", "stop_sequence")


@streamed
def test_sources_with_an_address_are_citations(claude, stream):
    document = {"data": {"title": "Weirs", "url": "https://weirs.example/", "text": "low dams"}}
    asked = {"model": COMMAND, "max_tokens": 100, "messages": HELLO, "extra_body": {"documents": [document]}}
    (citation,) = message(claude, stream, **asked).content[0].citations
    assert (citation.url, citation.title, citation.cited_text) == ("https://weirs.example/", "Weirs", "low dams")


def test_thinking_is_asked_for(client, claude, providers):
    client.chat.completions.create(model=REASONING, messages=HELLO, reasoning_effort="none")
    client.chat.completions.create(model=REASONING, messages=HELLO, reasoning_effort="low")
    thinking = {"type": "enabled", "budget_tokens": 1024}
    claude.messages.create(model=REASONING, messages=HELLO, max_tokens=4000, thinking=thinking)
    claude.messages.create(model=COMMAND, messages=HELLO, max_tokens=4000, thinking=thinking)
    assert [body.get("thinking") for body in sent(providers)] == [
        {"type": "disabled"},
        {"type": "enabled", "token_budget": 2048},
        {"type": "enabled", "token_budget": 1024},
        None,
    ]


def test_what_cohere_would_refuse_reaches_it_as_it_takes_it(gateway, client, providers, user):
    """What agents ask: hardly a member of this request would be taken as it is."""
    call = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": ""}}
    answer = gateway.openai(user).chat.completions.create(
        model=COMMAND,
        messages=[
            {"role": "developer", "content": "Be brief.", "name": "op"},
            *HELLO,
            {"role": "assistant", "content": "I look.", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": ""},
            {"role": "assistant", "content": ""},
            *HELLO,
        ],
        tools=[{"type": "function", "function": {**WEATHER, "strict": True}}, NOW],
        parallel_tool_calls=False,
        response_format={"type": "json_object"},
        temperature=2,
        presence_penalty=-2,
        user="u",
        metadata={"a": "b"},
        service_tier="flex",
        stop=["1", "2", "3", "4", "5", "6"],
    )
    assert answer.choices[0].message.content == sentence("cohere")
    (body,) = sent(providers)
    assert body["messages"][2]["tool_plan"] == "I look."
    (line,) = gateway.logged(user)
    assert [loss.split(": ")[0] for loss in line["losses"]] == [
        "user",
        "metadata",
        "service_tier",
        "messages[0].name",
        "messages[2].content",
        "messages[3].content",
        "messages[4]",
        "parallel_tool_calls",
        "tools[0].function.strict",
        "presence_penalty",
        "response_format",
        "stop[5]",
        "temperature",
    ]


@streamed
def test_errors(gateway, client, claude, providers, stream):
    for ask in (client.chat.completions.create, claude.messages.create):
        asked = {"messages": HELLO, "max_tokens": 9, "stream": stream}
        library = openai if ask == client.chat.completions.create else anthropic
        with pytest.raises(library.AuthenticationError, match="invalid api token"):
            ask(model="wrong", **asked)
        providers["cohere"].fail(429, message="You are using a Trial key, which is limited to 20 calls/minute.")
        with pytest.raises(library.RateLimitError, match="Trial key"):
            ask(model=COMMAND, **asked)


def test_an_error_within_a_stream(client, claude, providers):
    start = 'event: message-start\ndata: {"type":"message-start","id":"c","delta":{"message":{"content":[]}}}\n\n'
    text = 'event: content-delta\ndata: {"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"Hi"}}}}\n\n'
    end = 'event: message-end\ndata: {"type":"message-end","delta":{"finish_reason":"ERROR","error":"out of memory"}}\n\n'
    script = [{"text": start}, {"text": text}, {"text": end}]
    headers = {"content-type": "text/event-stream"}
    providers["cohere"].script(*script, headers=headers, times=2)
    with pytest.raises(openai.APIError, match="out of memory"):
        list(client.chat.completions.create(model=COMMAND, messages=HELLO, stream=True))
    with pytest.raises(anthropic.APIError, match="out of memory"):
        list(claude.messages.create(model=COMMAND, messages=HELLO, max_tokens=9, stream=True))


@streamed
def test_bytes_may_come_in_any_pieces(client, claude, providers, stream):
    """A pace of one byte: cuts fall inside of events and characters."""
    for ask in (complete, message):
        providers["cohere"].script({"default": {}}, cut=1)
        asked = {"model": REASONING, "messages": HELLO, "max_tokens": 100}
        answer = ask(client if ask is complete else claude, stream, **asked)
        said = answer.choices[0].message.content if ask is complete else answer.content[-1].text
        assert said == sentence("cohere")


def test_chunks_come_as_the_model_says_them(client, providers):
    chunks = list(client.chat.completions.create(model=COMMAND, messages=HELLO, stream=True))
    assert text_of(chunks) == sentence("cohere")
    assert sum(1 for chunk in chunks if chunk.choices and chunk.choices[0].delta.content) == OUTPUT
    assert not any(chunk.usage for chunk in chunks), "the client did not ask for usage"
