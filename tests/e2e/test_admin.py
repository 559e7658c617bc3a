"""The admin address: whom it answers, where it listens, and who may ask."""

import os
import subprocess

import httpx
import pytest

from harness import gateway as gateways
from harness import resources
from harness.process import wait_for
from harness.second_envoy import bootstrap_of

TOKEN, OTHER = "0123456789abcdef", "fedcba9876543210"


@pytest.fixture(scope="module")
def token_file(tmp_path_factory):
    return tmp_path_factory.mktemp("admin") / "token"


@pytest.fixture(scope="module")
def guarded(shared_providers, start_gateway, token_file):
    token_file.write_text(f"{TOKEN}\n")
    options = ["--admin-bind", "0.0.0.0", "--admin-token-file", token_file]
    return start_gateway(resources.standard(shared_providers), *options)


def ask(gateway, path, token=None, scheme="Bearer", method="GET"):
    headers = {"authorization": f"{scheme} {token}"} if token else {}
    return httpx.request(method, gateway.admin + path, headers=headers, verify=False)


def test_only_who_has_the_token_is_answered(guarded):
    for path in ["/weir/usage", "/stats", "/stats/prometheus", "/nothing"]:
        answer = ask(guarded, path)
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json() == {"message": "send `authorization: Bearer TOKEN` with the token of --admin-token-file"}
        for wrong, scheme in [(OTHER, "Bearer"), (TOKEN, "Basic"), (TOKEN[:-1], "Bearer"), (TOKEN + "0", "Bearer")]:
            answer = ask(guarded, path, wrong, scheme)
            assert (answer.status_code, TOKEN in answer.text) == (401, False), (path, wrong)
    assert ask(guarded, "/weir/usage", TOKEN).json()["records"] == []
    assert "envoy_" in ask(guarded, "/stats/prometheus", TOKEN).text
    assert ask(guarded, "/nothing", TOKEN).status_code == 404


def test_probes_need_none(guarded):
    assert ask(guarded, "/ready").text == "LIVE\n"
    for path in ["/ready/", "/ready/../stats", "//ready"]:
        assert ask(guarded, path).status_code in (401, 404), path


def test_a_changed_token_is_taken_over(guarded, token_file):
    def put(text):
        new = token_file.with_suffix(".new")
        new.write_text(text)
        new.replace(token_file)

    put("short")
    guarded.process.wait_line(r"the token of the admin address in \S+ has 5 bytes, and needs 16")
    assert ask(guarded, "/stats", TOKEN).status_code == 200
    put(OTHER)
    wait_for(lambda: ask(guarded, "/stats", OTHER).status_code == 200, 20, what="the new token")
    assert ask(guarded, "/stats", TOKEN).status_code == 401
    put(TOKEN)
    wait_for(lambda: ask(guarded, "/stats", TOKEN).status_code == 200, 20, what="the old token")


def test_the_token_is_written_nowhere(guarded):
    assert TOKEN not in guarded.process.output
    for folder, _, files in os.walk(os.path.dirname(bootstrap_of(guarded)["admin"]["address"]["pipe"]["path"])):
        for file in files:
            path = os.path.join(folder, file)
            if not os.path.isfile(path) or os.path.getsize(path) > 1 << 20:
                continue
            assert TOKEN.encode() not in open(path, "rb").read(), path


def test_without_one_it_stays_on_loopback(shared_providers, tmp_path):
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(resources.dump(resources.standard(shared_providers)))
    command = [gateways.WEIR, "run", "-f", manifest, "--admin-bind", "0.0.0.0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "--admin-bind 0.0.0.0 is no loopback address" in done.stderr
    assert "--admin-token-file" in done.stderr
