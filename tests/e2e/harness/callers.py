"""Who sends a request: an issuer of tokens, and the users of a file."""

import base64
import hashlib
import json
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
