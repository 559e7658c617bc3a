"""Dashboards and alerts: a real Prometheus scrapes a real gateway, and every query finds what it asks for."""

import json
import re
import subprocess
import sys

import httpx
import pytest
import yaml
from test_docs import ROOT, places

from harness import providers as stand_ins
from harness import resources
from harness.gateway import Gateway, new_user
from harness.process import wait_for
from harness.resources import CLAUDE
from harness.samples import HELLO, SSE
from manifests import tools
from observability.prometheus import ALERTS, FOLDER, Prometheus, filled, promtool

DASHBOARDS = {file.stem: json.loads(file.read_text()) for file in sorted((FOLDER / "dashboards").glob("*.json"))}
RULES = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
#: A user may go over it once.
BUDGET = 30
#: How many requests `traffic` makes.
REQUESTS = 11


@pytest.fixture(scope="module")
def providers():
    running = stand_ins.start_all()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def gateway(providers, tmp_path_factory):
    gateway_class, gateway = resources.gateway()
    gateway["metadata"]["annotations"] = {"weir.dev/metrics-headers": "x-team:team"}
    spare = [{"name": "main", "priority": 0}, {"name": "spare", "priority": 1}]
    manifest = [
        gateway_class,
        gateway,
        *resources.backend("qwen3", providers["qwen3"].url),
        *resources.backend("main", providers["main"].url),
        *resources.api_key("main", stand_ins.OPENAI_KEY),
        *resources.backend("spare", providers["spare"].url),
        *resources.api_key("spare", stand_ins.SPARE_KEY),
        *resources.backend("claude", providers["claude"].url, "Anthropic"),
        *resources.anthropic_key("claude", stand_ins.ANTHROPIC_KEY),
        # A credential that expires.
        *resources.backend("bedrock", providers["bedrock"].url, "AWSAnthropic", "bedrock-2023-05-31"),
        *resources.aws_default("bedrock"),
        resources.traffic(resources.budget("llm_total_token", BUDGET)),
        resources.route(
            resources.rule("fast", "qwen3"),
            resources.rule("both", *spare),
            resources.rule("claude", "claude"),
            resources.rule(CLAUDE, "bedrock"),
        ),
    ]
    environment = {
        "AWS_ACCESS_KEY_ID": "",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": providers["pod-identity"].url + "/v1/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "pod-token-1",
    }
    running = Gateway(tmp_path_factory.mktemp("gateway"), manifest, env=environment)
    yield running
    running.close()


def traffic(gateway, providers):
    """One of everything that a panel shows."""
    ask = {"messages": HELLO, "extra_headers": {"x-team": "red"}}
    user = new_user()
    for _ in range(2):
        gateway.openai(user).chat.completions.create(model="fast", **ask)
    assert gateway.chat("fast", user).status_code == 429, "over its budget"
    list(gateway.openai(new_user()).chat.completions.create(model="fast", stream=True, **ask))
    # Claude takes no such penalty, and counts what it writes to its cache.
    lax = gateway.openai(new_user(), _strict_response_validation=False)
    list(lax.chat.completions.create(model="claude", frequency_penalty=1, stream=True, **ask))
    assert gateway.chat(CLAUDE, new_user()).status_code == 200
    providers["main"].fail(503)
    gateway.openai(new_user()).chat.completions.create(model="both", **ask)
    for status in (500, 429):
        providers["qwen3"].fail(status)
        assert gateway.chat("fast", new_user()).status_code == status
    assert gateway.chat("unheard-of", new_user()).status_code == 404
    # A stream that breaks.
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "fast"}
    choice = {"index": 0, "delta": {"role": "assistant", "content": "so far"}, "finish_reason": None}
    event = f"data: {json.dumps({**chunk, 'choices': [choice]})}\n\n"
    providers["qwen3"].script({"text": event}, {"delay_ms": 100}, {"reset": True}, headers=SSE)
    with pytest.raises(httpx.HTTPError):
        gateway.chat("fast", new_user(), stream=True)


@pytest.fixture(scope="module")
def prometheus(gateway, providers, tmp_path_factory):
    """A Prometheus that has seen everything happen, and happen again: only then something grows."""
    running = Prometheus(tmp_path_factory.mktemp("prometheus"), gateway.admin.removeprefix("http://"))

    def scraped():
        return running.values("sum(weir_requests_total)").get((), 0)

    try:
        for times in (1, 2):
            traffic(gateway, providers)
            wait_for(lambda: scraped() >= REQUESTS * times, what="a scrape with all requests")
        yield running
    finally:
        running.close()


def variables(name, kind):
    """The queries of a dashboard's variables, by their names."""
    return {each["name"]: each["query"] for each in DASHBOARDS[name]["templating"]["list"] if each["type"] == kind}


def panels(name):
    return [panel for panel in DASHBOARDS[name]["panels"] if panel["type"] != "row"]


