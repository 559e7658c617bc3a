"""The files of `envoy-config/` agree with each other and with what `weir render` writes, and nothing passes an Envoy that lacks the filter."""

import json
import re
import subprocess

import httpx
import pytest
import yaml

from harness import plain_envoy, resources
from harness.gateway import WEIR
from harness.plain_envoy import FOLDER, FORM, PARTS, PlainEnvoy, address, localized
from harness.ports import free_port
from harness.process import Process, wait_for
from harness.samples import HELLO, sentence

WASM = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"
MODULE = "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter"


def read(name):
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text())


def found(value, wanted):
    """Every object below `value` that `wanted` says yes to."""
    if isinstance(value, dict):
        if wanted(value):
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from found(each, wanted)


def of_type(value, *types):
    return list(found(value, lambda each: each.get("@type") in types))


def same_in_both(value):
    """A file without what must differ between the forms of the filter."""
    if isinstance(value, dict):
        if value.get("@type") == WASM:
            plugin = value["config"]
            configuration = json.loads(plugin["configuration"]["value"])
            configuration.pop("secret_env", None)
            return {"role": plugin["root_id"], "configuration": configuration}
        if value.get("@type") == MODULE:
            configuration = json.loads(value["filter_config"]["value"])
            configuration.pop("secret_files", None)
            return {"role": value["filter_name"], "configuration": configuration}
        return {key: same_in_both(each) for key, each in value.items()}
    if isinstance(value, list):
        return [same_in_both(each) for each in value]
    if isinstance(value, str):
        value = re.sub(r"%FILTER_STATE\(wasm\.(llm_\w+):PLAIN\)%", r"%COST(\1)%", value)
        value = re.sub(r"%DYNAMIC_METADATA\(io\.envoy\.ai_gateway:(\w+)\)%", r"%COST(\1)%", value)
        return re.sub(r"%FILTER_STATE\((wasm\.)?weir\.record:PLAIN\)%", "%RECORD%", value)
    return value


@pytest.mark.parametrize("name", ["gateway", "direct"])
def test_the_forms_differ_in_nothing_else(name):
    assert same_in_both(read(f"{name}-wasm")) == same_in_both(read(f"{name}-module"))


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """What `weir render` writes for resources that mean the same."""
    folder = tmp_path_factory.mktemp("rendered")
    budget = {**resources.budget("llm_total_token", 60), "shared": True}
    manifest = [
        *resources.gateway(),
        *resources.backend("vllm", "http://127.0.0.1:8000"),
        *resources.backend("bedrock", "http://127.0.0.1:8001", "AWSAnthropic"),
        *resources.aws_default("bedrock"),
        resources.route(
            resources.rule("llama", {"name": "vllm", "priority": 0}, {"name": "bedrock", "priority": 1}),
            resources.rule("claude", "bedrock"),
            costs={"llm_total_token": "TotalToken"},
        ),
        resources.traffic(budget),
    ]
    (folder / "resources.yaml").write_text(resources.dump(manifest))
    command = [WEIR, "render", "-f", folder / "resources.yaml", "--to", "envoy", "--filter", FORM, "-o", folder / "out"]
    command += ["--rate-limit-service", "127.0.0.1:8081", "--access-log", folder / "access.log"]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return {
        str(file.relative_to(folder / "out")): yaml.safe_load(file.read_text())
        for file in (folder / "out").rglob("*")
        if file.suffix in (".json", ".yaml")
    }


def only_limits(value):
    """The rate limits per route, once."""
    limits = of_type(value, "type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute")
    assert limits and all(each == limits[0] for each in limits)
    return limits[0]


def renamed(value, names):
    text = json.dumps(value)
    for old, new in names.items():
        assert old in text, f"{old}: not in {text}"
        text = text.replace(old, new)
    return json.loads(text)


