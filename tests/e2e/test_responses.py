"""OpenAI's Python SDK, in strict mode, with Responses in front of backends that speak other APIs. The stand-ins refuse what the
real ones refuse, thoughts and signatures that are not their own included."""

import json
import pathlib
import re

import openai
import pytest
from pydantic import BaseModel

from harness import providers as stand_ins
from harness import resources
from harness.samples import ARGUMENTS, HELLO, INPUT, OUTPUT, PIXEL, SSE, WEATHER, sentence

CLAUDE, CONVERSE, NOVA = "claude-native", "us.anthropic.claude-3-7-sonnet-20250219-v1:0", "us.amazon.nova-lite-v1:0"
GEMINI, OLDER_GEMINI = "gemini-3-flash-preview", "gemini-2.5-flash"
COMMAND, REASONING = "command-a-03-2025", "command-a-reasoning-08-2025"
#: Of OpenAI, to which Responses pass as they are.
OPENAI = "our-gpt"
#: The models, and the stand-ins that play them.
PROVIDERS = {
    CLAUDE: "claude",
    CONVERSE: "bedrock",
    NOVA: "bedrock",
    GEMINI: "vertex",
    OLDER_GEMINI: "vertex",
    COMMAND: "cohere",
    REASONING: "cohere",
}
#: Of a server that has chat completions and no Responses.
CHAT_ONLY = "Qwen/Qwen3-1.7B"
PROVIDERS[CHAT_ONLY] = "qwen3"
#: Those that sign what they think.
SIGNING = [CLAUDE, CONVERSE, GEMINI]
TOOL = {"type": "function", "strict": False, **WEATHER}
NEXT = {"role": "user", "content": "and now?"}
THOUGHT = "The user greets me, so I greet back."
FIXTURES = pathlib.Path(__file__).parents[1] / "fixtures"

models = pytest.mark.parametrize("model", PROVIDERS)
streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def chat_only(backend):
    backend[1]["metadata"]["annotations"] = {"weir.dev/chat-only": "true"}
    return backend


@pytest.fixture(scope="module")
def gateway(shared_providers, start_gateway):
    url = {name: shared_providers[name].url for name in (*PROVIDERS.values(), "azure")}
    return start_gateway(
        [
            *resources.gateway(),
            *resources.backend("claude", url["claude"], "Anthropic"),
            *resources.anthropic_key("claude", stand_ins.ANTHROPIC_KEY),
            *resources.backend("bedrock", url["bedrock"], "AWSBedrock"),
            *resources.aws_file("bedrock", stand_ins.AWS_KEY),
            *resources.backend("vertex", url["vertex"], "GCPVertexAI"),
            *resources.google_token("vertex", stand_ins.GOOGLE_TOKEN),
            *resources.backend("cohere", url["cohere"], "Cohere", "v2"),
            *resources.api_key("cohere", stand_ins.COHERE_KEY),
            *chat_only(resources.backend("qwen3", url["qwen3"])),
            *resources.backend("azure", url["azure"], "AzureOpenAI"),
            *resources.azure_token("azure", stand_ins.AZURE_TOKEN),
            resources.route(
                *[resources.rule(model, backend) for model, backend in PROVIDERS.items()],
                resources.rule(OPENAI, "azure"),
            ),
        ]
    )


@pytest.fixture
def client(gateway):
    return gateway.openai()


def sent(providers, model, position=-1):
    """The body that the model's provider received."""
    return json.loads(providers[PROVIDERS.get(model, "azure")].requests()[position]["body"])


def ask(client, stream, **asked):
    """The response, from its events where it is streamed."""
    if not stream:
        return client.responses.create(**asked)
    with client.responses.stream(**asked) as events:
        numbers = []
        for event in events:
            numbers.append(event.sequence_number)
        assert numbers == list(range(len(numbers)))
        return events.get_final_response()


def said(response):
    """What there is in a response, but for its thoughts."""
    return [item.type for item in response.output if item.type != "reasoning"]


