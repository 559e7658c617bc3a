"""LiteLLM's proxy: one worker, no database, nothing logged, and no key, as no other gateway here asks for one."""

import json
import sys
import urllib.error
import urllib.request

from .gateway import HOME, LOOPBACK, Gateway, run

VERSION = "1.106.2"
#: Releases that carried malware. Never install them, not even to compare.
MALICIOUS = {"1.82.7", "1.82.8"}
if VERSION in MALICIOUS:
    raise ImportError(f"LiteLLM {VERSION} is malicious")

ENVIRONMENT = {
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "ERROR",
    # Otherwise it asks GitHub for prices when it starts.
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "NO_DOCS": "True",
    "NO_REDOC": "True",
    "DISABLE_ADMIN_UI": "True",
    # It does not start without a key otherwise. It listens on loopback only.
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
    # By default it breaks off a stream that says the same 100 times, which the benchmark's upstream does.
    "REPEATED_STREAMING_CHUNK_LIMIT": "1000000000",
}


def configuration(upstream_port):
    """Every model, at the one upstream, under its own name. A list of names was not faster than the pattern."""
    backend = {
        "model": "openai/*",
        "api_base": f"http://{LOOPBACK}:{upstream_port}/v1",
        "api_key": "sk-of-the-benchmark",
    }
    return {
        "model_list": [{"model_name": "*", "litellm_params": backend}],
        "litellm_settings": {"num_retries": 0, "request_timeout": 600, "telemetry": False, "set_verbose": False},
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
        "general_settings": {"disable_spend_logs": True},
    }


def alive(url):
    try:
        with urllib.request.urlopen(f"{url}/health/liveliness", timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


class LiteLlm(Gateway):
    name = f"LiteLLM {VERSION}"
    home = HOME / "litellm"

    @classmethod
    def installed(cls):
        """The version found in its environment, None without one."""
        found = next(cls.home.glob("lib/python*/site-packages/litellm-*.dist-info"), None)
        return found and found.name.removeprefix("litellm-").removesuffix(".dist-info")

    @classmethod
    def missing(cls):
        return None if cls.installed() == VERSION else f"litellm=={VERSION}"

    @classmethod
    def install(cls):
        if cls.missing():
            run(sys.executable, "-m", "venv", cls.home)
            pip = [cls.home / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
            run(*pip, f"litellm[proxy]=={VERSION}")
        if cls.installed() != VERSION or cls.installed() in MALICIOUS:
            raise SystemExit(f"{cls.home} holds litellm {cls.installed()}, not {VERSION}")

    def launch(self, port, upstream_port):
        if self.installed() != VERSION:
            raise RuntimeError(f"{self.home} holds litellm {self.installed()}, not {VERSION}")
        # JSON is YAML.
        file = self.write("litellm.yaml", json.dumps(configuration(upstream_port)))
        options = ["--host", LOOPBACK, "--port", port, "--num_workers", "1", "--telemetry", "False"]
        self.spawn(self.home / "bin" / "litellm", "--config", file, *options, env=ENVIRONMENT)
        # It imports for a long time, more so where it shares its core.
        self.wait_until(lambda: alive(f"http://{LOOPBACK}:{port}"), timeout=180)