@pytest.mark.parametrize(
    ("name", "panel"),
    [pytest.param(name, panel, id=f"{name}: {panel['title']}") for name in DASHBOARDS for panel in panels(name)],
)
def test_every_panel_has_data(prometheus, name, panel):
    # The label of a header, too, as somebody would add it.
    groups = [*variables(name, "custom").get("by", "").split(","), "team"]
    assert panel["targets"]
    for target in panel["targets"]:
        for group in groups if "$by" in target["expr"] else [""]:
            query = filled(target["expr"], by=group)
            assert prometheus.values(query), query


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_variable_has_values_and_narrows(prometheus, name):
    for variable, query in variables(name, "query").items():
        metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", query["query"]).groups()
        assert prometheus.get(f"label/{label}/values", **{"match[]": metric}), variable
        queries = [target["expr"] for panel in panels(name) for target in panel["targets"]]
        narrowed = [query for query in queries if f"${variable}" in query]
        assert narrowed, variable
        for query in narrowed:
            assert not prometheus.values(filled(query, by="job", **{variable: "another"})), query


def test_what_alerts_ask_for_is_scraped(prometheus):
    (target,) = prometheus.get("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    scraped = prometheus.get("label/__name__/values")
    for rule in RULES:
        names = re.sub(r"{[^}]*}|\b(by|on) \([^)]*\)", "", rule["expr"])
        for metric in re.findall(r"\b(?:envoy|weir|gen_ai)_\w+", names):
            assert metric in scraped, f"{rule['alert']}: {metric}"

    def evaluated():
        groups = prometheus.get("rules")["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        return rules if all(rule["health"] != "unknown" for rule in rules) else None

    rules = wait_for(evaluated)
    assert [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"] == []
    assert len(rules) == len(RULES)
    # What was lost is told at once.
    assert prometheus.values('ALERTS{alertname="WeirLosses", gen_ai_backend="default/claude"}')


def test_the_page_is_as_it_should_be(gateway, prometheus):
    page = httpx.get(f"{gateway.admin}/weir/metrics").text
    assert "weir_credential_expiry_timestamp_seconds{" in page and 'team="red"' in page
    promtool("check", "metrics", input=page)
    # Envoy's own have names of its own; that is all there is to say of the whole page.
    whole = httpx.get(f"{gateway.admin}/stats/prometheus").text
    said = promtool("check", "metrics", input=whole, check=False)
    assert not [line for line in said.stderr.splitlines() if not line.startswith("envoy_")]


def test_alerts_are_rules_and_fire_when_they_should(tmp_path):
    promtool("check", "rules", ALERTS)
    rules = yaml.safe_load(ALERTS.read_text())
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}
        # The others are the same whatever happens.
        rule["annotations"] = {"summary": rule["annotations"]["summary"]}
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules))
    text = (ROOT / "tests" / "deploy" / "observability" / "alerts.test.yaml").read_text()
    (tmp_path / "test.yaml").write_text(text.replace("[ALERTS]", f"[{tmp_path / 'rules.yaml'}]"))
    promtool("test", "rules", tmp_path / "test.yaml")
    cases = [case for test in yaml.safe_load(text)["tests"] for case in test.get("alert_rule_test", [])]
    fire = {case["alertname"] for case in cases if case.get("exp_alerts")}
    assert fire == {rule["alert"] for rule in RULES}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_runbooks_are_there(rule):
    page, _, place = rule["annotations"]["runbook"].partition("#")
    assert place in places(ROOT / page)


def test_dashboards_are_what_the_script_writes():
    command = [
        sys.executable,
        "-B",
        "-c",
        "import dashboards\nfor file, text in dashboards.files(): assert file.read_text() == text, file",
    ]
    subprocess.run(command, cwd=FOLDER, check=True)
    assert {f"{name}.json" for name in DASHBOARDS} == {file.name for file in (FOLDER / "dashboards").iterdir()}
    assert [dashboard["uid"] for dashboard in DASHBOARDS.values()] == list(DASHBOARDS)


def test_dashboards_are_what_grafana_takes(tmp_path):
    check = tools.tool("GRAFANA_DASHBOARDS", "grafana-dashboards")
    tools.run(check, *(FOLDER / "dashboards").glob("*.json"))
    text = (FOLDER / "dashboards" / "weir-overview.json").read_text()
    for right, wrong in [
        ('"schemaVersion"', '"schemaversion"'),
        ('"unit"', '"unitt"'),
        ('"drawStyle": "line"', '"drawStyle": 1'),
        ('"reduceOptions"', '"reduce"'),
        ('"legendFormat"', '"legend"'),
    ]:
        assert right in text
        (tmp_path / "wrong.json").write_text(text.replace(right, wrong))
        assert tools.run(check, tmp_path / "wrong.json", check=False).returncode == 1, wrong


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_have_their_places(name):
    taken = set()
    for panel in DASHBOARDS[name]["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not taken & cells and place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
        if panel["type"] != "row":
            assert panel["fieldConfig"]["defaults"].get("unit") or panel["type"] == "heatmap", panel["title"]
            assert panel["datasource"]["uid"] == "${datasource}"