@pytest.fixture
def sdk(providers):
    """The SDK, answered with what a test says."""

    def answered(body, media_type):
        providers["main"].script({"text": body}, headers={"content-type": media_type})
        url = f"{providers['main'].url}/v1"
        options = {"api_key": stand_ins.OPENAI_KEY, "max_retries": 0, "_strict_response_validation": True}
        return openai.OpenAI(base_url=url, **options)

    return answered


def answers(suffix):
    """What the gateway makes of the backends' answers, as the golden tests keep it, without losses."""
    found = sorted(FIXTURES.glob(f"*/snapshots/*{suffix}.openai_responses.snap"))
    assert found
    bodies = [path.read_text().split("---\n", 2)[2] for path in found]
    return [re.sub("^lost: .*", "", body, flags=re.MULTILINE).strip() + "\n\n" for body in bodies]


STREAMS = answers(".sse") + answers(".frames")
WHOLE = [body for body in answers("") if body.startswith("{")]


@pytest.mark.parametrize("body", STREAMS)
def test_the_sdk_reads_every_stream(sdk, body):
    client = sdk(body, "text/event-stream")
    with client.responses.stream(model="m", input="x") as stream:
        if "event: error" in body:
            with pytest.raises(openai.APIError):
                stream.until_done()
        else:
            assert [event.type for event in stream][-1] in ("response.completed", "response.incomplete")


@pytest.mark.parametrize("body", WHOLE)
def test_the_sdk_reads_every_answer(sdk, body):
    answer = sdk(body, "application/json").responses.create(model="m", input="x")
    assert answer.status in ("completed", "incomplete") or answer.status == "failed" and answer.error.message


@models
@streamed
def test_response(gateway, user, model, stream):
    response = ask(gateway.openai(user), stream, model=model, input="one two three")
    assert response.output_text == sentence(PROVIDERS[model])
    assert (response.status, response.store) == ("completed", False)
    assert said(response) == ["message"]
    assert response.usage.input_tokens == INPUT
    assert response.usage.output_tokens - response.usage.output_tokens_details.reasoning_tokens == OUTPUT
    [line] = gateway.logged(user)
    assert (line["usage_status"], line["input_tokens"]) == ("complete", INPUT)
    assert line["endpoint"] == "responses"


def test_an_answer_repeats_what_was_asked(client):
    asked = {
        "instructions": "Be brief.",
        "tools": [TOOL],
        "tool_choice": "auto",
        "text": {"verbosity": "low"},
        "metadata": {"team": "red"},
        "max_output_tokens": 500,
    }
    for stream in (False, True):
        response = ask(client, stream, model=CLAUDE, input=HELLO, **asked).to_dict()
        assert {name: response[name] for name in asked} == asked
        assert (response["previous_response_id"], response["parallel_tool_calls"]) == (None, True)


