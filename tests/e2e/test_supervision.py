"""Whatever ends `weir`, nothing it started stays behind; and what it started is watched."""

import json
import os
import signal
import socket

import httpx
import pytest

from harness import gateway as gateways
from harness import resources
from harness.ports import free_port
from harness.process import Failed, alive, command_of, descendants, wait_for
from harness.providers import start_openai
from harness.resources import budget
from harness.samples import HELLO

QWEN = "Qwen/Qwen3-1.7B"
CLAUDE = "anthropic.claude-3-haiku-20240307-v1:0"


@pytest.fixture
def manifest(shared_providers):
    return [*resources.standard(shared_providers), resources.traffic(budget("llm_total_token", 100_000))]


@pytest.fixture(params=["local", "redis"])
def gateway(request, manifest, start_gateway):
    redis = request.getfixturevalue("redis") if request.param == "redis" else None
    gateway = start_gateway(manifest, redis=redis)
    assert gateway.chat(QWEN).status_code == 200
    yield gateway
    gateway.stop()


def children(gateway):
    """What it started, by process id."""
    started = {pid: command_of(pid) for pid in descendants(gateway.process.pid)}
    assert any("envoy" in command for command in started.values()), started
    return started


def of_program(started, *names):
    """Process ids whose command line begins with one of the programs."""

    def is_one(command):
        words = [os.path.basename(word) for word in command.split()[:2]]
        return any(name in word for name in names for word in words)

    return [pid for pid, command in started.items() if is_one(command)]


def assert_all_gone(started):
    wait_for(lambda: not [pid for pid in started if alive(pid)], 15, what=f"the end of {started}")


def assert_port_free(gateway):
    def refused():
        try:
            httpx.get(gateway.url)
        except httpx.ConnectError:
            return True
        except httpx.TransportError:
            # A thread of the dead process still holds the socket for a moment.
            pass
        return False

    wait_for(refused, 5, what="a free port")


def test_killed(gateway):
    started = children(gateway)
    gateway.process.kill()
    assert_all_gone(started)
    assert_port_free(gateway)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_end(gateway, number):
    started = children(gateway)
    gateway.process.popen.send_signal(number)
    assert gateway.process.wait(20) == 0
    assert_all_gone(started)
    assert_port_free(gateway)


def test_asked_to_end_with_a_stream_open(gateway, providers):
    providers["qwen3"].script({"default": {"words": 1000, "delay_ms": 100}})
    started = children(gateway)
    body = {"model": QWEN, "messages": [{"role": "user", "content": "x"}], "stream": True}
    with gateway.http.stream("POST", "/v1/chat/completions", json=body) as answer:
        next(answer.iter_lines())
        gateway.process.popen.send_signal(signal.SIGTERM)
        assert gateway.process.wait(30) == 0
    assert_all_gone(started)


@pytest.mark.parametrize("api", ["openai", "anthropic"])
@pytest.mark.parametrize("model", [QWEN, CLAUDE])
def test_streams_that_last_longer_end_with_an_error(manifest, start_gateway, providers, model, api, user):
    """Both on a direct way (where the native module has one) and on that of two roles."""
    if (model, api) == (QWEN, "anthropic"):
        pytest.skip("no backend of that API")
    for name in ("qwen3", "bedrock"):
        providers[name].script({"default": {"words": 1000, "delay_ms": 100}})
    gateway = start_gateway(manifest, "--drain-time-s", "3")
    path = "/v1/chat/completions" if api == "openai" else "/anthropic/v1/messages"
    body = {"model": model, "messages": HELLO, "max_tokens": 4000, "stream": True}
    text, broken = "", False
    with gateway.http.stream("POST", path, json=body, headers={"x-user-id": user}) as answer:
        pieces = answer.iter_text()
        text += next(pieces)
        gateway.process.popen.send_signal(signal.SIGTERM)
        try:
            for piece in pieces:
                text += piece
        except httpx.RemoteProtocolError:
            broken = True
    assert gateway.process.wait(20) == 0
    assert broken == (gateways.FILTER == "wasm"), "proxy-wasm can reset a stream, not end it"
    before, last = text.rstrip().rsplit("\n", 1)
    assert before.count("data: ") > 5, "it ran for most of the time there was"
    assert before.endswith("event: error") == (api == "anthropic")
    error = json.loads(last.removeprefix("data: "))
    assert error["type"] == "error"
    assert error["error"]["type"] == "service_unavailable_error"
    assert "the gateway is stopping" in error["error"]["message"]
    [line] = gateway.logged(user)
    assert (line["usage_status"], line["status"]) == ("partial", 200)


def test_envoy_crashes(gateway):
    """It is started again, or all of it ends with an exit code that says so."""
    started = children(gateway)
    # A script may stand before the program itself; the one started last is the program.
    os.kill(of_program(started, "envoy")[-1], signal.SIGKILL)

    def served_or_ended():
        if gateway.process.popen.poll() is not None:
            return True
        try:
            return gateway.chat(QWEN).status_code == 200
        except httpx.TransportError:
            return False

    wait_for(served_or_ended, 30, what="Envoy again, or the end")
    if gateway.process.popen.poll() is not None:
        assert gateway.process.popen.returncode > 0
        assert "envoy" in gateway.process.output.lower()
        assert_all_gone(started)


