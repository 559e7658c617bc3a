"""`weir image`, seen by the tools that others take images with, and by an Envoy that fetches the filter."""

import functools
import hashlib
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import threading

import httpx
import pytest
from harness.gateway import WEIR
from harness.parts import missing
from harness.ports import free_port
from harness.process import Process, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = {"wasm": ("weir.wasm", "plugin.wasm"), "module": ("libweir.so", "libweir.so")}
#: bcrypt of `PASSWORD`, as docker-registry wants it.
USER, PASSWORD = "weir", "not-a-secret"
HTPASSWD = f"{USER}:$2b$04$nhBFEnoBomiU3M/YP4.3Hu5wH.J4KCNCYWFTWtVO8/xhrc.iIqzKe\n"


def tool(name):
    return shutil.which(name) or missing(f"{name} is not installed: ./build.sh test --all does that")


def filter_file(form):
    """Where `weir` finds the filter: beside itself."""
    return WEIR.parent / FILES[form][0]


def weir(*arguments, program=WEIR, **env):
    """A finished `weir image`."""
    command = [program, "image", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, **env})


def packed(*arguments, **env):
    """What `weir image` printed: {"image": "sha256:...", ...}"""
    done = weir(*arguments, **env)
    assert done.returncode == 0, done.stderr
    return dict(line.split() for line in done.stdout.splitlines())


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def start_registry(folder, extra=""):
    """A docker-registry on loopback, and its address."""
    port = free_port()
    store = folder / "store"
    config = folder / "registry.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: warn}}\nstorage: {{filesystem: {{rootdirectory: {store}}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n{extra}"
    )
    process = Process([tool("docker-registry"), "serve", config])

    def answers():
        try:
            return httpx.get(f"http://127.0.0.1:{port}/v2/").status_code in (200, 401)
        except httpx.TransportError:
            return False

    wait_for(answers, 15, what="docker-registry")
    return process, f"127.0.0.1:{port}"


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    process, address = start_registry(tmp_path_factory.mktemp("registry"))
    yield address
    process.stop()


@pytest.fixture(scope="module")
def private_registry(tmp_path_factory):
    folder = tmp_path_factory.mktemp("private")
    passwords = folder / "htpasswd"
    passwords.write_text(HTPASSWD)
    process, address = start_registry(folder, f"auth: {{htpasswd: {{realm: here, path: {passwords}}}}}\n")
    yield address
    process.stop()


@pytest.mark.parametrize("form", FILES)
def test_what_is_pushed_is_what_is_pulled(form, registry, tmp_path):
    skopeo, umoci = tool("skopeo"), tool("umoci")
    name = f"{registry}/test/{form}:1.2.3"
    printed = packed("--filter", form, "--push", name)
    assert printed["pushed"] == f"{registry}/test/{form}@{printed['image']}"

    run(skopeo, "copy", "--src-tls-verify=false", f"docker://{printed['pushed']}", f"oci:{tmp_path / 'pulled'}:here")
    run(umoci, "unpack", "--rootless", "--image", f"{tmp_path / 'pulled'}:here", tmp_path / "unpacked")
    [file] = (tmp_path / "unpacked" / "rootfs").iterdir()
    assert file.name == FILES[form][1]
    assert file.read_bytes() == filter_file(form).read_bytes()
    assert printed[file.name] == "sha256:" + hashlib.sha256(file.read_bytes()).hexdigest()

    seen = json.loads(run(skopeo, "inspect", "--tls-verify=false", f"docker://{name}"))
    assert seen["Digest"] == printed["image"]
    [version, *commit] = run(WEIR, "--version").split()[1:]
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in seen["Labels"].items()}
    assert (labels["version"], labels["licenses"]) == (version, "Apache-2.0")
    assert [f"({labels['revision']})"] == commit if commit else "revision" not in labels


