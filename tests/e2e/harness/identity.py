"""A stand-in for who gives tokens: Google's token endpoint, its exchange of tokens, the impersonation of service accounts
and its metadata server; Entra ID and Azure's managed identities; a provider of OpenID Connect. It refuses what they would."""

import base64
import itertools
import json
import threading
import time
import urllib.parse

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from .server import Server

CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
RESOURCE = "https://cognitiveservices.azure.com"
TENANT = "tenant-of-the-test"
CLIENT = "client-of-the-test"
#: With characters that a form has to escape.
CLIENT_SECRET = "hush~client/secret+with=signs"
IDENTITY_HEADER = "hush-identity-header"
REFRESH_TOKEN = "hush-refresh-token"
ACCOUNT = "weir@weir-test.iam.gserviceaccount.com"
#: The name under which the pool knows the provider.
POOL = "//iam.googleapis.com/projects/1234/locations/global/workloadIdentityPools/pool/providers/idp"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Refused(Exception):
    """What it says no to: status, `error` and `error_description`."""


def fields_of(text):
    """A form, each of whose fields must stand there once."""
    pairs = urllib.parse.parse_qsl(text, keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs), text
    return dict(pairs)


def read_jwt(token):
    """Header and claims, unverified."""
    parts = [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split(".")]
    return json.loads(parts[0]), json.loads(parts[1])


