"""The page for people on the admin address, in a real browser."""

import json
import os
import pathlib
import shutil
import subprocess

import httpx
import pytest

from harness import resources
from harness.parts import missing
from harness.samples import HELLO, INPUT, OUTPUT

ROOT = pathlib.Path(__file__).parents[2]
CLIENTS = ROOT / "tests" / "e2e" / "clients"
MODULES = ROOT / ".weir" / "clients" / "node_modules"
#: What a page would run that takes names for markup.
MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def gateway(shared_providers, start_gateway):
    return start_gateway(
        [
            *resources.gateway(),
            *resources.backend("main", shared_providers["qwen3"].url),
            *resources.backend("refusing", "http://127.0.0.1:1"),
            resources.traffic(resources.budget("llm_total_token", 1_000_000)),
            resources.route(
                resources.rule("fast", "main"),
                resources.rule("both", {"name": "refusing", "priority": 0}, {"name": "main", "priority": 1}),
            ),
        ]
    )


@pytest.fixture(scope="module")
def seen(gateway, tmp_path_factory):
    """What there is to see after some requests."""
    chromium = shutil.which("chromium") or missing("chromium is not installed")
    if not (MODULES / "playwright-core").is_dir():
        missing("`./build.sh test` installs playwright-core")
    for user in ["ann", "bob", MARKUP]:
        gateway.openai(user).chat.completions.create(model="fast", messages=HELLO)
    assert gateway.chat("unheard-of", "eve").status_code == 404
    for user in ["ann", "bob", MARKUP, "eve"]:
        gateway.logged(user)
    folder = tmp_path_factory.mktemp("page")
    (folder / "node_modules").symlink_to(MODULES)
    shutil.copy(CLIENTS / "page.mjs", folder)
    options = {"WEIR_PAGE": f"{gateway.admin}/weir/", "WEIR_CHROMIUM": chromium}
    if "WEIR_SHOT" in os.environ:
        options["WEIR_SHOT"] = os.environ["WEIR_SHOT"]
    done = subprocess.run(
        ["node", "page.mjs"], cwd=folder, env=os.environ | options, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_who_used_what(seen):
    lines = {tuple(row[:3]): row[3:] for row in seen["tables"]["usage"]}
    for user in ["ann", "bob", MARKUP]:
        requests, read, cached, written, _, total = lines[(user, "fast", "default/main")]
        assert (requests, read, cached, written, total) == ("1", str(INPUT), "0", str(OUTPUT), str(INPUT + OUTPUT))
    assert ["llm_total_token", "fast", "default/main", str(3 * (INPUT + OUTPUT))] in seen["tables"]["costs"]


def test_what_went_wrong(seen):
    (row,) = [row for row in seen["tables"]["errors"] if row[4] == "eve"]
    assert row[1:4] == ["404", "unheard-of", "–"]
    assert "the model unheard-of does not exist" in row[5]


def test_backends_and_routes(seen):
    backends = {row[0]: row[1:] for row in seen["tables"]["backends"]}
    assert backends.keys() == {"default/main", "default/refusing"}
    assert backends["default/main"][1:4] == ["3", "0", "0"]
    routes = {row[0]: row[1] for row in seen["tables"]["routes"]}
    assert routes["default/models/rule/both"] == "default/refusing (OpenAI), default/main (OpenAI)"
    assert [name for name, _ in seen["tiles"]][:2] == ["Requests per minute", "Tokens per minute"]


def test_the_keyboard_does_it_all(seen):
    assert seen["filtered"] == [["None of them has that in its name."]]
    assert seen["falling"] == sorted(seen["falling"], reverse=True)
    assert seen["rising"] == sorted(seen["rising"])
    assert len(set(seen["rising"])) == 3


def test_it_can_be_read_by_all(seen):
    """WCAG AA wants 4.5 to 1."""
    assert min(seen["contrast"].values()) >= 4.5
    assert seen["width"] <= 400


def test_it_asks_nobody_else_and_complains_of_nothing(gateway, seen):
    assert seen["asked"] == [gateway.admin]
    assert seen["complaints"] == []
    page = httpx.get(f"{gateway.admin}/weir/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    moved = httpx.get(f"{gateway.admin}/weir")
    assert (moved.status_code, moved.headers["location"]) == (308, "/weir/")
    assert httpx.post(f"{gateway.admin}/weir/").status_code == 405
