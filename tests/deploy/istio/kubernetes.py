"""As much of a Kubernetes API server as Istiod needs: it lists and watches some objects, which never change, and refuses to
write any."""

import copy
import http.server
import json
import threading
import urllib.parse

#: The kinds that Istiod asks for, by the plural in the path.
KINDS = {
    "configmaps": "ConfigMap",
    "customresourcedefinitions": "CustomResourceDefinition",
    "destinationrules": "DestinationRule",
    "endpointslices": "EndpointSlice",
    "envoyfilters": "EnvoyFilter",
    "gateways": "Gateway",
    "ingressclasses": "IngressClass",
    "ingresses": "Ingress",
    "mutatingwebhookconfigurations": "MutatingWebhookConfiguration",
    "namespaces": "Namespace",
    "nodes": "Node",
    "pods": "Pod",
    "secrets": "Secret",
    "serviceentries": "ServiceEntry",
    "services": "Service",
    "validatingwebhookconfigurations": "ValidatingWebhookConfiguration",
    "virtualservices": "VirtualService",
    "wasmplugins": "WasmPlugin",
}
PLURALS = {kind: plural for plural, kind in KINDS.items()}
#: Istio's own, which it only looks for where their definitions are.
DEFINED = {
    "networking.istio.io": ["destinationrules", "envoyfilters", "gateways", "serviceentries", "virtualservices"],
    "extensions.istio.io": ["wasmplugins"],
}
CLUSTER_WIDE = {"CustomResourceDefinition", "Namespace"}


def group(api_version):
    return api_version.rpartition("/")[0]


def of_cluster(kind, name, api_version="v1"):
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}}


class Api:
    """Serves on loopback until it is closed."""

    def __init__(self, documents):
        documents = copy.deepcopy(documents)
        namespaces = {"istio-system", *(each["metadata"].get("namespace", "default") for each in documents)}
        documents += [of_cluster("Namespace", name) for name in sorted(namespaces)]
        documents += [
            of_cluster("CustomResourceDefinition", f"{plural}.{owner}", "apiextensions.k8s.io/v1")
            for owner, plurals in DEFINED.items()
            for plural in plurals
        ]
        for number, document in enumerate(documents, 1):
            metadata = document["metadata"]
            metadata.update(uid=f"uid-{number}", resourceVersion=str(number), creationTimestamp="2026-01-01T00:00:00Z")
            if document["kind"] not in CLUSTER_WIDE:
                metadata.setdefault("namespace", "default")
        self.documents = documents
        self.closed = threading.Event()
        handler = type("Bound", (Handler,), {"api": self})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.closed.set()
        self.server.shutdown()
        self.server.server_close()

    def kubeconfig(self):
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "it", "cluster": {"server": self.url}}],
            "users": [{"name": "it", "user": {"token": "none"}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            "current-context": "it",
        }

    def find(self, owner, plural, namespace=None, name=None):
        return [
            each
            for each in self.documents
            if group(each["apiVersion"]) == owner
            and PLURALS.get(each["kind"]) == plural
            and namespace in (None, each["metadata"].get("namespace"))
            and name in (None, each["metadata"]["name"])
        ]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api = None

    def log_message(self, *_):
        pass

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def fail(self, status, reason):
        self.answer(status, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": status})

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        match url.path.strip("/").split("/"):
            case ["version"]:
                return self.answer(200, {"major": "1", "minor": "34", "gitVersion": "v1.34.0"})
            case ["api", version, *rest]:
                owner = ""
            case ["apis", owner, version, *rest] if rest:
                pass
            case _:
                return self.fail(404, "NotFound")
        match rest:
            case ["namespaces", namespace, plural, *name]:
                pass
            case [plural, *name]:
                namespace = None
            case _:
                return self.fail(404, "NotFound")
        api_version = f"{owner}/{version}" if owner else version
        found = self.api.find(owner, plural, namespace, *name[:1])
        if name:
            return self.answer(200, found[0]) if found else self.fail(404, "NotFound")
        if plural not in KINDS:
            return self.fail(404, "NotFound")
        found = [{**each, "apiVersion": api_version} for each in found]
        for term in filter(None, query.get("fieldSelector", "").split(",")):
            field, _, value = term.partition("=")
            if field == "metadata.name":
                found = [each for each in found if each["metadata"]["name"] == value]
        if query.get("labelSelector"):
            # What Istiod asks for by labels are things of installations, of which there are none.
            found = []
        kind = KINDS[plural]
        if "PartialObjectMetadata" in self.headers.get("accept", ""):
            api_version, kind = "meta.k8s.io/v1", "PartialObjectMetadata"
            found = [{"apiVersion": api_version, "kind": kind, "metadata": each["metadata"]} for each in found]
        if query.get("watch") == "true":
            return self.watch(api_version, kind, found if query.get("sendInitialEvents") == "true" else None)
        metadata = {"resourceVersion": "1000"}
        return self.answer(200, {"apiVersion": api_version, "kind": f"{kind}List", "metadata": metadata, "items": found})

    def watch(self, api_version, kind, found):
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        if found is not None:
            for each in found:
                self.event("ADDED", each)
            metadata = {"resourceVersion": "1000", "annotations": {"k8s.io/initial-events-end": "true"}}
            self.event("BOOKMARK", {"apiVersion": api_version, "kind": kind, "metadata": metadata})
        self.api.closed.wait()
        self.close_connection = True

    def event(self, what, value):
        line = json.dumps({"type": what, "object": value}).encode() + b"\n"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.flush()

    def refuse(self):
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.fail(403, "Forbidden")

    do_POST = do_PUT = do_PATCH = do_DELETE = refuse
