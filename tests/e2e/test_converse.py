"""OpenAI's and Anthropic's clients in front of Bedrock's Converse: the stand-in refuses what Bedrock refuses, botocore's own
service model holds what arrives, and boto3 reads what the stand-in streams."""

import json
import re

import anthropic
import boto3
import botocore.config
import botocore.exceptions
import botocore.session
import botocore.validate
import openai
import pytest
from pydantic import BaseModel

from harness import providers as stand_ins
from harness import resources
from harness.samples import (
    ARGUMENTS,
    EVENT_STREAM,
    HELLO,
    INPUT,
    PIXEL,
    TOOLS,
    WEATHER,
    exception_frame,
    sentence,
)
from harness.sdks import as_history

CLAUDE = "us.anthropic.claude-3-7-sonnet-20250219-v1:0"
NOVA = "us.amazon.nova-lite-v1:0"
NOVA_2 = "us.amazon.nova-2-lite-v1:0"
LLAMA = "us.meta.llama4-scout-17b-instruct-v1:0"
QWEN = "qwen.qwen3-32b-v1:0"
GPT_OSS = "openai.gpt-oss-120b-1:0"
ARN = "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/abc"
MODELS = [CLAUDE, NOVA, NOVA_2, LLAMA, QWEN, GPT_OSS, ARN]

# Bedrock names its answers in a header.
NAME = re.compile(r"[0-9a-f]{8}-0000-4000-8000-[0-9a-f]{12}")

THOUGHT = "The user greets me, so I greet back."


@pytest.fixture(scope="module")
def gateway(shared_providers, start_gateway):
    return start_gateway(
        [
            *resources.gateway(),
            *resources.backend("converse", shared_providers["bedrock"].url, "AWSBedrock"),
            *resources.aws_file("converse", stand_ins.AWS_KEY),
            resources.route(*[resources.rule(model, "converse") for model in MODELS]),
        ]
    )


@pytest.fixture(scope="module")
def operation():
    return botocore.session.get_session().get_service_model("bedrock-runtime").operation_model("Converse")


@pytest.fixture(autouse=True)
def valid(providers, operation):
    """Whatever a test sends is what botocore would send."""
    yield
    for request in providers["bedrock"].requests("/model/"):
        if not request["path"].endswith(("/converse", "/converse-stream")):
            continue
        body = json.loads(request["body"])
        report = botocore.validate.ParamValidator().validate({"modelId": "m", **body}, operation.input_shape)
        assert not report.has_errors(), report.generate_report()


def sent(providers):
    """The last request that the stand-in received."""
    request = providers["bedrock"].requests()[-1]
    return request["path"], json.loads(request["body"])


def stream_of(client, **asked):
    with client.chat.completions.stream(stream_options={"include_usage": True}, **asked) as stream:
        return stream.get_final_completion()


def whole_of(client, **asked):
    return client.chat.completions.create(**asked)


both = pytest.mark.parametrize("ask", [whole_of, stream_of], ids=["whole", "streamed"])


@both
@pytest.mark.parametrize("model", [NOVA, ARN])
def test_where_it_is_sent(gateway, providers, model, ask):
    answer = ask(gateway.openai(), model=model, messages=[{"role": "system", "content": "Be brief."}, *HELLO])
    assert NAME.fullmatch(answer.id) and answer.model == model
    path, body = sent(providers)
    verb = "converse-stream" if ask is stream_of else "converse"
    assert path == f"/model/{model.replace('/', '%2F')}/{verb}"
    assert body["system"] == [{"text": "Be brief."}]


