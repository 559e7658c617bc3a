"""A changed manifest is taken over while running: no stream is cut, and a bad one is refused."""

import threading
import time

import pytest

from harness import resources
from harness.process import wait_for
from harness.samples import HELLO, TOTAL, text_of

QWEN = "Qwen/Qwen3-1.7B"


def manifest(running, *models, **traffic):
    return [
        *resources.gateway(),
        *resources.backend("qwen3", running["qwen3"].url),
        *resources.backend("gpt-oss", running["gpt-oss"].url),
        *([resources.traffic(**traffic)] if traffic else []),
        resources.route(*[resources.rule(model, backend) for model, backend in models]),
    ]


@pytest.fixture
def gateway(shared_providers, start_gateway):
    gateway = start_gateway(manifest(shared_providers, (QWEN, "qwen3")))
    yield gateway
    gateway.stop()


def served(gateway, model):
    return lambda: gateway.chat(model).status_code == 200


def test_a_new_model_goes_live_and_an_old_one_goes(gateway, providers):
    assert gateway.chat("new").status_code == 404
    gateway.write(manifest(providers, ("new", "gpt-oss")))
    wait_for(served(gateway, "new"), 15, what="the new model")
    wait_for(lambda: gateway.chat(QWEN).status_code == 404, 5, what="the end of the old model")
    assert [model.id for model in gateway.openai().models.list()] == ["new"]


def test_a_stream_goes_on(gateway, providers):
    providers["qwen3"].script({"default": {"words": 80, "delay_ms": 50}})
    stream = gateway.openai().chat.completions.create(model=QWEN, messages=HELLO, stream=True)
    chunks = []
    reader = threading.Thread(target=lambda: chunks.extend(stream))
    reader.start()
    time.sleep(0.5)
    # Even the backend of the running stream goes away.
    gateway.write(manifest(providers, ("new", "gpt-oss")))
    wait_for(served(gateway, "new"), 15, what="the new model")
    assert reader.is_alive(), "the stream is still running when the new model is live"
    reader.join(20)
    assert len(text_of(chunks).split()) == 80
    assert chunks[-1].choices[0].finish_reason == "stop"


@pytest.mark.slow
def test_a_stream_of_five_minutes(gateway, providers):
    """Longer than any default timeout on the way; the manifest changes in the middle of it."""
    words = 310
    providers["qwen3"].script({"default": {"words": words, "delay_ms": 1000}})
    stream = gateway.openai(timeout=400).chat.completions.create(model=QWEN, messages=HELLO, stream=True)
    chunks = []
    for chunk in stream:
        chunks.append(chunk)
        if len(chunks) == words // 2:
            gateway.write(manifest(providers, ("new", "gpt-oss")))
            wait_for(served(gateway, "new"), 15, what="the new model")
    assert len(text_of(chunks).split()) == words


@pytest.mark.slow
def test_a_silence_of_two_minutes(gateway, providers):
    """A model that thinks for long says nothing meanwhile."""
    providers["qwen3"].script({"text": ": thinking\n\n"}, {"delay_ms": 120_000}, {"default": {"words": 5}})
    stream = gateway.openai(timeout=400).chat.completions.create(model=QWEN, messages=HELLO, stream=True)
    assert len(text_of(list(stream)).split()) == 5


def test_books_are_kept(gateway, providers, user):
    gateway.chat(QWEN, user)
    gateway.logged(user)
    gateway.write(manifest(providers, (QWEN, "qwen3"), ("new", "gpt-oss")))
    wait_for(served(gateway, "new"), 15, what="the new model")
    gateway.chat(QWEN, user)
    gateway.logged(user, 2)
    assert gateway.spent(user) == 2 * TOTAL


def test_budgets_are_kept(shared_providers, start_gateway, providers, user):
    budget = {
        "rateLimit": {"type": "Global", "global": {"rules": [resources.budget("llm_total_token", TOTAL - 1)]}}
    }
    gateway = start_gateway(manifest(shared_providers, (QWEN, "qwen3"), **budget))
    assert gateway.chat(QWEN, user).status_code == 200
    gateway.logged(user)
    gateway.write(manifest(providers, (QWEN, "qwen3"), ("new", "gpt-oss"), **budget))
    wait_for(served(gateway, "new"), 15, what="the new model")
    assert gateway.chat(QWEN, user).status_code == 429


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("a: [1, 2", "manifest.yaml"),
        (None, "no-such-backend"),
    ],
    ids=["no-yaml", "unknown-backend"],
)
def test_a_bad_file_is_refused(gateway, providers, broken, said):
    gateway.write(broken or manifest(providers, (QWEN, "no-such-backend")))
    gateway.process.wait_line(said, 15)
    assert gateway.chat(QWEN).status_code == 200, "the old one stays"
    # The next good one is taken over as if nothing had been.
    gateway.write(manifest(providers, (QWEN, "qwen3"), ("new", "gpt-oss")))
    wait_for(served(gateway, "new"), 15, what="the new model")


def test_no_request_is_lost(gateway, providers):
    """Light load while the manifest changes back and forth."""
    statuses, stop = [], threading.Event()

    def load():
        while not stop.is_set():
            statuses.append(gateway.chat(QWEN).status_code)

    workers = [threading.Thread(target=load) for _ in range(3)]
    for worker in workers:
        worker.start()
    try:
        for round_ in range(4):
            name = f"new-{round_}"
            rules = [(QWEN, "qwen3"), (name, "gpt-oss")]
            # Behind the rule under load and in front of it, which must not change what that one means.
            gateway.write(manifest(providers, *(rules if round_ % 2 else reversed(rules))))
            wait_for(served(gateway, name), 15, what=name)
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    assert len(statuses) > 20
    assert set(statuses) == {200}


def test_a_reload_waits_for_room_on_the_disk(small_disk, shared_providers, start_gateway):
    """The manifest is not touched a second time."""
    models = (QWEN, "qwen3")
    gateway = start_gateway(manifest(shared_providers, models), env={"TMPDIR": str(small_disk.path)})
    small_disk.fill()
    gateway.write(manifest(shared_providers, models, ("new", "gpt-oss")))
    gateway.process.wait_line("trying again in", 15)
    assert gateway.chat(QWEN).status_code == 200
    small_disk.make_room()
    wait_for(served(gateway, "new"), 60, what="the new model")