def test_what_a_backend_receives(client, providers):
    client.responses.create(
        model=CLAUDE,
        instructions="Be brief.",
        input=[
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is it?"},
                    {"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{PIXEL}"},
                ],
            }
        ],
        max_output_tokens=50,
        temperature=0.5,
        tools=[TOOL],
        tool_choice="auto",
        parallel_tool_calls=False,
        safety_identifier="u-1",
    )
    body = sent(providers, CLAUDE)
    assert body["system"] == [{"type": "text", "text": "Be brief."}]
    assert [block["type"] for block in body["messages"][0]["content"]] == ["text", "image"]
    assert (body["max_tokens"], body["temperature"]) == (50, 0.5)
    assert body["tools"][0]["input_schema"] == WEATHER["parameters"]
    assert body["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert body["metadata"] == {"user_id": "u-1"}


@models
@streamed
def test_tools_in_two_turns(client, providers, model, stream):
    """The answer goes back as the SDK hands it out."""
    asked = {"model": model, "tools": [TOOL], "max_output_tokens": 4000}
    called = ask(client, stream, input=HELLO, tool_choice="required", **asked)
    [call] = [item for item in called.output if item.type == "function_call"]
    assert (call.name, json.loads(call.arguments), call.status) == ("weather", ARGUMENTS, "completed")
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
    items = [*HELLO, *called.output, result]
    answer = ask(client, stream, input=items, **asked)
    assert answer.output_text == sentence(PROVIDERS[model])
    assert "rain" in json.dumps(sent(providers, model))
    ids = [item.id for response in (called, answer) for item in response.output]
    assert len(set(ids)) == len(ids)
    answer = ask(client, stream, input=[*items, *answer.output, NEXT], **asked)
    assert answer.output_text == sentence(PROVIDERS[model])


@pytest.mark.parametrize("model", SIGNING)
@streamed
def test_thoughts_come_back_to_who_thought_them(client, providers, model, stream):
    asked = {"model": model, "tools": [TOOL], "max_output_tokens": 4000, "reasoning": {"summary": "auto"}}
    called = ask(client, stream, input=HELLO, **asked)
    thoughts = [item for item in called.output if item.type == "reasoning"]
    assert THOUGHT in [part.text for thought in thoughts for part in thought.summary]
    [call] = [item for item in called.output if item.type == "function_call"]
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
    answer = ask(client, stream, input=[*HELLO, *called.output, result], **asked)
    assert answer.output_text == sentence(PROVIDERS[model])
    if model == CLAUDE:
        kinds = [block["type"] for block in sent(providers, model)["messages"][1]["content"]]
        assert kinds == ["thinking", "redacted_thinking", "tool_use"]


@pytest.mark.parametrize("first", PROVIDERS)
def test_a_conversation_goes_on_anywhere_and_back(client, first):
    asked = {"tools": [TOOL], "max_output_tokens": 4000}
    called = client.responses.create(
        model=first, input=HELLO, tool_choice="required" if first not in SIGNING else "auto", reasoning={"summary": "auto"}, **asked
    )
    [call] = [item for item in called.output if item.type == "function_call"]
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
    items = [*HELLO, *called.output, result]
    for model in [*PROVIDERS, OPENAI, first]:
        answer = client.responses.create(model=model, input=items, **asked)
        assert answer.output_text, model
        items += [*answer.output, NEXT]


def test_what_others_thought_does_not_reach_openai(gateway, providers, user):
    client = gateway.openai(user)
    asked = {"tools": [TOOL], "max_output_tokens": 4000}
    called = client.responses.create(model=GEMINI, input=HELLO, reasoning={"summary": "auto"}, **asked)
    [call] = [item for item in called.output if item.type == "function_call"]
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
    client.responses.create(model=OPENAI, input=[*HELLO, *called.output, result], **asked)
    items = sent(providers, OPENAI)["input"]
    assert [item.get("type", "message") for item in items] == ["message", "function_call", "function_call_output"]
    assert call.call_id.startswith(f"{items[1]['call_id']}__sealed_")
    assert items[1]["call_id"] == items[2]["call_id"]
    [_, line] = gateway.logged(user, 2)
    assert [loss.split(": ")[0] for loss in line["losses"]] == ["input[1]", "input[2].signature"]


@streamed
def test_custom_tools(client, providers, stream):
    tool = {"type": "custom", "name": "patch", "description": "Edits files."}
    asked = {"model": CLAUDE, "tools": [tool]}
    called = ask(client, stream, input=HELLO, tool_choice="required", **asked)
    [call] = called.output
    assert (call.type, call.name) == ("custom_tool_call", "patch")
    assert isinstance(call.input, str)
    result = {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "done"}
    assert ask(client, stream, input=[*HELLO, call, result], **asked).output_text == sentence("claude")
    assert sent(providers, CLAUDE)["messages"][1]["content"][0]["input"] == {"input": call.input}


@streamed
def test_a_server_without_responses(client, providers, stream):
    assert ask(client, stream, model=CHAT_ONLY, input="one two three").output_text == sentence("qwen3")
    assert providers["qwen3"].requests()[-1]["path"] == "/v1/chat/completions"
    assert sent(providers, CHAT_ONLY)["messages"] == HELLO


@pytest.mark.parametrize("model", [CONVERSE, GEMINI])
def test_tokens_are_counted_by_those_who_can(client, model):
    counted = client.responses.input_tokens.count(model=model, input="one two three", instructions="four")
    assert (counted.object, counted.input_tokens) == ("response.input_tokens", INPUT + 1)


class City(BaseModel):
    city: str


@pytest.mark.parametrize("model", [CONVERSE, NOVA, GEMINI, COMMAND, CHAT_ONLY])
def test_structured_output(client, model):
    answer = client.responses.parse(model=model, input="one two three", text_format=City)
    assert answer.output_parsed.city


@models
@streamed
def test_an_answer_that_is_cut_is_incomplete(client, model, stream):
    if not stream:
        answer = client.responses.create(model=model, input="one two three", max_output_tokens=2)
    else:
        events = list(client.responses.create(model=model, input="one two three", max_output_tokens=2, stream=True))
        assert events[-1].type == "response.incomplete"
        answer = events[-1].response
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert answer.output[-1].type == "reasoning" or answer.output[-1].status == "incomplete"


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"input": "x", "previous_response_id": "resp_1"}, "previous_response_id"),
        ({"input": "x", "conversation": "conv_1"}, "conversation"),
        ({"input": "x", "background": True}, "background"),
        ({"input": [*HELLO, {"type": "item_reference", "id": "msg_1"}]}, "input[1]"),
    ],
)
def test_what_is_kept_elsewhere_is_refused(client, asked, param):
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=CLAUDE, **asked)
    assert (caught.value.param, caught.value.type) == (param, "invalid_request_error")