@both
@pytest.mark.parametrize("model", [CLAUDE, NOVA, QWEN])
def test_tools_in_two_turns(gateway, providers, model, ask):
    client = gateway.openai()
    asked = {"model": model, "tools": TOOLS, "messages": HELLO}
    called = ask(client, tool_choice="required", **asked).choices[0]
    assert called.finish_reason == "tool_calls"
    [call] = called.message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", ARGUMENTS)
    assert sent(providers)[1]["toolConfig"]["toolChoice"] == {"any": {}}
    message = {"role": "assistant", "tool_calls": [{"id": call.id, "type": "function", "function": {
        "name": call.function.name, "arguments": call.function.arguments}}]}  # fmt: skip
    result = {"role": "tool", "tool_call_id": call.id, "content": '{"error": "no weather today"}'}
    history = [*HELLO, message, result]
    answer = ask(client, **{**asked, "messages": history})
    assert answer.choices[0].message.content == sentence("bedrock")
    block = sent(providers)[1]["messages"][2]["content"][0]["toolResult"]
    assert block.get("status") == (None if model == QWEN else "error")
    # Agents ask for a summary without tools, and Converse wants them beside the history all the same.
    del asked["tools"]
    answer = ask(client, **{**asked, "messages": [*history, {"role": "user", "content": "And?"}]})
    assert answer.choices[0].message.content == sentence("bedrock")


def test_a_model_that_keeps_calls_apart(gateway, providers):
    call = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    history = [
        *HELLO,
        {"role": "assistant", "content": "I look.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "rain"},
        {"role": "user", "content": "And tomorrow?"},
        {"role": "assistant", "content": "Well,"},
    ]
    answer = gateway.openai().chat.completions.create(model=LLAMA, messages=history, tools=TOOLS, tool_choice="required")
    assert answer.choices[0].message.content == sentence("bedrock")


@both
def test_thoughts_go_back_as_they_came(gateway, providers, ask):
    client = gateway.openai()
    think = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4000}
    asked = {"model": CLAUDE, "tools": TOOLS, "extra_body": think}
    messages = list(HELLO)
    for _ in range(2):
        called = as_history(ask(client, messages=messages, **asked).choices[0].message)
        assert called["reasoning_content"] == THOUGHT
        messages += [called, {"role": "tool", "tool_call_id": called["tool_calls"][0]["id"], "content": "rain"}]
        answer = ask(client, messages=messages, **asked).choices[0].message
        assert answer.content == sentence("bedrock")
        content = sent(providers)[1]["messages"][1]["content"]
        thought, redacted, use = content
        assert thought["reasoningContent"]["reasoningText"]["text"] == THOUGHT
        assert "redactedContent" in redacted["reasoningContent"] and "toolUse" in use
        messages += [answer.model_dump(exclude_none=True), {"role": "user", "content": "and now?"}]


@both
@pytest.mark.parametrize("effort", ["low", "high"])
def test_nova_thinks_with_an_effort(gateway, providers, ask, effort):
    answer = ask(
        gateway.openai(), model=NOVA_2, messages=HELLO, reasoning_effort=effort, temperature=0.5, max_tokens=100
    )
    thought = answer.choices[0].message.model_dump()["thinking_blocks"][0]
    assert thought["thinking"] == THOUGHT and thought["signature"].startswith("nova:amazon:")
    body = sent(providers)[1]
    assert body["additionalModelRequestFields"]["reasoningConfig"]["maxReasoningEffort"] == effort
    assert bool(body["inferenceConfig"]) == (effort == "low")


class City(BaseModel):
    name: str
    people: int


