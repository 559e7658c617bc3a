"""Backends besides the usual: over TLS, and plain HTTP beside the models."""

import datetime
import http.server
import ipaddress
import json
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from harness import resources

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


def certificate(name, directory):
    """A certificate that is its own CA, as PEM, and the files a server needs."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    names = x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = built.public_bytes(serialization.Encoding.PEM).decode()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (directory / "cert.pem").write_text(pem)
    (directory / "key.pem").write_bytes(private)
    return pem


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
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
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
