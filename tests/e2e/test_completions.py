"""OpenAI's SDK and its older completions before models that only hold conversations."""

import json

import openai
import pytest

from harness import providers as stand_ins
from harness import resources
from harness.samples import INPUT, OUTPUT, TOTAL, sentence

#: Who answers, by the client's name of a model: the stand-in, its schema, its own name of the model.
MODELS = {
    "claude": ("claude", "Anthropic", "claude-haiku-4-5"),
    "bedrock-claude": ("bedrock", "AWSAnthropic", resources.CLAUDE),
    "nova": ("bedrock", "AWSBedrock", "us.amazon.nova-lite-v1:0"),
    "gpt-oss": ("bedrock", "AWSOpenAI", "openai.gpt-oss-20b-1:0"),
    "vertex-claude": ("vertex", "GCPAnthropic", "claude-sonnet-4-5@20250929"),
    "gemini": ("vertex", "GCPVertexAI", "gemini-2.5-flash"),
    "command": ("cohere", "Cohere", "command-a-03-2025"),
}
CREDENTIALS = {
    "claude": (resources.anthropic_key, stand_ins.ANTHROPIC_KEY),
    "bedrock": (resources.aws_file, stand_ins.AWS_KEY),
    "vertex": (resources.google_token, stand_ins.GOOGLE_TOKEN),
    "cohere": (resources.api_key, stand_ins.COHERE_KEY),
}
PROMPT = "one two three"

models = pytest.mark.parametrize("model", MODELS)


@pytest.fixture(scope="module")
def gateway(shared_providers, start_gateway):
    parts, rules = [], []
    for model, (provider, schema, name) in MODELS.items():
        credentials, key = CREDENTIALS[provider]
        parts += resources.backend(model, shared_providers[provider].url, schema)
        parts += credentials(model, key)
        rules.append(resources.rule(model, {"name": model, "modelNameOverride": name}))
    return start_gateway([*resources.gateway(), *parts, resources.route(*rules)])


def chunks_of(gateway, user=None, **asked):
    """The SDK's strict type has no null for finish_reason, which the API sends in all chunks but the last: that one is strict."""
    client = gateway.openai(user, _strict_response_validation=False)
    chunks = list(client.completions.create(stream=True, **asked))
    for chunk in chunks:
        told = chunk.model_dump(exclude_unset=True)
        for choice in told["choices"]:
            choice["finish_reason"] = choice["finish_reason"] or "stop"
        openai.types.Completion.model_validate(told, strict=True)
        assert not chunk.model_extra and chunk.object == "text_completion"
    return chunks


@models
@pytest.mark.parametrize("prompt", [PROMPT, [PROMPT]], ids=["text", "list"])
def test_whole(gateway, user, model, prompt):
    answer = gateway.openai(user).completions.create(model=model, prompt=prompt, max_tokens=100)
    [choice] = answer.choices
    assert (choice.text, choice.finish_reason) == (sentence(MODELS[model][0]), "stop")
    assert (answer.object, answer.usage.prompt_tokens, answer.usage.completion_tokens) == ("text_completion", INPUT, OUTPUT)
    [line] = gateway.logged(user, 1)
    assert (line["input_tokens"], line["output_tokens"], line["total_tokens"]) == (INPUT, OUTPUT, TOTAL)
    assert line["usage_status"] == "complete"
    assert not [loss for loss in line["losses"] if not loss.startswith("answer.")]


@models
@pytest.mark.parametrize("include_usage", [False, True])
def test_streamed(gateway, user, model, include_usage):
    asked = {"stream_options": {"include_usage": True}} if include_usage else {}
    chunks = chunks_of(gateway, user, model=model, prompt=PROMPT, max_tokens=100, **asked)
    if include_usage:
        last = chunks.pop()
        assert (last.choices, last.usage.total_tokens) == ([], TOTAL)
    assert not any(chunk.usage for chunk in chunks)
    assert "".join(chunk.choices[0].text for chunk in chunks) == sentence(MODELS[model][0])
    *open_, end = [chunk.choices[0].finish_reason for chunk in chunks]
    assert set(open_) == {None} and end == "stop"
    [line] = gateway.logged(user, 1)
    assert (line["input_tokens"], line["output_tokens"], line["usage_status"]) == (INPUT, OUTPUT, "complete")


@models
def test_an_answer_that_is_cut_says_so(gateway, model):
    answer = gateway.openai().completions.create(model=model, prompt=PROMPT, max_tokens=2)
    assert answer.choices[0].finish_reason == "length"
    assert chunks_of(gateway, model=model, prompt=PROMPT, max_tokens=2)[-1].choices[0].finish_reason == "length"


def test_probabilities(gateway):
    answer = gateway.openai().completions.create(model="command", prompt=PROMPT, logprobs=0)
    logprobs = answer.choices[0].logprobs
    assert "".join(logprobs.tokens) == answer.choices[0].text
    assert len(logprobs.token_logprobs) == len(logprobs.text_offset) == len(logprobs.tokens)


def test_what_no_conversation_has_is_on_the_record(gateway, user):
    asked = {"suffix": "end", "echo": True, "best_of": 3}
    gateway.openai(user).completions.create(model="claude", prompt=PROMPT, **asked)
    [line] = gateway.logged(user, 1)
    assert [loss.split(":")[0] for loss in line["losses"]] == list(asked)


@models
@pytest.mark.parametrize("prompt", [["a", "b"], [1, 2], [[1], [2]]], ids=["two", "tokens", "lists of tokens"])
def test_several_prompts_and_tokens_are_refused(gateway, model, prompt):
    with pytest.raises(openai.UnprocessableEntityError, match="prompt: "):
        gateway.openai().completions.create(model=model, prompt=prompt)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_errors(gateway, providers, stream):
    body = {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}}
    providers["claude"].script({"json": body}, status=429)
    with pytest.raises(openai.RateLimitError, match="slow down"):
        gateway.openai().completions.create(model="claude", prompt=PROMPT, stream=stream)


def test_a_stream_that_breaks_says_so(gateway, providers):
    overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    start = {"type": "message_start", "message": {"id": "m", "model": "m", "usage": {"input_tokens": 1, "output_tokens": 1}}}
    text = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "Hi"}}
    told = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in (start, text, overloaded))
    providers["claude"].script({"text": told}, headers={"content-type": "text/event-stream"})
    with pytest.raises(openai.APIError, match="Overloaded"):
        chunks_of(gateway, model="claude", prompt=PROMPT)
