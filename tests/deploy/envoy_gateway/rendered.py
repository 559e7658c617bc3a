"""What `weir render --to envoy-gateway` writes."""

import yaml

from harness import resources

from . import tools

#: The image is named and never pulled here.
MODULE = ("--module-image", "registry.example/weir-module:0.1.0")


def render(directory, manifest, *options):
    """The rendered resources; `manifest` is a list of resources or of files."""
    done = try_render(directory, manifest, *options)
    assert done.returncode == 0, done.stderr
    return load(directory / "rendered")


def try_render(directory, manifest, *options):
    """The finished process."""
    directory.mkdir(parents=True, exist_ok=True)
    if all(isinstance(each, dict) for each in manifest):
        file = directory / "manifest.yaml"
        file.write_text(resources.dump(manifest))
        manifest = [file]
    files = [word for file in manifest for word in ("-f", file)]
    command = [tools.WEIR, "render", *files, "--to", "envoy-gateway", *(options or MODULE)]
    return tools.run(*command, "-o", directory / "rendered", check=False)


def load(directory):
    """All documents of a folder, in the order of the files."""
    texts = [file.read_text() for file in sorted(directory.glob("*.yaml"))]
    return [document for text in texts for document in yaml.safe_load_all(text) if document]


def of_kind(documents, kind):
    return [document for document in documents if document["kind"] == kind]


def named(documents, kind, name):
    return next(document for document in of_kind(documents, kind) if document["metadata"]["name"] == name)
