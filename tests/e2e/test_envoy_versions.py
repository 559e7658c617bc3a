"""One filter, not rebuilt, in each Envoy that it is for. What it does there in full is for the latest to show."""

import pathlib
import re

import anthropic
import pytest

from harness import gateway as gateways
from harness import resources
from harness.samples import HELLO, TOTAL, sentence, text_of

ROOT = pathlib.Path(__file__).resolve().parents[2]
#: What build.sh installs besides the latest.
VERSIONS = re.search(r"OLDER_ENVOYS=\((.*)\)", (ROOT / "build.sh").read_text())[1].split()
#: The oldest Envoy that the native module runs in: its ABI begins there.
OLDEST = "1.38" if gateways.FILTER == "module" else "1.36"
OLDER = [version for version in VERSIONS if version >= OLDEST]


def envoy(version):
    return ROOT / ".weir" / f"envoy-{version}" / "bin" / "envoy"


@pytest.fixture(scope="module", params=OLDER)
def older(request, shared_providers, start_gateway):
    return start_gateway(resources.standard(shared_providers), env={"ENVOY": str(envoy(request.param))})


def test_every_older_one_is_there():
    missing = [version for version in OLDER if not envoy(version).exists()]
    assert OLDER and not missing, "./build.sh test installs them"


def test_chat_and_its_books(older, user):
    answer = older.openai(user).chat.completions.create(model="fast", messages=HELLO)
    assert answer.choices[0].message.content == sentence("qwen3")
    [line] = older.logged(user)
    assert (line["status"], line["total_tokens"]) == (200, TOTAL)
    assert older.spent(user) == TOTAL


def test_a_stream_from_another_api(older, user):
    stream = older.openai(user).chat.completions.create(
        model="claude-native", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert text_of(chunks)
    [line] = older.logged(user)
    assert line["total_tokens"] == chunks[-1].usage.total_tokens == older.spent(user)


def test_errors_in_the_clients_shape(older):
    with pytest.raises(anthropic.NotFoundError) as caught:
        older.anthropic().messages.create(model="nobody", max_tokens=5, messages=HELLO)
    assert caught.value.body["error"]["type"] == "not_found_error"
    answer = older.http.post("/anthropic/v1/messages", content=b"{")
    assert (answer.status_code, answer.json()["type"]) == (400, "error")


def test_a_stream_that_its_client_leaves(older, user):
    with older.http.stream(
        "POST",
        "/v1/chat/completions",
        json={"model": "fast", "messages": HELLO, "stream": True},
        headers={"x-user-id": user},
    ) as answer:
        next(answer.iter_raw())
    [line] = older.logged(user)
    assert line["usage_status"] in ("partial", "complete") and line["output_tokens"] > 0
