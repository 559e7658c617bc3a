#!/usr/bin/env python3
"""Asks each of the three models behind the gateway one question.

Usage: multi_model.py URL      (for example http://127.0.0.1:1975)

Prints a line per model and a summary. Exit code 0 when all three answered, 1 otherwise.
"""

import json
import sys
import urllib.error
import urllib.request

QUESTION = "What does a weir do? Answer in one sentence."
TIMEOUT_S = 60


def openai_text(answer):
    return answer["choices"][0]["message"]["content"]


def anthropic_text(answer):
    return "".join(block["text"] for block in answer["content"] if block["type"] == "text")


# Name, path, model, headers of its API, and where its text stands.
MODELS = [
    ("Qwen3", "/v1/chat/completions", "Qwen/Qwen3-1.7B", {}, openai_text),
    ("GPT-OSS", "/v1/chat/completions", "openai/gpt-oss-20b", {}, openai_text),
    (
        "Claude on Bedrock",
        "/anthropic/v1/messages",
        "anthropic.claude-3-haiku-20240307-v1:0",
        {"anthropic-version": "bedrock-2023-05-31"},
        anthropic_text,
    ),
]


def ask(url, path, model, headers):
    """The model's answer as JSON."""
    body = {"model": model, "max_tokens": 50, "messages": [{"role": "user", "content": QUESTION}]}
    request = urllib.request.Request(
        url + path,
        data=json.dumps(body).encode(),
        headers={"content-type": "application/json", "x-ai-eg-model": model, **headers},
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
        return json.load(response)


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 1
    url = sys.argv[1].rstrip("/")
    working = 0
    for name, path, model, headers, text in MODELS:
        try:
            said = text(ask(url, path, model, headers)).strip()
            if not said:
                raise ValueError("the answer is empty")
        except urllib.error.HTTPError as error:
            detail = error.read(300).decode(errors="replace").strip()
            print(f"FAIL {name} ({model}): HTTP {error.code} {detail}")
        except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            print(f"FAIL {name} ({model}): {type(error).__name__}: {error}")
        else:
            working += 1
            print(f"OK   {name} ({model}): {said}")
    print(f"Summary: {working}/{len(MODELS)} models working")
    return 0 if working == len(MODELS) else 1


if __name__ == "__main__":
    sys.exit(main())