@pytest.mark.parametrize("form", FILES)
def test_the_layout_is_one_for_others(form, registry, tmp_path):
    layout = tmp_path / "layout"
    printed = packed("--filter", form, "-o", layout)
    name = f"{registry}/test/copied-{form}:1"
    run(tool("skopeo"), "copy", "--dest-tls-verify=false", f"oci:{layout}", f"docker://{name}")
    seen = json.loads(run(tool("skopeo"), "inspect", "--tls-verify=false", f"docker://{name}"))
    assert seen["Digest"] == printed["image"]


def test_the_same_filter_makes_the_same_image(tmp_path):
    copy = tmp_path / "another-name"
    shutil.copyfile(filter_file("wasm"), copy)
    os.utime(copy, (1, 1))
    first = packed("-o", tmp_path / "first")
    second = packed("-o", tmp_path / "second", "--from", copy)
    assert first == second
    run("diff", "--recursive", tmp_path / "first", tmp_path / "second")


def test_credentials_are_dockers(private_registry, tmp_path):
    name = f"{private_registry}/test/weir:1"
    refused = weir("--push", name, DOCKER_CONFIG=str(tmp_path))
    assert refused.returncode == 2
    assert "does not let us push to test/weir; Docker's config.json has no credentials for it" in refused.stderr
    assert f"`docker login {private_registry}`" in refused.stderr

    config = tmp_path / "config.json"

    def log_in(password):
        auth = httpx.BasicAuth(USER, password)._auth_header.removeprefix("Basic ")
        config.write_text(json.dumps({"auths": {private_registry: {"auth": auth}}}))

    log_in("wrong-secret")
    refused = weir("--push", name, DOCKER_CONFIG=str(tmp_path))
    assert refused.returncode == 2
    assert f'the credentials are those of "{USER}"' in refused.stderr
    assert "wrong-secret" not in refused.stderr

    log_in(PASSWORD)
    assert packed("--push", name, DOCKER_CONFIG=str(tmp_path))["pushed"].startswith(private_registry)


def test_what_cannot_be_is_said(tmp_path):
    def error(*arguments, **options):
        done = weir(*arguments, **options)
        assert (done.returncode, done.stdout) == (2, "")
        return done.stderr

    assert "Connection refused" in error("--push", f"127.0.0.1:{free_port()}/test/weir:1")
    assert "no tag" in error("--push", "127.0.0.1:5000/test/weir")
    assert "is not WebAssembly" in error("-o", tmp_path / "layout", "--from", filter_file("module"))
    (tmp_path / "mine").write_text("keep me")
    assert "not empty" in error("-o", tmp_path)
    alone = shutil.copy(WEIR, tmp_path / "weir")
    message = error("-o", tmp_path / "layout", program=alone)
    assert "the wasm filter (weir.wasm) is not there; ./build.sh build makes it" in message
    assert (tmp_path / "mine").read_text() == "keep me" and not (tmp_path / "layout").exists()


