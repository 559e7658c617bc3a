"""docker-compose.yaml says what the files beside it expect. Nothing is started: there is no engine in it."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest
import yaml
from harness.parts import missing

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "envoy-config"
FILE = FOLDER / "docker-compose.yaml"


def compose():
    """$DOCKER_COMPOSE, Docker's plugin, or docker-compose."""
    if named := os.environ.get("DOCKER_COMPOSE"):
        return [named]
    plugin = ["docker", "compose"]
    if shutil.which("docker"):
        has_it = subprocess.run([*plugin, "version"], capture_output=True, check=False).returncode == 0
        if has_it:
            return plugin
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    missing("there is no docker-compose: `apt-get install docker-compose`, or set $DOCKER_COMPOSE")


def config(*options, **environment):
    """What compose makes of the file."""
    # Only what compose itself needs: the file must stand on its own.
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment}
    command = [*compose(), "-f", str(FILE), "config", *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, "compose warns"
    return yaml.safe_load(done.stdout)


@pytest.fixture(scope="module")
def services():
    return config()["services"]


def mounts(service):
    """Source, target and whether it is read-only; versions of compose print it in one of two ways."""
    for volume in service.get("volumes", []):
        if isinstance(volume, str):
            source, target, *mode = volume.split(":")
            yield source, target, mode == ["ro"]
        else:
            yield volume["source"], volume["target"], volume.get("read_only", False)


def test_it_is_valid():
    config("-q")


def test_images_are_pinned(services):
    for name, service in services.items():
        if "build" in service:
            assert (ROOT / service["build"]["dockerfile"]).is_file()
            assert pathlib.Path(service["build"]["context"]) == ROOT
        else:
            tag = service["image"].partition(":")[2]
            assert re.fullmatch(r"v?\d+\.\d+\.\d+(-[a-z]+)?|[0-9a-f]{8}", tag), f"{name}: {service['image']}"


def test_images_are_what_build_sh_installs(services):
    text = (ROOT / "build.sh").read_text()
    envoy = re.search(r"ENVOY_VERSION=(\S+)", text)[1]
    ratelimit = re.search(r"RATELIMIT=\S+-([0-9a-f]{12})\n", text)[1]
    assert services["envoy"]["image"].endswith(f":v{envoy}")
    assert services["ratelimit"]["image"].endswith(f":{ratelimit[:8]}")


def test_the_stand_ins_are_built_with_a_compiler_that_can():
    text = (ROOT / "tests" / "providers" / "Dockerfile").read_text()
    has = re.search(r"^FROM rust:(\d+)\.(\d+)\.", text, re.MULTILINE)
    needs = re.search(r'rust-version = "(\d+)\.(\d+)"', (ROOT / "Cargo.toml").read_text())
    assert (int(has[1]), int(has[2])) >= (int(needs[1]), int(needs[2]))


def test_nothing_is_published_beyond_this_machine(services):
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert len(published) == 1
    (port,) = published
    assert port.startswith("127.0.0.1:") if isinstance(port, str) else port["host_ip"] == "127.0.0.1"


def test_mounts_are_read_only_and_there(services):
    found = {}
    for service in services.values():
        for source, target, read_only in mounts(service):
            assert read_only, target
            found[target] = source
    assert set(found) == {"/etc/envoy/envoy.yaml", "/etc/weir", "/data/ratelimit"}
    assert pathlib.Path(found["/etc/envoy/envoy.yaml"]).is_file()
    assert list(pathlib.Path(found["/data/ratelimit"]).glob("config/*.yaml"))
    assert found["/etc/weir"] == str(ROOT / "target" / "release")


def addresses(name):
    """The hosts and ports of a file's clusters."""
    clusters = yaml.safe_load((FOLDER / name).read_text())["static_resources"]["clusters"]
    for cluster in clusters:
        for locality in cluster["load_assignment"]["endpoints"]:
            for endpoint in locality["lb_endpoints"]:
                place = endpoint["endpoint"]["address"]["socket_address"]
                yield place["address"], place["port_value"]


@pytest.mark.parametrize("form", ["wasm", "module"])
def test_envoy_reaches_what_it_names(services, form):
    networks = set(services["envoy"]["networks"])
    ports = {"ratelimit": 8081}
    for host, port in addresses(f"gateway-{form}.yaml"):
        service = services[host]
        assert networks & set(service["networks"]), host
        assert port == ports.get(host) or f"{host}={port}" in " ".join(service["command"]), host
    redis = services["ratelimit"]["environment"]["REDIS_URL"].split(":")
    assert redis[0] in services and redis[1] == "6379"
    assert set(services["ratelimit"]["networks"]) & set(services["redis"]["networks"])


def test_the_published_port_is_envoys(services):
    text = str(services["envoy"]["ports"])
    for form in ("wasm", "module"):
        assert "address: 0.0.0.0, port_value: 1975" in (FOLDER / f"gateway-{form}.yaml").read_text()
    assert "1975" in text


def test_variables_take_the_place_of_the_defaults(tmp_path):
    (tmp_path / "mine.yaml").write_text("")
    (tmp_path / "mine.env").write_text("AWS_ACCESS_KEY_ID=AKIAMINE\n")
    mine = config(
        ENVOY_YAML=str(tmp_path / "mine.yaml"),
        ENVOY_ENV=str(tmp_path / "mine.env"),
        WEIR_PARTS=str(tmp_path),
        GATEWAY_PORT="8080",
    )["services"]
    sources = {target: source for source, target, _ in mounts(mine["envoy"])}
    assert sources == {"/etc/envoy/envoy.yaml": str(tmp_path / "mine.yaml"), "/etc/weir": str(tmp_path)}
    assert mine["envoy"]["environment"]["AWS_ACCESS_KEY_ID"] == "AKIAMINE"
    assert "AWS_SECRET_ACCESS_KEY" not in mine["envoy"]["environment"]
    # The stand-in never sees keys of one's own.
    assert mine["bedrock"]["environment"]["AWS_ACCESS_KEY_ID"] == "AKIADEMO"
    assert "8080" in str(mine["envoy"]["ports"])


def test_the_file_holds_no_secret():
    text = FILE.read_text()
    for line in (FOLDER / "stand-ins.env").read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            assert line.split("=", 1)[1] not in text
