"""Who sends a request: an issuer of tokens, and services that Envoy asks."""

import base64
import hashlib
import http.server
import json
import threading
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa


def encoded(value):
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value):
    return encoded(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class Issuer:
    """Signs tokens. Its keys are public: `jwks`."""

    def __init__(self, name):
        self.name = name
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        numbers = self._key.public_key().public_numbers()
        key = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "1", "n": number(numbers.n), "e": number(numbers.e)}
        self.jwks = json.dumps({"keys": [key]})

    def token(self, lifetime=300, **claims):
        head = {"alg": "RS256", "typ": "JWT", "kid": "1"}
        body = {"iss": self.name, "exp": int(time.time()) + lifetime, **claims}
        signed = f"{encoded(head)}.{encoded(body)}"
        return f"{signed}.{encoded(self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def htpasswd(**users):
    """Lines as `htpasswd -nbs` writes them."""
    digest = lambda password: base64.b64encode(hashlib.sha1(password.encode()).digest()).decode()  # noqa: E731
    return "".join(f"{user}:{{SHA}}{digest(password)}\n" for user, password in users.items())


class Server:
    """An HTTP server of one function, from a request's path, headers and body to status, headers and body."""

    def __init__(self, answer):
        self.seen = []
        seen = self.seen

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                seen.append((self.path, headers, body))
                status, headers, body = answer(self.path, headers, body)
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = _serve

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