def test_a_release_is_of_the_version_it_says():
    done = subprocess.run([ROOT / "build.sh", "release", "99.0.0"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "not 99.0.0" in done.stderr


# Envoy fetches the filter.

TYPE = "type.googleapis.com/envoy.extensions.filters"
CONFIGURATION = {"routes": {}, "backends": {}, "models": [{"id": "llama", "owned_by": "us", "created": 1}]}


@pytest.fixture(scope="module")
def downloads():
    """The port of a server that has the filters."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=WEIR.parent)
    handler.func.log_message = lambda *_: None
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()


def remote(port, form, sha256):
    uri = f"http://127.0.0.1:{port}/{FILES[form][0]}"
    return {"remote": {"http_uri": {"uri": uri, "cluster": "downloads", "timeout": "10s"}, "sha256": sha256}}


def edge(port, form, sha256):
    """The edge role, from a remote source."""
    configuration = {
        "@type": "type.googleapis.com/google.protobuf.StringValue",
        "value": json.dumps(CONFIGURATION),
    }
    source = remote(port, form, sha256)
    if form == "module":
        return {
            "@type": f"{TYPE}.http.dynamic_modules.v3.DynamicModuleFilter",
            "dynamic_module_config": {"module": source, "do_not_close": True},
            "filter_name": "edge",
            "filter_config": configuration,
        }
    vm = {"vm_id": "weir", "runtime": "envoy.wasm.runtime.v8", "code": source}
    return {
        "@type": f"{TYPE}.http.wasm.v3.Wasm",
        "config": {
            "name": "weir.edge",
            "root_id": "edge",
            "allow_on_headers_stop_iteration": True,
            "failure_policy": "FAIL_RELOAD",
            "vm_config": vm,
            "configuration": configuration,
        },
    }


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def bootstrap(edge, port, downloads):
    """An Envoy that answers `past the filter` to whatever passes the filter."""
    reply = {"status": 200, "body": {"inline_string": "past the filter"}}
    manager = {
        "@type": f"{TYPE}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "test",
        "http_filters": [
            {"name": "weir.edge", "typed_config": edge},
            {"name": "router", "typed_config": {"@type": f"{TYPE}.http.router.v3.Router"}},
        ],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "direct_response": reply}]}]},
    }
    endpoint = {"endpoint": {"address": address(downloads)}}
    load = {"cluster_name": "downloads", "endpoints": [{"lb_endpoints": [endpoint]}]}
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    return {
        "node": {"id": "test", "cluster": "test"},
        "static_resources": {
            "listeners": [{"name": "test", "address": address(port), "filter_chains": [chain]}],
            "clusters": [{"name": "downloads", "connect_timeout": "2s", "load_assignment": load}],
        },
    }


@pytest.fixture
def fetching_envoy(downloads, tmp_path):
    """Starts Envoys that fetch the filter; they answer once they have it or have given up."""
    started = []

    def start(form, sha256):
        port = free_port()
        file = tmp_path / "envoy.json"
        file.write_text(json.dumps(bootstrap(edge(downloads, form, sha256), port, downloads)))
        envoy = os.environ.get("ENVOY") or shutil.which("envoy") or ROOT / ".weir" / "venv" / "bin" / "envoy"
        process = Process([envoy, "-c", file, "--use-dynamic-base-id", "--concurrency", 1, "--log-level", "warning"])
        started.append(process)

        def answer():
            try:
                return httpx.get(f"http://127.0.0.1:{port}/v1/models", timeout=10)
            except httpx.TransportError:
                return None

        # Wasm is compiled before the listener opens. An answer with an error is false.
        return process, wait_for(lambda: (found := answer()) is not None and [found], 30, what="Envoy")[0]

    yield start
    for process in started:
        process.stop()


def sha256_of(form):
    return hashlib.sha256(filter_file(form).read_bytes()).hexdigest()


def symptoms(heading):
    """The lines of a log that the page on troubleshooting shows below a heading."""
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    section = page.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line.strip() for line in section.splitlines() if line.startswith("    [")]
    # From the message on: time and thread are of another day.
    return [line.rsplit("] ", 1)[1] for line in lines]


def test_envoy_fetches_the_filter_and_serves_with_it(fetching_envoy):
    _, answer = fetching_envoy("wasm", sha256_of("wasm"))
    assert answer.status_code == 200
    assert [model["id"] for model in answer.json()["data"]] == ["llama"]


def test_a_wrong_digest_of_wasm_lets_nothing_pass(fetching_envoy):
    process, answer = fetching_envoy("wasm", "0" * 64)
    assert (answer.status_code, answer.text) == (503, "")
    expected = symptoms("Every request is a 503, and a plugin failed to load")
    assert len(expected) == 2
    for line in expected:
        assert line in process.output


def test_a_wrong_digest_of_a_remote_module_lets_all_pass(fetching_envoy):
    """Envoy's doing, which is why the documentation says to take the module from a file. Should this fail, Envoy has changed."""
    process, answer = fetching_envoy("module", "0" * 64)
    assert (answer.status_code, answer.text) == (200, "past the filter")
    [expected] = symptoms("Requests pass as if there were no filter (native module)")
    assert expected in process.output