def test_errors_are_openais(client, providers):
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    providers["claude"].script({"json": error}, status=529)
    with pytest.raises(openai.InternalServerError, match="Overloaded"):
        client.responses.create(model=CLAUDE, input="x")

    start = {
        "type": "message_start",
        "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": {}},
    }
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    text = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "He"}}
    events = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in [start, block, text, error])
    providers["claude"].script({"text": events}, headers=SSE)
    seen = []
    with pytest.raises(openai.APIError, match="Overloaded"):
        for event in client.responses.create(model=CLAUDE, input="x", stream=True):
            seen.append(event.type)
    assert seen[:2] == ["response.created", "response.in_progress"]
    assert seen[-1] == "response.output_text.delta"


def test_what_only_openai_knows_is_on_the_record(gateway, user):
    gateway.openai(user).responses.create(
        model=CLAUDE, input="x", tools=[{"type": "web_search"}], truncation="auto", store=True
    )
    [line] = gateway.logged(user)
    lost = [loss.split(": ")[0] for loss in line["losses"]]
    assert {"store", "tools[0]", "truncation"} <= set(lost)


@pytest.mark.parametrize("model", [CLAUDE, GEMINI])
@streamed
def test_langchain(gateway, model, stream):
    from langchain_core.messages import HumanMessage, ToolMessage
    from langchain_openai import ChatOpenAI

    chat = ChatOpenAI(
        model=model,
        base_url=f"{gateway.url}/v1",
        api_key="sk-of-the-client",
        use_responses_api=True,
        max_retries=0,
        streaming=stream,
        reasoning={"summary": "auto"},
        max_tokens=4000,
        store=False,
        include=["reasoning.encrypted_content"],
    ).bind_tools([{"type": "function", "function": WEATHER}])
    messages = [HumanMessage(HELLO[0]["content"])]
    called = chat.invoke(messages)
    [call] = called.tool_calls
    assert call["args"] == ARGUMENTS
    messages += [called, ToolMessage("rain", tool_call_id=call["id"])]
    answer = chat.invoke(messages)
    assert answer.text == sentence(PROVIDERS[model])
    assert chat.invoke([*messages, answer, HumanMessage(NEXT["content"])]).tool_calls
