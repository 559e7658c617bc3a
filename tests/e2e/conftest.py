"""Fixtures. Nothing is built here: `WEIR` and `WEIR_PROVIDERS` name the binaries (default: target/release),
`FILTER` the filter (wasm or module)."""

import pathlib
import shutil
import socket
import subprocess
import tempfile

import openai
import pytest

from harness import gateway as gateways
from harness import providers as stand_ins
from harness import resources
from harness.parts import missing
from harness.ports import free_port
from harness.process import Process, wait_for


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Shows what the gateways said when a test fails."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for gateway in gateways.RUNNING:
            tail = "".join(gateway.process.lines[-80:])
            report.sections.append((f"weir, process {gateway.process.pid}", tail))


@pytest.fixture(scope="session")
def shared_providers():
    running = stand_ins.start_all()
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def clean(request):
    """Every test begins with providers that have received nothing and play no script."""
    if "shared_providers" in request.fixturenames:
        request.getfixturevalue("shared_providers").clear()


@pytest.fixture
def providers(shared_providers):
    """All stand-in providers by name: qwen3, gpt-oss, main, spare, claude, bedrock, azure, cohere, vertex, pod-identity."""
    return shared_providers


@pytest.fixture
def client(providers):
    """OpenAI's client at a stand-in itself, with no gateway between."""
    return openai.OpenAI(
        base_url=providers["qwen3"].url + "/v1",
        api_key="none",
        max_retries=0,
        timeout=10,
        _strict_response_validation=True,
    )


@pytest.fixture(scope="module")
def start_gateway(tmp_path_factory):
    """Starts gateways, for a test or, in fixtures of a module, for all of its tests."""
    started = []

    def start(manifest, *options, **named):
        gateway = gateways.Gateway(tmp_path_factory.getbasetemp(), manifest, *options, **named)
        started.append(gateway)
        return gateway

    start.started = started
    yield start
    for gateway in started:
        gateway.close()


@pytest.fixture(autouse=True)
def end_gateways(request):
    """Ends what a test has started: an Envoy watches each of its files by an instance of inotify, of which a user has 128."""
    if "start_gateway" not in request.fixturenames:
        yield
        return
    # Fixtures of the module have been set up by now.
    started = request.getfixturevalue("start_gateway").started
    before = len(started)
    yield
    while len(started) > before:
        started.pop().close()


@pytest.fixture(scope="module")
def gateway(shared_providers, start_gateway):
    """The gateway that most modules share among their tests."""
    return start_gateway(resources.standard(shared_providers))


@pytest.fixture
def user():
    return gateways.new_user()


@pytest.fixture(scope="session")
def redis(tmp_path_factory):
    """The address of a Redis of our own."""
    if not shutil.which("redis-server"):
        missing("redis-server is not installed")
    port = free_port()
    server = Process(
        ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
        cwd=tmp_path_factory.mktemp("redis"),
    )

    def answers():
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    wait_for(answers, 10, what="redis-server")
    yield f"127.0.0.1:{port}"
    server.stop()


class SmallDisk:
    """A file system of a few mebibytes."""

    def __init__(self):
        # The path is short: a socket's may have no more than 107 bytes.
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="weir-disk-", dir="/tmp"))
        command = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", self.path]
        self.is_mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0

    def fill(self):
        with pytest.raises(OSError), open(self.path / "filler", "wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)

    def make_room(self):
        (self.path / "filler").unlink()

    def close(self):
        if self.is_mounted:
            subprocess.run(["umount", "-l", self.path], check=True)
        # What still runs may have written below it since.
        shutil.rmtree(self.path)


# To be named before the fixture of what runs on it, which then ends first.
@pytest.fixture
def small_disk():
    disk = SmallDisk()
    try:
        if not disk.is_mounted:
            missing("there is no right to mount a file system")
        yield disk
    finally:
        disk.close()
