"""The programs, and where they are."""

import hashlib
import os
import pathlib
import shutil
import subprocess

import pytest

from harness.parts import missing
from harness.process import Failed

ROOT = pathlib.Path(__file__).resolve().parents[3]
OWN = ROOT / ".weir"
RELEASE = ROOT / "target" / "release"

WEIR = pathlib.Path(os.environ.get("WEIR", RELEASE / "weir"))
#: The oldest Envoy Gateway that takes what is rendered; see tools.sh.
OLDEST = "v1.6.0"
#: The filter in both forms lies beside `weir`.
MODULE = WEIR.with_name("libweir.so")
WASM = WEIR.with_name("weir.wasm")


def find(variable, name):
    """A program by its variable, or in .weir/bin, or on the PATH."""
    candidates = [os.environ.get(variable), OWN / "bin" / name, shutil.which(name)]
    return next((pathlib.Path(each) for each in candidates if each and pathlib.Path(each).exists()), None)


def tool(variable, name):
    """The same; the test ends without it."""
    return find(variable, name) or missing(f"{name} is not there: name it in {variable}, or run ./build.sh test --all")


def egctl():
    return tool("EGCTL", "egctl")


def older_egctl(version):
    """That of an older release, such as v1.8.0, where someone asked for it: it takes minutes to build."""
    variable = f"EGCTL_{version.replace('.', '_').upper()}"
    how = f"egctl {version} is not there: name it in {variable}, or run OLDER=yes ./build.sh test --all"
    return find(variable, f"envoy-gateway-{version}/egctl") or pytest.skip(how)


def server():
    return tool("ENVOY_GATEWAY", "envoy-gateway")


def older_server(version):
    """That of an older release; `None` when it is not there."""
    variable = f"ENVOY_GATEWAY_{version.replace('.', '_').upper()}"
    return find(variable, f"envoy-gateway-{version}/envoy-gateway")


def ratelimit():
    return tool("RATELIMIT", "service_cmd")


def envoy():
    """Envoy itself: what pip installs under that name is a script that starts it."""
    candidates = [os.environ.get("ENVOY"), OWN / "venv" / "bin" / "envoy", shutil.which("envoy")]
    for candidate in candidates:
        if not candidate or not pathlib.Path(candidate).exists():
            continue
        path = pathlib.Path(candidate)
        with open(path, "rb") as file:
            if file.read(4) == b"\x7fELF":
                return path
        for binary in path.parent.parent.glob("lib/python*/site-packages/envoy/_bin/envoy"):
            return binary
    return missing("Envoy is not there: name it in ENVOY")


def envoy_version():
    """Such as 1.40.0."""
    said = run(envoy(), "--version").stdout
    return said.split("version:")[1].split("/")[1]


def on_this_machine(text):
    """The same with the filter where it is here, and not in a pod."""
    return text.replace("/opt/weir/libweir.so", str(MODULE)).replace("/opt/weir/plugin.wasm", str(WASM))


def sha256(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()


def run(*command, check=True, **options):
    """Runs a program to its end."""
    command = [str(word) for word in command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, **options)
    if check and done.returncode != 0:
        raise Failed(f"{command}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done
