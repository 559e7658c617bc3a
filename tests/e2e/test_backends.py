"""Backends besides the usual: over TLS, and plain HTTP beside the models."""

import http.server
import json
import threading

import pytest

from harness import resources
from harness.tls import certificate, server_context

QWEN = "Qwen/Qwen3-1.7B"
NAME = "models.test"
COMPLETION = {
    "id": "c-1",
    "object": "chat.completion",
    "created": 1,
    "model": "secure",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Safe."}}],
    "usage": {"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3},
}


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.server.hosts.append(self.headers["host"])
        body = json.dumps(COMPLETION).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def secure(tmp_path):
    """A model server over TLS: its port, its CA, the names it was asked for."""
    pem = certificate(NAME, tmp_path)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.hosts, server.asked = [], []
    context = server_context(tmp_path)
    context.sni_callback = lambda _, name, __: server.asked.append(name)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server, pem
    server.shutdown()
    server.server_close()


def over_tls(server, pem, hostname):
    address = f"http://127.0.0.1:{server.server_port}"
    ca = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "ca", "namespace": "default"},
        "data": {"ca.crt": pem},
    }
    policy = resources.resource(
        "gateway.networking.k8s.io/v1",
        "BackendTLSPolicy",
        "secure",
        {
            "targetRefs": [{"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "secure-endpoint"}],
            "validation": {
                "hostname": hostname,
                "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "ca"}],
            },
        },
    )
    route = resources.route(resources.rule("secure", "secure"))
    return [*resources.gateway(), *resources.backend("secure", address), ca, policy, route]


def test_a_backend_over_tls(secure, start_gateway):
    server, pem = secure
    gateway = start_gateway(over_tls(server, pem, NAME))
    answer = gateway.chat("secure")
    assert (answer.status_code, answer.json()["choices"][0]["message"]["content"]) == (200, "Safe.")
    assert server.asked == [NAME]


def test_a_certificate_of_another_name_is_refused(secure, start_gateway):
    server, pem = secure
    gateway = start_gateway(over_tls(server, pem, "other.test"))
    answer = gateway.chat("secure")
    assert answer.status_code == 503
    assert answer.json()["error"]["message"]
    assert server.hosts == [], "nothing is sent to whom it is not for"


def test_plain_http_beside_the_models(providers, start_gateway):
    plain = resources.resource(
        "gateway.networking.k8s.io/v1",
        "HTTPRoute",
        "plain",
        {
            "parentRefs": [resources.of_gateway()],
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": "/_requests"}}],
                    "backendRefs": [
                        {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "qwen3-endpoint"}
                    ],
                }
            ],
        },
    )
    gateway = start_gateway([*resources.standard(providers), plain])
    assert gateway.chat(QWEN).status_code == 200
    received = gateway.http.get("/_requests", headers={"authorization": "Bearer of-the-client"})
    assert received.status_code == 200
    assert received.json()[0]["path"] == "/v1/chat/completions"
    unknown = gateway.http.get("/nothing")
    assert (unknown.status_code, unknown.json()["error"]["type"]) == (404, "invalid_request_error")