def test_rate_limits_are_asked_as_rendered(rendered):
    budget = "default/traffic/rule/0"
    (routes,) = [value for name, value in rendered.items() if name.startswith("xds/rds-")]
    ours = read(f"gateway-{FORM}")
    assert only_limits(ours) == renamed(only_limits(routes), {budget: "tokens"})
    service = renamed(rendered["ratelimit/config/config/weir.yaml"], {budget: "tokens"})
    assert yaml.safe_load((FOLDER / "ratelimit" / "config" / "weir.yaml").read_text()) == {**service, "domain": "gateway"}
    kind = "type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit"
    (filter_of_ours,) = of_type(ours, kind)
    (open_filter,) = [each for each in of_type(rendered, kind) if not each["failure_mode_deny"]]
    for field in ("enable_x_ratelimit_headers", "timeout", "failure_mode_deny"):
        assert duration(filter_of_ours[field]) == duration(open_filter[field]), field


def duration(value):
    return float(value.removesuffix("s")) if isinstance(value, str) and re.fullmatch(r"[\d.]+s", value) else value


def plugin(value):
    """What is said to Envoy of the filter in each role, without its own JSON and its path."""
    roles = {}
    for each in of_type(value, WASM, MODULE):
        each = json.loads(json.dumps(each))
        if each["@type"] == WASM:
            each["config"]["configuration"].pop("value")
            each["config"]["vm_config"]["code"]["local"].pop("filename")
            roles[each["config"]["root_id"]] = each
        else:
            each["filter_config"].pop("value")
            roles[each["filter_name"]] = each
    return roles


def test_the_filter_is_loaded_as_rendered(rendered):
    ours, theirs = plugin(read(f"gateway-{FORM}")), plugin(rendered)
    assert set(ours) == {"edge", "backend"}
    for role, said in ours.items():
        # Those by hand have keys alone in their environment, not all that the SDKs of AWS look at.
        assert shown_environment(said) <= shown_environment(theirs[role])
        assert said == theirs[role]


def shown_environment(plugin):
    """What a wasm filter may see of the environment, which is taken out."""
    config = plugin.get("config", {}).get("vm_config", {})
    return set(config.pop("environment_variables", {}).get("host_env_keys", []))


def test_envoys_own_replies_are_told_apart_as_rendered(rendered):
    kind = "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter"
    theirs = [each["expression"] for each in of_type(rendered, kind)]
    for name in (f"gateway-{FORM}", f"direct-{FORM}"):
        (ours,) = of_type(read(name), kind)
        assert ours["expression"] in theirs


def own_configuration(value):
    """The filter's own JSON, which all roles share."""
    texts = {
        each["filter_config"]["value"] if each["@type"] == MODULE else each["config"]["configuration"]["value"]
        for each in of_type(value, WASM, MODULE)
    }
    (text,) = texts
    return json.loads(text)


def test_the_filters_own_configuration_is_made_as_rendered(rendered):
    ours, theirs = own_configuration(read(f"gateway-{FORM}")), own_configuration(rendered)
    routes = list(theirs["routes"].values())
    # It says what is so anyway.
    assert [route.pop("user_headers") for route in routes] == [["x-user-id"]] * 2
    # Of direct ways, which have files of their own.
    assert [route.pop("answer_timeout_ms", 120_000) for route in routes] == [120_000] * 2
    assert sorted(map(shape, ours["routes"].values())) == sorted(map(shape, routes))
    assert ours["backends"]["bedrock"]["auth"]["type"] == theirs["backends"]["default/bedrock"]["auth"]["type"]
    # What is called is a cluster of `render`'s own.
    types = lambda config: [source["type"] for source in config["credentials"].values()]  # noqa: E731
    assert types(ours) == types(theirs)


def shape(route):
    """All but names, as text."""
    return json.dumps({**route, "targets": len(route["targets"])})


@pytest.fixture
def file(tmp_path):
    """Writes a file with the parts of this machine, whose only backend is `to`; the file and the port of its gateway."""

    def write(name, to=None, changes=None, folder=None):
        port = free_port()
        text = (FOLDER / f"{name}-{FORM}.yaml").read_text()
        here = {
            **({f"{PARTS}/weir.wasm": (folder or plain_envoy.parts()) / "weir.wasm"} if FORM == "wasm" else {}),
            address("127.0.0.1", 9901): address("127.0.0.1", 0),
            address("0.0.0.0", 1975): address("127.0.0.1", port),
        }
        if to:
            here[address("vllm", 8000)] = address("127.0.0.1", to.port)
            here[address("bedrock", 8000)] = address("127.0.0.1", to.port)
        written = tmp_path / f"{name}.yaml"
        written.write_text(localized(localized(text, changes or {}), here))
        return written, port

    return write