class Identity:
    """Runs while it is entered. Each token that it gives is `WHO-token-N`."""

    def __init__(self):
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.lock = threading.Lock()
        self.received = []
        self.scripts = []
        #: Seconds, of every token.
        self.valid_for = 3600
        #: What a file with the token of a workload may hold.
        self.workload_token = "hush-workload-token-1"
        #: Tokens that the provider of OpenID Connect has given, and of Google, to be exchanged.
        self.given = set()
        self.numbers = itertools.count(1)
        self.server = Server(self.serve)
        self.address, self.url = self.server.address, self.server.url

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stop()

    # What tests ask for.

    def requests(self, path=""):
        """What came to paths that begin so, oldest first: method, path, query, headers and form or JSON."""
        with self.lock:
            return [request for request in self.received if request["path"].startswith(path)]

    def clear(self):
        with self.lock:
            self.received.clear()
            self.scripts.clear()
            self.valid_for = 3600

    def script(self, path, status=None, body=None, times=1, hang=0):
        """Answers the next requests to paths that begin so with this: a JSON value, or bytes; `hang` seconds first."""
        with self.lock:
            self.scripts.append({"path": path, "status": status, "body": body, "times": times, "hang": hang})

    def private_key(self):
        form = serialization.PrivateFormat.PKCS8
        return self.key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()

    def secrets(self):
        """What must be nowhere but on its way."""
        key = "".join(self.private_key().splitlines()[1:-1])
        with self.lock:
            given = set(self.given)
        return {CLIENT_SECRET, IDENTITY_HEADER, REFRESH_TOKEN, self.workload_token, key[100:160], *given}

    # Google's credentials files.

    def service_account(self):
        return {
            "type": "service_account",
            "project_id": "weir-test",
            "private_key_id": "key-1",
            "private_key": self.private_key(),
            "client_email": ACCOUNT,
            "client_id": "1",
            "token_uri": f"{self.url}/google/token",
            "universe_domain": "googleapis.com",
        }

    def authorized_user(self):
        return {
            "type": "authorized_user",
            "client_id": CLIENT,
            "client_secret": CLIENT_SECRET,
            "refresh_token": REFRESH_TOKEN,
            "token_uri": f"{self.url}/google/token",
        }

    def impersonation_url(self, account=ACCOUNT):
        return f"{self.url}/v1/projects/-/serviceAccounts/{account}:generateAccessToken"

    def impersonated(self):
        return {
            "type": "impersonated_service_account",
            "service_account_impersonation_url": self.impersonation_url(),
            "source_credentials": self.service_account(),
            "delegates": [],
        }

    def external_account(self, source, impersonates=False):
        extra = {"service_account_impersonation_url": self.impersonation_url()} if impersonates else {}
        return {
            "type": "external_account",
            "audience": POOL,
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"{self.url}/v1/token",
            "credential_source": source,
            "universe_domain": "googleapis.com",
            **extra,
        }

    # What it answers.

    def serve(self, method, path, headers, body):
        place = urllib.parse.urlsplit(path)
        is_json = headers.get("content-type", "").startswith("application/json")
        request = {
            "method": method,
            "path": place.path,
            "query": dict(urllib.parse.parse_qsl(place.query)),
            "headers": headers,
            "json": json.loads(body) if body and is_json else None,
            "form": fields_of(body.decode()) if body and not is_json else {},
            "time": time.time(),
        }
        with self.lock:
            self.received.append(request)
        script = self.scripted(place.path)
        status = answer = None
        if script:
            time.sleep(script["hang"])
            status, answer = script["status"], script["body"]
        if status is None:
            try:
                status, answer = 200, self.answer(request)
            except Refused as refused:
                status, *rest = refused.args
                answer = {"error": rest[0], **({"error_description": rest[1]} if rest[1:] else {})}
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        return status, {"content-type": "application/json", "metadata-flavor": "Google"}, content

    def give(self, who):
        token = f"{who}-token-{next(self.numbers)}"
        with self.lock:
            self.given.add(token)
        return token

    def oauth(self, who, **more):
        return {"access_token": self.give(who), "token_type": "Bearer", "expires_in": self.valid_for, **more}

    def answer(self, request):
        path, method = request["path"], request["method"]
        if (method, path) == ("POST", "/google/token"):
            return self.google_token(request["form"])
        if (method, path) == ("POST", "/v1/token"):
            return self.exchange(request)
        if method == "POST" and path.endswith(":generateAccessToken"):
            return self.impersonate(request)
        if path.startswith("/computeMetadata/") or path == "/":
            return self.metadata(request)
        if (method, path) == ("POST", f"/{TENANT}/oauth2/v2.0/token"):
            return self.entra(request["form"])
        if (method, path) == ("GET", f"/{TENANT}/v2.0/.well-known/openid-configuration"):
            # What Microsoft's libraries look at first.
            entra = f"https://login.microsoftonline.com/{TENANT}"
            oauth = f"{entra}/oauth2/v2.0"
            places = {"authorization_endpoint": f"{oauth}/authorize", "token_endpoint": f"{oauth}/token"}
            return {**places, "issuer": f"{entra}/v2.0"}
        if (method, path) == ("GET", "/metadata/identity/oauth2/token"):
            return self.imds(request)
        if (method, path) == ("GET", "/msi/token"):
            return self.app_service(request)
        if (method, path) == ("GET", "/subject"):
            if request["headers"].get("x-workload") != "hush-header":
                raise Refused(403, "forbidden", "x-workload")
            return {"value": self.workload_token}
        if (method, path) == ("GET", "/idp/.well-known/openid-configuration"):
            token_endpoint = f"{self.url}/idp/token"
            scopes = ["openid", "offline_access"]
            return {"issuer": f"{self.url}/idp", "token_endpoint": token_endpoint, "scopes_supported": scopes}
        if (method, path) == ("POST", "/idp/token"):
            return self.provider(request)
        raise Refused(404, "not_found", path)

    def google_token(self, form):
        if form["grant_type"] == "refresh_token":
            expected = {"client_id": CLIENT, "client_secret": CLIENT_SECRET, "refresh_token": REFRESH_TOKEN}
            if any(form.get(name) != value for name, value in expected.items()):
                raise Refused(400, "invalid_grant", "Bad Request")
            return self.oauth("user", scope=CLOUD_PLATFORM)
        if form["grant_type"] != JWT_BEARER:
            raise Refused(400, "unsupported_grant_type", form["grant_type"])
        signed, _, signature = form["assertion"].rpartition(".")
        signature = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
        try:
            self.key.public_key().verify(signature, signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            raise Refused(400, "invalid_grant", "Invalid JWT Signature.") from None
        _, claims = read_jwt(form["assertion"])
        if abs(claims["iat"] - time.time()) > 300 or claims["exp"] - claims["iat"] > 3600 or claims["iss"] != ACCOUNT:
            raise Refused(400, "invalid_grant", "Invalid JWT")
        return self.oauth("account")

    def exchange(self, request):
        form = request["form"]
        if form["grant_type"] != EXCHANGE or form["audience"] != POOL:
            raise Refused(400, "invalid_target", "The target service indicated by the \"audience\" is invalid.")
        if form["subject_token"] not in {self.workload_token, *self.given}:
            raise Refused(400, "invalid_grant", f"The token {form['subject_token']} is not known.")
        issued = "urn:ietf:params:oauth:token-type:access_token"
        return self.oauth("federated", issued_token_type=issued)

    def impersonate(self, request):
        token = request["headers"].get("authorization", "").removeprefix("Bearer ")
        if token not in self.given or ACCOUNT not in request["path"]:
            denied = {"code": 403, "message": "Permission 'getAccessToken' denied", "status": "PERMISSION_DENIED"}
            raise Refused(403, denied)
        assert request["json"]["scope"] == [CLOUD_PLATFORM]
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + self.valid_for))
        return {"accessToken": self.give("impersonated"), "expireTime": until}

    def metadata(self, request):
        if request["headers"].get("metadata-flavor") != "Google":
            raise Refused(403, "forbidden", "Missing Metadata-Flavor:Google header")
        root = "/computeMetadata/v1/instance/service-accounts/default/"
        if request["path"] == root + "token":
            return self.oauth("metadata")
        if request["path"] == root:
            return {"aliases": ["default"], "email": ACCOUNT, "scopes": [CLOUD_PLATFORM]}
        return "computeMetadata/"

    def entra(self, form):
        if form["client_id"] != CLIENT or form["scope"] != f"{RESOURCE}/.default":
            raise Refused(400, "unauthorized_client", "AADSTS700016: Application not found")
        if "client_assertion" in form:
            if form["client_assertion_type"] != ASSERTION:
                raise Refused(400, "invalid_request", "client_assertion_type")
            if form["client_assertion"] not in {self.workload_token, *self.given}:
                raise Refused(401, "invalid_client", "AADSTS700213: No matching federated identity record found")
            return self.oauth("assertion", ext_expires_in=self.valid_for)
        if form.get("client_secret") != CLIENT_SECRET:
            raise Refused(401, "invalid_client", "AADSTS7000215: Invalid client secret provided.")
        return self.oauth("secret", ext_expires_in=self.valid_for)

    def managed(self, request, version):
        query = request["query"]
        if query.get("api-version") != version or query.get("resource") != RESOURCE:
            raise Refused(400, "invalid_request", "Required audience parameter not specified")
        until = int(time.time()) + self.valid_for
        token = {"access_token": self.give("managed"), "expires_on": str(until), "resource": RESOURCE}
        return {**token, "token_type": "Bearer", "client_id": query.get("client_id", "system")}

    def imds(self, request):
        if request["headers"].get("metadata") != "true":
            raise Refused(400, "invalid_request", "Required metadata header not specified")
        return {**self.managed(request, "2018-02-01"), "expires_in": str(self.valid_for)}

    def app_service(self, request):
        if request["headers"].get("x-identity-header") != IDENTITY_HEADER:
            raise Refused(401, "unauthorized", "")
        return self.managed(request, "2019-08-01")

    def provider(self, request):
        pair = base64.b64decode(request["headers"].get("authorization", "").removeprefix("Basic ")).decode()
        client, _, secret = pair.partition(":")
        if (urllib.parse.unquote_plus(client), urllib.parse.unquote_plus(secret)) != (CLIENT, CLIENT_SECRET):
            raise Refused(401, "invalid_client", f"{CLIENT_SECRET} would have been right")
        if request["form"]["grant_type"] != "client_credentials":
            raise Refused(400, "unsupported_grant_type", "")
        return self.oauth("subject", scope=request["form"].get("scope", ""))

    def scripted(self, path):
        with self.lock:
            for script in self.scripts:
                if script["times"] and path.startswith(script["path"]):
                    script["times"] -= 1
                    return script
        return None
