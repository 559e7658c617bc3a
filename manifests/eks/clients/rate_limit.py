#!/usr/bin/env python3
"""Uses up the token budgets of two users and shows the gateway refusing them.

Usage: rate_limit.py URL      (for example http://127.0.0.1:1975)

Each user sends five small requests; with the budgets of rate-limiting/backend-traffic-policy.yaml the last are
refused with 429. Exit code 0 when both users were refused, 1 otherwise.
"""

import json
import sys
import time
import urllib.error
import urllib.request

REQUESTS = 5
PAUSE_S = 0.5
TIMEOUT_S = 60

GPT = "openai/gpt-oss-20b"
CLAUDE = "anthropic.claude-3-haiku-20240307-v1:0"

# User, path, headers and body of each of their requests.
USERS = [
    (
        "test-user-gpt",
        "/v1/completions",
        {"x-ai-eg-model": GPT},
        {"model": GPT, "prompt": "Say hello in French", "max_tokens": 5},
    ),
    (
        "test-user-bedrock",
        "/anthropic/v1/messages",
        {"x-ai-eg-model": CLAUDE, "anthropic-version": "bedrock-2023-05-31"},
        {"model": CLAUDE, "max_tokens": 5, "messages": [{"role": "user", "content": "Say hello in French"}]},
    ),
]


def tokens(usage):
    """Input and output tokens, whichever API reports them."""
    read = usage.get("prompt_tokens", usage.get("input_tokens", 0))
    written = usage.get("completion_tokens", usage.get("output_tokens", 0))
    return read, written


def send(url, path, headers, body):
    """Status, headers and body of one answer."""
    request = urllib.request.Request(
        url + path, data=json.dumps(body).encode(), headers={"content-type": "application/json", **headers}
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def use_up(url, user, path, headers, body):
    """Sends the requests of one user; whether the gateway refused one and served the others."""
    print(f"{user} -> {path}")
    refused, broken, used = 0, 0, 0
    for number in range(1, REQUESTS + 1):
        if number > 1:
            time.sleep(PAUSE_S)
        try:
            status, answer_headers, answer = send(url, path, {"x-user-id": user, **headers}, body)
            if status == 200:
                read, written = tokens(json.loads(answer)["usage"])
                used += read + written
                print(f"  {number}: 200, {read} tokens in, {written} out, {used} used so far")
            elif status == 429:
                refused += 1
                wait = answer_headers.get("retry-after")
                after = f", again in {wait} s" if wait else ""
                print(f"  {number}: 429, budget used up{after}")
            else:
                broken += 1
                print(f"  {number}: {status} {answer[:200].decode(errors='replace')}")
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            broken += 1
            print(f"  {number}: {type(error).__name__}: {error}")
    if broken:
        print(f"  FAIL: {broken} of {REQUESTS} requests failed for another reason than the budget")
    elif not refused:
        print(f"  FAIL: {used} tokens used and nothing refused: is the policy with the small budgets applied?")
    elif refused == REQUESTS:
        print("  OK: refused from the first request on, the budget was used up before")
    else:
        print(f"  OK: refused after {used} tokens")
    return refused > 0 and not broken


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 1
    url = sys.argv[1].rstrip("/")
    limited = [use_up(url, *user) for user in USERS]
    print(f"Summary: {sum(limited)}/{len(USERS)} users rate limited")
    return 0 if all(limited) else 1


if __name__ == "__main__":
    sys.exit(main())
