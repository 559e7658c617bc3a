"""The programs, and where they are."""

import os
import pathlib
import shutil
import subprocess

import yaml

from harness.parts import missing

ROOT = pathlib.Path(__file__).resolve().parents[3]
MANIFESTS = ROOT / "manifests"
OWN = ROOT / ".weir"
MODULES = OWN / "go" / "pkg" / "mod"

WEIR = pathlib.Path(os.environ.get("WEIR", ROOT / "target" / "release" / "weir"))


def tool(variable, name):
    """A program by its variable, or in .weir/bin, or on the PATH; the test ends without it."""
    for candidate in (os.environ.get(variable), OWN / "bin" / name, shutil.which(name)):
        if candidate and pathlib.Path(candidate).exists():
            return pathlib.Path(candidate)
    return missing(f"{name} is not there: name it in {variable}, or run ./build.sh test --all")


def module(variable, path):
    """A Go module's folder, for the schemas in it; the test ends without it."""
    folder = pathlib.Path(os.environ.get(variable, MODULES / path))
    if not folder.is_dir():
        missing(f"{path} is not there: name its folder in {variable}, or run ./build.sh test --all")
    return folder


def gateway_module():
    """Envoy Gateway, with its chart and the schemas of its kinds and of Gateway API's."""
    return module("GATEWAY_MODULE", "github.com/envoyproxy/gateway@v1.9.1")


def istio_module():
    """Istio's kinds."""
    return module("ISTIO_MODULE", "istio.io/api@v1.31.4")


def run(*command, check=True, **options):
    """The finished process, with what it printed."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, **options)
    assert not check or done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def documents(text):
    """All resources of a text."""
    return [document for document in yaml.load_all(text, Loader=Strings) if document]


def resources(folder):
    """All resources of a folder."""
    return [document for file in sorted(folder.glob("*.yaml")) for document in documents(file.read_text())]


def by_id(resources):
    """The resources by what tells them apart; none is there twice."""
    found = {}
    for resource in resources:
        metadata = resource["metadata"]
        key = (resource["kind"], metadata.get("namespace"), metadata["name"])
        assert key not in found, f"{key} is there twice"
        found[key] = resource
    return found


class Strings(yaml.CSafeLoader):
    """As Kubernetes reads YAML: a date is text."""


Strings.yaml_implicit_resolvers = {
    start: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for start, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