@pytest.mark.parametrize(
    ("model", "by_tool"), [(CLAUDE, True), (NOVA, True), (QWEN, False), (GPT_OSS, False)]
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_answers_in_json(gateway, providers, model, by_tool, stream):
    client = gateway.openai()
    asked = {"model": model, "messages": HELLO, "response_format": City}
    if stream:
        with client.chat.completions.stream(**asked) as events:
            choice = events.get_final_completion().choices[0]
    else:
        choice = client.chat.completions.parse(**asked).choices[0]
    assert choice.message.parsed == City(name="Paris", people=1)
    assert (choice.finish_reason, choice.message.tool_calls or []) == ("stop", [])
    body = sent(providers)[1]
    assert ("toolConfig" in body, "outputConfig" in body) == (by_tool, not by_tool)


@both
def test_pictures_documents_and_marks(gateway, providers, ask):
    file = {"filename": "The report_v1.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}
    content = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
        {"type": "file", "file": file},
        {"type": "file", "file": file, "cache_control": {"type": "ephemeral"}},
    ]
    answer = ask(gateway.openai(), model=CLAUDE, messages=[{"role": "user", "content": content}])
    assert answer.choices[0].message.content == sentence("bedrock")
    blocks = sent(providers)[1]["messages"][0]["content"]
    names = [block["document"]["name"] for block in blocks if "document" in block]
    assert names == ["The report-v1", "The report-v1 (2)"]
    assert {"cachePoint": {"type": "default"}} in blocks


@both
def test_the_rest_of_a_request(gateway, providers, ask):
    answer = ask(
        gateway.openai(),
        model=CLAUDE,
        messages=HELLO,
        stop="weir",
        user="user-1",
        metadata={"team": "rivers"},
        service_tier="flex",
        extra_body={
            "top_k": 5,
            "performanceConfig": {"latency": "optimized"},
            "guardrailConfig": {"guardrailIdentifier": "abc", "guardrailVersion": "1"},
        },
    )
    assert answer.choices[0].finish_reason == "stop"
    # A stream tells it in its last chunks, and the SDK's helper takes it from the first.
    assert answer.service_tier == ("flex" if ask is whole_of else None)
    body = sent(providers)[1]
    assert body["inferenceConfig"] == {"stopSequences": ["weir"]}
    assert body["additionalModelRequestFields"] == {"top_k": 5}
    assert body["requestMetadata"] == {"user": "user-1", "team": "rivers"}
    assert body["performanceConfig"] == {"latency": "optimized"}
    assert body["guardrailConfig"]["guardrailIdentifier"] == "abc"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_an_error_is_openais(gateway, providers, stream):
    headers = {"x-amzn-errortype": "ThrottlingException:http://internal.amazon.com/coral/"}
    providers["bedrock"].fail(429, headers=headers, message="slow down")
    with pytest.raises(openai.RateLimitError) as caught:
        gateway.openai().chat.completions.create(model=NOVA, messages=HELLO, stream=stream)
    assert caught.value.type == "ThrottlingException" and "slow down" in caught.value.message


def test_an_error_within_a_stream_is_openais(gateway, providers):
    said = {"contentBlockIndex": 0, "delta": {"text": "Hello"}}
    frames = [("messageStart", {"role": "assistant"}), ("contentBlockDelta", said)]
    steps = [{"frame": {"headers": {":event-type": name, ":message-type": "event"}, "payload": payload}}
             for name, payload in frames]  # fmt: skip
    providers["bedrock"].script(*steps, exception_frame(), headers=EVENT_STREAM)
    text = ""
    with pytest.raises(openai.APIError, match="slow down"):
        for chunk in gateway.openai().chat.completions.create(model=NOVA, messages=HELLO, stream=True):
            text += chunk.choices[0].delta.content or ""
    assert text == "Hello"


def test_what_cannot_be_is_named(gateway):
    content = [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]
    with pytest.raises(openai.UnprocessableEntityError, match=r"messages\[0\]\.content\[0\]"):
        gateway.openai().chat.completions.create(model=NOVA, messages=[{"role": "user", "content": content}])


def test_botos_client_reads_the_stand_in(providers):
    """The stand-in's answers and frames are what AWS's own parser takes."""
    client = boto3.client(
        "bedrock-runtime",
        endpoint_url=providers["bedrock"].url,
        region_name=stand_ins.REGION,
        aws_access_key_id=stand_ins.AWS_KEY["access_key_id"],
        aws_secret_access_key=stand_ins.AWS_KEY["secret_access_key"],
        config=botocore.config.Config(retries={"max_attempts": 0}),
    )
    spec = {"name": "weather", "inputSchema": {"json": TOOLS[0]["function"]["parameters"]}}
    asked = {
        "modelId": CLAUDE,
        "messages": [{"role": "user", "content": [{"text": "one two three"}]}],
        "toolConfig": {"tools": [{"toolSpec": spec}]},
        "inferenceConfig": {"maxTokens": 4000},
        "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    }
    whole = client.converse(**asked)
    thought, redacted, use = whole["output"]["message"]["content"]
    assert use["toolUse"]["input"] == ARGUMENTS and whole["stopReason"] == "tool_use"

    events = list(client.converse_stream(**asked)["stream"])
    deltas = [event["contentBlockDelta"] for event in events if "contentBlockDelta" in event]
    of = lambda index: [delta["delta"] for delta in deltas if delta["contentBlockIndex"] == index]  # noqa: E731
    text = "".join(delta["reasoningContent"].get("text", "") for delta in of(0))
    assert text == thought["reasoningContent"]["reasoningText"]["text"] == THOUGHT
    assert of(1) == [{"reasoningContent": redacted["reasoningContent"]}]
    assert json.loads("".join(delta["toolUse"]["input"] for delta in of(2))) == ARGUMENTS
    assert events[-1]["metadata"]["usage"] == whole["usage"]

    providers["bedrock"].script({"frame": {"headers": {":event-type": "messageStart", ":message-type": "event"},
        "payload": {"role": "assistant"}}}, exception_frame(), headers=EVENT_STREAM)  # fmt: skip
    with pytest.raises(botocore.exceptions.EventStreamError, match="slow down"):
        list(client.converse_stream(**asked)["stream"])

    counted = client.count_tokens(modelId=CLAUDE, input={"converse": {"messages": asked["messages"]}})
    assert counted["inputTokens"] == INPUT
    with pytest.raises(client.exceptions.ValidationException, match="must start with a user message"):
        client.converse(modelId=NOVA, messages=[{"role": "assistant", "content": [{"text": "x"}]}])


def test_tokens_are_counted(gateway, providers, user):
    body = {"model": NOVA, "messages": HELLO, "tools": TOOLS}
    answer = gateway.http.post("/tokenize", json=body, headers={"x-user-id": user})
    assert (answer.status_code, answer.json()["count"]) == (200, INPUT)
    path, counted = sent(providers)
    assert path == f"/model/{NOVA.removeprefix('us.')}/count-tokens"
    assert counted["input"]["converse"]["toolConfig"]["tools"][0]["toolSpec"]["name"] == "weather"
    prompt = gateway.http.post("/tokenize", json={"model": CLAUDE, "prompt": "one two"})
    assert prompt.json()["count"] == 2


def test_a_prompt_that_is_too_long_makes_agents_compact(gateway, providers):
    message = "The model returned the following errors: Input is too long for requested model."
    providers["bedrock"].fail(400, headers={"x-amzn-errortype": "ValidationException"}, message=message)
    with pytest.raises(openai.BadRequestError) as caught:
        gateway.openai().chat.completions.create(model=CLAUDE, messages=HELLO)
    assert caught.value.code == "context_length_exceeded" and message in caught.value.message


TOOL = {"name": "weather", "description": "The weather in a city", "input_schema": WEATHER["parameters"]}


def message_streamed(client, **asked):
    with client.messages.stream(**{"max_tokens": 50, **asked}) as stream:
        text = "".join(stream.text_stream)
        answer = stream.get_final_message()
    assert text == "".join(block.text for block in answer.content if block.type == "text")
    return answer


def message_whole(client, **asked):
    return client.messages.create(**{"max_tokens": 50, **asked})


either = pytest.mark.parametrize("ask", [message_whole, message_streamed], ids=["whole", "streamed"])


@either
@pytest.mark.parametrize("model", [NOVA, ARN])
def test_where_a_message_is_sent(gateway, providers, model, ask):
    answer = ask(gateway.anthropic(), model=model, system="Be brief.", messages=HELLO)
    assert NAME.fullmatch(answer.id) and answer.model == model
    path, body = sent(providers)
    verb = "converse-stream" if ask is message_streamed else "converse"
    assert path == f"/model/{model.replace('/', '%2F')}/{verb}"
    assert (body["system"], body["inferenceConfig"]) == ([{"text": "Be brief."}], {"maxTokens": 50})


@either
@pytest.mark.parametrize("model", [CLAUDE, NOVA, QWEN])
def test_a_messages_tools_in_two_turns(gateway, providers, model, ask):
    client = gateway.anthropic()
    called = ask(client, model=model, messages=HELLO, tools=[TOOL], tool_choice={"type": "any"})
    call = called.content[-1]
    assert (called.stop_reason, call.name, call.input) == ("tool_use", "weather", ARGUMENTS)
    assert sent(providers)[1]["toolConfig"]["toolChoice"] == {"any": {}}
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    content = [{"type": "text", "text": "no weather today"}, picture]
    result = {"type": "tool_result", "tool_use_id": call.id, "content": content, "is_error": True}
    history = [*HELLO, {"role": "assistant", "content": called.content}, {"role": "user", "content": [result]}]
    answer = ask(client, model=model, messages=history, tools=[TOOL])
    assert (answer.content[0].text, answer.stop_reason) == (sentence("bedrock"), "end_turn")
    block = sent(providers)[1]["messages"][2]["content"][0]["toolResult"]
    assert block.get("status") == (None if model == QWEN else "error")
    assert "image" in block["content"][1]


@either
def test_a_messages_thoughts_go_back_as_they_came(gateway, providers, ask):
    client = gateway.anthropic()
    think = {"type": "enabled", "budget_tokens": 1024}
    asked = {"model": CLAUDE, "max_tokens": 4000, "tools": [TOOL], "thinking": think}
    messages = list(HELLO)
    for _ in range(2):
        called = ask(client, messages=messages, **asked)
        thought, redacted, call = called.content
        assert (thought.thinking, redacted.type, call.input) == (THOUGHT, "redacted_thinking", ARGUMENTS)
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "rain"}
        messages += [{"role": "assistant", "content": called.content}, {"role": "user", "content": [result]}]
        answer = ask(client, messages=messages, **asked)
        assert answer.content[-1].text == sentence("bedrock")
        thought, redacted, use = sent(providers)[1]["messages"][1]["content"]
        assert thought["reasoningContent"]["reasoningText"]["text"] == THOUGHT
        assert "redactedContent" in redacted["reasoningContent"] and "toolUse" in use
        said = {"role": "assistant", "content": answer.content}
        messages += [said, {"role": "user", "content": "and now?"}]


@either
def test_a_conversation_goes_from_model_to_model(gateway, providers, ask):
    """The stand-in refuses thoughts that are not the model's own."""
    client = gateway.anthropic()
    of_nova = ask(client, model=NOVA_2, messages=HELLO, output_config={"effort": "low"})
    thought = of_nova.content[0]
    assert thought.thinking == THOUGHT and thought.signature.startswith("nova:amazon:")
    messages = [*HELLO, {"role": "assistant", "content": of_nova.content}, {"role": "user", "content": "and now?"}]
    for model, has_thought in [(CLAUDE, False), (GPT_OSS, False), (NOVA_2, True)]:
        answer = ask(client, model=model, messages=messages)
        assert answer.content[-1].text == sentence("bedrock")
        assert ("reasoningContent" in sent(providers)[1]["messages"][1]["content"][0]) == has_thought


@either
@pytest.mark.parametrize(("model", "by_tool"), [(CLAUDE, True), (NOVA, True), (QWEN, False), (GPT_OSS, False)])
def test_a_message_in_json(gateway, providers, model, by_tool, ask):
    output = {"format": {"type": "json_schema", "schema": City.model_json_schema()}}
    answer = ask(gateway.anthropic(), model=model, messages=HELLO, output_config=output)
    assert City.model_validate_json(answer.content[0].text) == City(name="Paris", people=1)
    assert (len(answer.content), answer.stop_reason) == (1, "end_turn")
    body = sent(providers)[1]
    assert ("toolConfig" in body, "outputConfig" in body) == (by_tool, not by_tool)


@either
def test_documents_that_can_be_cited(gateway, providers, user, ask):
    cited = {"enabled": True}
    text = {"type": "text", "media_type": "text/plain", "data": "A text."}
    blocks = {"type": "content", "content": [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}]}
    found = {"type": "search_result", "title": "Found", "source": "https://example.com", "citations": cited}
    found["content"] = [{"type": "text", "text": "It is so."}]
    place = {"type": "char_location", "cited_text": "A", "document_index": 0, "document_title": "T"}
    place |= {"start_char_index": 0, "end_char_index": 1}
    messages = [
        {"role": "user", "content": [
            {"type": "document", "title": "T", "context": "Of a book.", "citations": cited, "source": text},
            {"type": "document", "citations": cited, "source": blocks},
            found,
            {"type": "text", "text": "Well?"},
        ]},
        {"role": "assistant", "content": [{"type": "text", "text": "So it is.", "citations": [place]}]},
        {"role": "user", "content": "Sure?"},
    ]  # fmt: skip
    answer = ask(gateway.anthropic(user), model=CLAUDE, messages=messages)
    assert answer.content[0].text == sentence("bedrock")
    asked, said, _ = sent(providers)[1]["messages"]
    document, in_blocks, result, _ = asked["content"]
    assert (document["document"]["context"], document["document"]["citations"]) == ("Of a book.", cited)
    assert in_blocks["document"]["source"] == {"content": [{"text": "One."}, {"text": "Two."}]}
    assert result["searchResult"]["content"] == [{"text": "It is so."}]
    [citation] = said["content"][0]["citationsContent"]["citations"]
    assert citation["location"] == {"documentChar": {"documentIndex": 0, "start": 0, "end": 1}}
    [line] = gateway.logged(user)
    assert line["losses"] == []