@pytest.mark.parametrize("name", ["gateway", "direct"])
def test_envoy_takes_it(file, name):
    taken, said = plain_envoy.validate(file(name)[0])
    assert taken, said


PART = {"wasm": "weir.wasm", "module": "libweir.so"}[FORM]


@pytest.mark.parametrize("content", [None, b"", b"\0asm\1\0\0\0", b"\x7fELF of something else"])
@pytest.mark.parametrize("name", ["gateway", "direct"])
def test_without_its_filter_envoy_does_not_start(file, tmp_path, name, content):
    folder = tmp_path / "parts"
    folder.mkdir()
    if content is not None:
        (folder / PART).write_bytes(content)
    written, _ = file(name, folder=folder)
    command, environment = plain_envoy.run_command(written, search_path=folder)
    process = Process(command, env=environment)
    assert process.wait(30) != 0, process.output
    process.wait_for_end()
    assert re.search(r"wasm|dynamic.?module|weir\.so", process.output, re.IGNORECASE), process.output


def test_a_mistake_in_the_filters_own_configuration_is_told_and_lets_nothing_pass(file, providers):
    written, port = file("gateway", to=providers["qwen3"], changes={'"targets"': '"tragets"'})
    _, said = plain_envoy.validate(written)
    assert re.search("the configuration cannot be read: .*tragets", said), said
    process = Process(*start(written))
    try:
        answer = wait_for(lambda: post(port), 20, what="Envoy")
        assert answer.status_code == 503
        assert "no configuration" in answer.json()["error"]["message"]
        assert not providers["qwen3"].requests()
    finally:
        process.stop()


def start(written):
    command, environment = plain_envoy.run_command(written)
    return command, {**environment, **plain_envoy.stand_in_keys()}


#: What somebody could forget, and what is then between a client and a backend.
FORGOTTEN = {
    "the mark of an endpoint": {"metadata: {filter_metadata: {weir: {target: 0/0/vllm}}}": ""},
    "the backend that a mark names": {"target: 0/0/vllm": "target: 0/0/vlm"},
    "the route in the filter's routes": {'"llama": {': '"lama": {'},
}


@pytest.mark.parametrize("what", FORGOTTEN)
def test_a_request_that_the_filter_does_not_know_reaches_no_backend(file, providers, what):
    written, port = file("gateway", to=providers["qwen3"], changes=FORGOTTEN[what])
    envoy = PlainEnvoy(written, port, environment=plain_envoy.stand_in_keys())
    try:
        answer = envoy.chat("llama")
        assert answer.status_code >= 500
        assert answer.json()["error"]["message"]
        assert not providers["qwen3"].requests()
    finally:
        envoy.stop()


def test_a_request_past_the_edge_role_reaches_no_backend(file, providers):
    """A listener without the edge role, in front of a cluster with the backend role."""
    written, port = file("gateway", to=providers["qwen3"])
    config = yaml.safe_load(written.read_text())
    manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    manager["http_filters"] = [each for each in manager["http_filters"] if each["name"] != "weir.edge"]
    written.write_text(json.dumps(config))
    process = Process(*start(written))
    try:
        answer = wait_for(lambda: post(port), 20, what="Envoy")
        assert answer.status_code >= 500
        assert not providers["qwen3"].requests()
    finally:
        process.stop()


def post(port):
    body, headers = {"model": "llama", "messages": HELLO}, {"x-ai-eg-model": "llama"}
    try:
        return httpx.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=body, headers=headers, timeout=20)
    except httpx.TransportError:
        return None


def test_a_filter_that_is_gone_later_stays(file, providers, tmp_path):
    """Envoy has read it: the file may be replaced while it runs."""
    folder = tmp_path / "parts"
    folder.mkdir()
    part = folder / PART
    part.write_bytes((plain_envoy.parts() / PART).read_bytes())
    written, port = file("gateway", to=providers["qwen3"], folder=folder)
    envoy = PlainEnvoy(written, port, environment=plain_envoy.stand_in_keys(), search_path=folder)
    try:
        part.unlink()
        assert envoy.chat("llama").json()["choices"][0]["message"]["content"] == sentence("qwen3")
    finally:
        envoy.stop()
