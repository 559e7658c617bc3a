"""Clients of OpenAI's API send back what they gathered of Claude's thoughts: the stand-in refuses a thought that is not its
own, and to think in a turn that it began without."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.resources import CLAUDE
from harness.samples import HELLO, TOOLS, WEATHER, sentence
from harness.sdks import as_history

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

pytestmark = pytest.mark.parametrize(
    ("model", "provider"), [(CLAUDE, "bedrock"), ("claude-native", "claude")], ids=["bedrock", "anthropic"]
)

CLIENTS = Path(__file__).parent / "clients"
MODULES = Path(__file__).parents[2] / ".weir" / "clients" / "node_modules"
THINK = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4000}
THOUGHT = "The user greets me, so I greet back."
NEXT = {"role": "user", "content": "and now?"}


def result_of(message):
    return {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "rain"}


def sent(providers, provider):
    """The bodies the provider received."""
    return [json.loads(request["body"]) for request in providers[provider].requests()]


def is_kept(body):
    """Whether the assistant's first message has the thoughts as they were."""
    kinds = [block["type"] for block in body["messages"][1]["content"]]
    thought = body["messages"][1]["content"][0].get("thinking")
    return kinds == ["thinking", "redacted_thinking", "tool_use"] and thought == THOUGHT


def two_turns(ask):
    """`ask` takes messages and gives the assistant's, as its SDK hands it out."""
    messages = list(HELLO)
    called = ask(messages)
    messages += [called, result_of(called)]
    answer = ask(messages)
    messages += [answer, NEXT]
    called = ask(messages)
    messages += [called, result_of(called)]
    return [answer["content"], ask(messages)["content"]]


def test_openais_sdk_whole(gateway, providers, model, provider):
    client = gateway.openai()

    def ask(messages):
        answer = client.chat.completions.create(model=model, messages=messages, tools=TOOLS, extra_body=THINK)
        return answer.choices[0].message.model_dump(exclude_none=True)

    assert two_turns(ask) == [sentence(provider)] * 2
    assert [is_kept(body) and "thinking" in body for body in sent(providers, provider)[1:]] == [True] * 3


def test_openais_sdk_streamed(gateway, providers, model, provider):
    client = gateway.openai()

    def ask(messages):
        with client.chat.completions.stream(
            model=model, messages=messages, tools=TOOLS, extra_body=THINK
        ) as stream:
            return as_history(stream.get_final_completion().choices[0].message)

    assert two_turns(ask) == [sentence(provider)] * 2
    assert [is_kept(body) and "thinking" in body for body in sent(providers, provider)[1:]] == [True] * 3


def test_deltas_put_together_by_hand(gateway, providers, model, provider):
    """Texts joined, lists appended: what people write who use no helper."""
    client = gateway.openai()

    def ask(messages):
        message = {"role": "assistant", "content": "", "reasoning_content": "", "thinking_blocks": []}
        calls = {}
        chunks = client.chat.completions.create(
            model=model, messages=messages, tools=TOOLS, extra_body=THINK, stream=True
        )
        for delta in (chunk.choices[0].delta for chunk in chunks if chunk.choices):
            message["content"] += delta.content or ""
            message["reasoning_content"] += getattr(delta, "reasoning_content", None) or ""
            message["thinking_blocks"] += getattr(delta, "thinking_blocks", None) or []
            for call in delta.tool_calls or []:
                known = calls.setdefault(call.index, call.model_dump(exclude_none=True))
                if not call.id:
                    known["function"]["arguments"] += call.function.arguments
        return message | ({"tool_calls": list(calls.values())} if calls else {})

    assert two_turns(ask) == [sentence(provider)] * 2
    assert [is_kept(body) and "thinking" in body for body in sent(providers, provider)[1:]] == [True] * 3


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_litellm(gateway, providers, model, provider, stream):
    import litellm

    def ask(messages):
        answer = litellm.completion(
            model=f"openai/{model}",
            api_base=f"{gateway.url}/v1",
            api_key="sk-of-the-client",
            messages=messages,
            tools=TOOLS,
            max_tokens=4000,
            extra_body={"thinking": THINK["thinking"]},
            stream=stream,
            max_retries=0,
        )
        if stream:
            answer = litellm.stream_chunk_builder(list(answer), messages=messages)
        return answer.choices[0].message.model_dump(exclude_none=True)

    assert two_turns(ask) == [sentence(provider)] * 2
    assert [is_kept(body) and "thinking" in body for body in sent(providers, provider)[1:]] == [True] * 3


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_langchain(gateway, providers, model, provider, stream):
    """It keeps no thoughts, so Claude goes on without."""
    from langchain_core.messages import HumanMessage, ToolMessage
    from langchain_openai import ChatOpenAI

    chat = ChatOpenAI(
        model=model,
        base_url=f"{gateway.url}/v1",
        api_key="sk-of-the-client",
        max_retries=0,
        extra_body=THINK,
        use_responses_api=False,
    ).bind_tools(TOOLS)

    def ask(messages):
        if not stream:
            return chat.invoke(messages)
        pieces = list(chat.stream(messages))
        return sum(pieces[1:], pieces[0])

    messages = [HumanMessage(HELLO[0]["content"])]
    for _ in range(2):
        called = ask(messages)
        messages += [called, ToolMessage("rain", tool_call_id=called.tool_calls[0]["id"])]
        answer = ask(messages)
        assert answer.text == sentence(provider)
        messages += [answer, HumanMessage(NEXT["content"])]
    assert ["thinking" in body for body in sent(providers, provider)] == [True, False, True, False]


def test_vercels_sdk(gateway, providers, model, provider, tmp_path):
    """It keeps the text of thoughts and not their signatures, so Claude goes on without."""
    if not (shutil.which("node") and MODULES.is_dir()):
        assert not os.environ.get("CI"), "node or its modules are missing"
        pytest.skip("node or its modules are missing")
    shutil.copy(CLIENTS / "vercel.mjs", tmp_path)
    (tmp_path / "node_modules").symlink_to(MODULES.resolve())
    options = {
        "WEIR_URL": f"{gateway.url}/v1",
        "WEIR_MODEL": model,
        "WEIR_BODY": json.dumps(THINK),
        "WEIR_SCHEMA": json.dumps(WEATHER["parameters"]),
    }
    done = subprocess.run(
        ["node", "vercel.mjs"], cwd=tmp_path, env=os.environ | options, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [sentence(provider)] * 2
    assert ["thinking" in body for body in sent(providers, provider)] == [True, False, True, False]


def test_a_thought_between_texts_goes_back_to_its_place(gateway, providers, model, provider):
    """What the stand-in would not think of by itself: interleaved, cut, and not shown."""
    client = gateway.openai()
    asked = [*HELLO]
    with client.chat.completions.stream(model=model, messages=asked, tools=TOOLS, extra_body=THINK) as stream:
        thought = stream.get_final_completion().choices[0].message.model_dump()["thinking_blocks"][0]
    thought |= {"index": 1, "after_text": 3}
    answer = {"role": "assistant", "content": "One. Two.", "thinking_blocks": [thought]}
    client.chat.completions.create(model=model, messages=[*asked, answer, NEXT])
    content = sent(providers, provider)[-1]["messages"][1]["content"]
    assert [block.get("text", block["type"]) for block in content] == ["One", "thinking", ". Two."]