def test_a_messages_rest(gateway, providers, user):
    gateway.anthropic(user).messages.create(
        model=CLAUDE,
        max_tokens=50,
        messages=HELLO,
        stop_sequences=["weir"],
        metadata={"user_id": "user-1"},
        service_tier="standard_only",
        tools=[{**TOOL, "cache_control": {"type": "ephemeral"}}, {"type": "web_search_20250305", "name": "web_search"}],
        extra_body={"speed": "fast", "temperature": 0.5},
    )
    body = sent(providers)[1]
    assert body["inferenceConfig"] == {"maxTokens": 50, "stopSequences": ["weir"], "temperature": 0.5}
    assert body["requestMetadata"] == {"user": "user-1"} and body["serviceTier"] == {"type": "default"}
    assert body["toolConfig"]["tools"][1] == {"cachePoint": {"type": "default"}}
    [line] = gateway.logged(user)
    assert {loss.split(": ")[0] for loss in line["losses"]} == {"speed", "tools[1]"}


def test_errors_are_anthropics(gateway, providers):
    client = gateway.anthropic()
    headers = {"x-amzn-errortype": "ThrottlingException:http://internal.amazon.com/coral/"}
    providers["bedrock"].fail(429, headers=headers, message="slow down")
    with pytest.raises(anthropic.RateLimitError, match="slow down") as caught:
        message_whole(client, model=NOVA, messages=HELLO)
    assert caught.value.body["error"]["type"] == "rate_limit_error"

    said = {"contentBlockIndex": 0, "delta": {"text": "Hello"}}
    frames = [("messageStart", {"role": "assistant"}), ("contentBlockDelta", said)]
    steps = [{"frame": {"headers": {":event-type": name, ":message-type": "event"}, "payload": payload}}
             for name, payload in frames]  # fmt: skip
    providers["bedrock"].script(*steps, exception_frame(), headers=EVENT_STREAM)
    with pytest.raises(anthropic.APIError, match="slow down"):
        message_streamed(client, model=NOVA, messages=HELLO)

    message = "The model returned the following errors: Input is too long for requested model."
    providers["bedrock"].fail(400, headers={"x-amzn-errortype": "ValidationException"}, message=message)
    with pytest.raises(anthropic.BadRequestError) as caught:
        message_whole(client, model=CLAUDE, messages=HELLO)
    assert caught.value.body["error"]["message"] == f"prompt is too long: {message}"


@pytest.mark.parametrize("path", ["/anthropic", ""], ids=["anthropic", "v1"])
def test_a_messages_tokens_are_counted(gateway, providers, user, path):
    client = gateway.anthropic(user).with_options(base_url=gateway.url + path)
    counted = client.messages.count_tokens(model=NOVA, messages=HELLO, tools=[TOOL])
    assert counted.input_tokens == INPUT
    path, body = sent(providers)
    assert path == f"/model/{NOVA.removeprefix('us.')}/count-tokens"
    assert body["input"]["converse"]["toolConfig"]["tools"][0]["toolSpec"]["name"] == "weather"
    [line] = gateway.logged(user)
    assert line["input_tokens"] == INPUT