def test_the_ratelimit_service_crashes(gateway):
    started = children(gateway)
    service = of_program(started, "ratelimit", "service_cmd")
    if not service:
        pytest.skip("local budgets have no service")
    os.kill(service[-1], signal.SIGKILL)
    for _ in range(5):
        assert gateway.chat(QWEN, gateways.new_user()).status_code == 200, "traffic passes"

    def started_again():
        return [pid for pid in descendants(gateway.process.pid) if pid not in started]

    wait_for(started_again, 20, what="the ratelimit service again")


def run(*arguments, env=None, timeout=60):
    """Exit code and output of a `weir run` that cannot serve."""
    process = gateways.weir("run", *arguments, env=env)
    try:
        code = process.wait(timeout)
        process.wait_for_end()
        return code, process.output
    finally:
        process.stop()


@pytest.fixture
def file(manifest, tmp_path):
    file = tmp_path / "manifest.yaml"
    file.write_text(resources.dump(manifest))
    return file


def test_a_port_in_use(file):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, output = run("-f", file, "--port", port, "--admin-port", 0)
    assert code in (1, 2)
    assert str(port) in output


def test_envoy_is_missing(file):
    environment = {"ENVOY": "/nonexistent/envoy", "PATH": "/nonexistent"}
    code, output = run("-f", file, "--port", free_port(), "--admin-port", 0, env=environment)
    assert code == 2
    assert "envoy" in output.lower()


def test_bad_resources(file):
    file.write_text(file.read_text().replace("name: qwen3-endpoint", "name: no-such-thing", 1))
    code, output = run("-f", file, "--port", 0, "--admin-port", 0)
    assert code == 1
    assert str(file.name) in output
    assert "no-such-thing" in output or "qwen3-endpoint" in output


def test_no_such_file(tmp_path):
    code, output = run("-f", tmp_path / "nothing.yaml", "--port", 0, "--admin-port", 0)
    assert code == 1
    assert "nothing.yaml" in output


def test_the_port_of_the_command_line_wins(manifest, start_gateway):
    port = free_port()
    gateway = start_gateway(manifest, port=port)
    assert gateway.url.endswith(f":{port}")
    assert gateway.chat(QWEN).status_code == 200


def test_a_backend_comes_back(shared_providers, start_gateway):
    """Killed and started again under light load: nothing is lost that another backend can answer."""
    first = start_openai("first")
    port = first["first"].port
    gateway = start_gateway(
        [
            *resources.gateway(),
            *resources.backend("first", first["first"].url),
            *resources.backend("second", shared_providers["gpt-oss"].url),
            resources.route(
                resources.rule("m", {"name": "first", "priority": 0}, {"name": "second", "priority": 1})
            ),
        ]
    )
    try:
        assert gateway.chat("m").status_code == 200
        first.kill()
        assert {gateway.chat("m").status_code for _ in range(20)} == {200}
        first = start_openai("first", port=port)
        wait_for(
            lambda: gateway.chat("m").status_code == 200 and first["first"].requests(), 30, what="the first again"
        )
    finally:
        first.stop()


def test_a_filter_that_envoy_cannot_run_ends_the_start(shared_providers, start_gateway, tmp_path):
    """Envoy itself would serve: an empty error for every request."""
    broken = {"wasm": ("WEIR_WASM", tmp_path / "weir.wasm"), "module": ("WEIR_MODULE", tmp_path / "libweir.so")}
    variable, file = broken[gateways.FILTER]
    file.write_bytes(b"\0asm, but no more")
    with pytest.raises(Failed, match="weir: Envoy cannot run the"):
        start_gateway(resources.standard(shared_providers), env={variable: str(file)})


def folder_of(gateway):
    """The run directory: the one that Envoy's bootstrap is in."""
    words = " ".join(children(gateway).values()).split()
    return next(os.path.dirname(word) for word in words if word.endswith("/envoy.json"))


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT])
def test_other_signals_that_end_it(manifest, start_gateway, number):
    gateway = start_gateway(manifest)
    started, folder = children(gateway), folder_of(gateway)
    gateway.process.popen.send_signal(number)
    assert gateway.process.wait(20) == 0
    assert_all_gone(started)
    assert not os.path.exists(folder)


def test_signals_that_mean_nothing(gateway):
    started = children(gateway)
    for number in [signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF]:
        gateway.process.popen.send_signal(number)
        assert gateway.chat(QWEN).status_code == 200, number
        assert gateway.process.popen.poll() is None, number
        assert all(alive(pid) for pid in started), number


def test_sigusr1_opens_the_access_log_anew(gateway, user):
    """As logrotate does: move the file, then tell."""
    started = children(gateway)
    gateway.chat(QWEN, user)
    gateway.logged(user)
    moved = gateway.log_file.with_suffix(".1")
    gateway.log_file.rename(moved)
    gateway.process.popen.send_signal(signal.SIGUSR1)
    wait_for(gateway.log_file.exists, 10, what="a new access log")
    second = gateways.new_user()
    assert gateway.chat(QWEN, second).status_code == 200
    gateway.logged(second)
    assert second not in moved.read_text()
    assert gateway.process.popen.poll() is None
    assert all(alive(pid) for pid in started), "nobody else got it"


def test_an_access_log_that_cannot_be_written_is_told_of(small_disk, manifest, start_gateway):
    gateway = start_gateway(manifest, log_file=small_disk.path / "access.log")
    small_disk.fill()
    for _ in range(30):
        assert gateway.chat(QWEN).status_code == 200
    gateway.process.wait_line("the access log cannot be written", 15)
    small_disk.make_room()

    def told():
        gateway.chat(QWEN)
        return "the access log is written again" in gateway.process.output

    wait_for(told, 15, pause=0.3, what="the end of it")
