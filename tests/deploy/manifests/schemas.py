"""JSON schemas of all kinds that manifests/ use, for kubeconform: it has no network to get them from.

Those of Kubernetes' own kinds come with a package of Python, the others are made from the definitions of the platforms.
"""

import json
import pathlib

import kubernetes_validate

from . import tools

#: That of the EKS blueprint.
KUBERNETES = "1.35.0"
OWN_KINDS = pathlib.Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / f"v{KUBERNETES}-local-strict"


def write(directory):
    """Makes the schemas and says where they are, as options of kubeconform."""
    gateway = tools.gateway_module() / "charts" / "gateway-helm" / "charts" / "crds" / "crds"
    istio = tools.istio_module() / "kubernetes" / "customresourcedefinitions.gen.yaml"
    for file in [*sorted(gateway.rglob("*.yaml")), istio]:
        for definition in tools.documents(file.read_text()):
            if definition["kind"] == "CustomResourceDefinition":
                write_kind(directory, definition["spec"])
    own = directory / "kubernetes"
    own.mkdir()
    for file in OWN_KINDS.glob("*.json"):
        # They refer to each other by addresses that kubeconform would have to download.
        schema = json.loads(file.read_text().replace('"/api/_definitions.json#', '"_definitions.json#'))
        schema.pop("$id", None)
        (own / file.name).write_text(json.dumps(schema))
    theirs = f"{directory}/{{{{.Group}}}}/{{{{.ResourceKind}}}}_{{{{.ResourceAPIVersion}}}}.json"
    ours = f"{own}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    return ["-schema-location", theirs, "-schema-location", ours]


def write_kind(directory, spec):
    folder = directory / spec["group"]
    folder.mkdir(parents=True, exist_ok=True)
    kind = spec["names"]["kind"].lower()
    for version in spec["versions"]:
        schema = strict(version["schema"]["openAPIV3Schema"])
        named = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
        schema["properties"] = {**schema["properties"], **named}
        (folder / f"{kind}_{version['name']}.json").write_text(json.dumps(schema))


def strict(schema):
    """Fields that the schema does not know are mistakes, as they are with `kubectl apply`."""
    schema = dict(schema)
    if "properties" in schema:
        schema["properties"] = {name: strict(below) for name, below in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            schema["additionalProperties"] = False
    elif isinstance(schema.get("additionalProperties"), dict):
        schema["additionalProperties"] = strict(schema["additionalProperties"])
    if "items" in schema:
        schema["items"] = strict(schema["items"])
    return schema
