"""Where the programs are that the benchmark runs."""

import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
TARGET = ROOT / "target"

# The end-to-end tests' harness: child processes, and resources as Python values.
sys.path.insert(0, str(ROOT / "tests" / "e2e"))


class Missing(Exception):
    """Something is not installed or not built."""


def program(variable, default, remedy):
    """The program that an environment variable names, or the one that is built here."""
    path = pathlib.Path(os.environ.get(variable, default))
    if not path.exists():
        raise Missing(f"{path} is not there: {remedy}, or set ${variable}")
    return path


def weir():
    return program("WEIR", TARGET / "release" / "weir", "./build.sh build makes it")


def load():
    build = "./build.sh bench builds it"
    return program("WEIR_BENCH", TARGET / "load" / "weir-bench", build)


def envoy():
    """Envoy itself: the command that its wheel installs is a script, whose CPU is not that of the gateway."""
    named = os.environ.get("ENVOY") or shutil.which("envoy") or ROOT / ".weir" / "venv" / "bin" / "envoy"
    named = pathlib.Path(named)
    if not named.exists():
        raise Missing(f"{named} is not there: ./build.sh build installs Envoy, or set $ENVOY")
    wheel = named.resolve().parent.parent.glob("lib/python*/site-packages/envoy/_bin/envoy")
    return next(wheel, named)


def output(*command):
    """What a command prints, None where it fails."""
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=30, cwd=ROOT)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
