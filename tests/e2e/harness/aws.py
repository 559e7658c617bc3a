"""A stand-in for AWS's Security Token Service and for the metadata of an EC2 instance. It refuses what they would:
signatures are checked by botocore's own signer."""

import datetime
import json
import threading
import time
import urllib.parse
from unittest import mock
from xml.sax.saxutils import escape

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from .server import Server

ACCOUNT = "arn:aws:iam::123456789012:role"
METADATA_TOKEN = "hush-metadata-token"
INSTANCE_ROLE = "the-role"


def key(name):
    """Temporary credentials that are told apart by their name."""
    return {
        "access_key_id": f"ASIA{name.upper()}",
        "secret_access_key": f"hush+{name}/secret=key",
        "session_token": f"hush-{name}-session-token==",
    }


class Refused(Exception):
    """Status, code and message."""


class Aws:
    """Runs while it is entered. A role `NAME` gives the credentials `key(NAME)`, unless `keys` says others."""

    def __init__(self):
        self.lock = threading.Lock()
        self.received = []
        self.faults = []
        self.valid_for = 3600
        #: Tokens of other providers that are taken.
        self.tokens = {"hush-pod-token-1"}
        #: Credentials that may assume roles, by their access key's ID.
        self.callers = {}
        self.keys = {}
        self.server = Server(self.serve)
        self.address, self.url = self.server.address, self.server.url

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stop()

    def may_assume(self, *keys):
        self.callers.update({each["access_key_id"]: each for each in keys})

    def requests(self, action=None):
        with self.lock:
            return [each for each in self.received if action is None or each["form"].get("Action") == action]

    def fault(self, status=500, body=b"hush-garbage", times=1, hang=0):
        """Answers the next calls with this; `hang` seconds first."""
        with self.lock:
            self.faults.append({"status": status, "body": body, "left": times, "hang": hang})

    def clear(self):
        with self.lock:
            self.received.clear()
            self.faults.clear()

    def next_fault(self):
        with self.lock:
            for fault in self.faults:
                if fault["left"] > 0:
                    fault["left"] -= 1
                    return fault
        return None

    # What it answers.

    def serve(self, method, path, headers, body):
        text = body.decode()
        form = dict(urllib.parse.parse_qsl(text, keep_blank_values=True))
        request = {"method": method, "path": path, "headers": headers, "body": text, "form": form, "time": time.time()}
        with self.lock:
            self.received.append(request)
        fault = self.next_fault()
        if fault:
            time.sleep(fault["hang"])
            return fault["status"], {"content-type": "text/plain"}, fault["body"]
        try:
            kind, answer = self.answer(request)
        except Refused as refused:
            status, code, message = refused.args
            error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
            return status, {"content-type": "text/xml"}, f"<ErrorResponse>{error}</ErrorResponse>".encode()
        return 200, {"content-type": kind}, answer.encode()

    def answer(self, request):
        method, path = request["method"], request["path"]
        if (method, path) == ("POST", "/"):
            return "text/xml", self.sts(request)
        if (method, path) == ("PUT", "/latest/api/token"):
            if not 0 < int(request["headers"]["x-aws-ec2-metadata-token-ttl-seconds"]) <= 21600:
                raise Refused(400, "BadRequest", "")
            return "text/plain", METADATA_TOKEN
        roles = "/latest/meta-data/iam/security-credentials/"
        if method == "GET" and path.startswith(roles):
            if request["headers"].get("x-aws-ec2-metadata-token") != METADATA_TOKEN:
                raise Refused(401, "Unauthorized", "")
            return "text/plain", INSTANCE_ROLE if path == roles else self.instance()
        raise Refused(404, "NotFound", path)

    def until(self):
        end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=self.valid_for)
        return end.strftime("%Y-%m-%dT%H:%M:%SZ")

    def instance(self):
        mine = key("instance")
        names = {"AccessKeyId": mine["access_key_id"], "SecretAccessKey": mine["secret_access_key"]}
        return json.dumps({"Code": "Success", **names, "Token": mine["session_token"], "Expiration": self.until()})

    def sts(self, request):
        form = request["form"]
        action = form["Action"]
        assert form["Version"] == "2011-06-15" and form["RoleSessionName"], form
        if action == "AssumeRole":
            self.check_signature(request)
        elif form["WebIdentityToken"] not in self.tokens:
            raise Refused(400, "InvalidIdentityToken", f"Couldn't read {form['WebIdentityToken']}")
        name = form["RoleArn"].removeprefix(f"{ACCOUNT}/")
        given = self.keys.get(name, key(name))
        fields = {
            "AccessKeyId": given["access_key_id"],
            "SecretAccessKey": given["secret_access_key"],
            "SessionToken": given["session_token"],
            "Expiration": self.until(),
        }
        credentials = "".join(f"<{field}>{escape(value)}</{field}>" for field, value in fields.items())
        return (
            f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>'
            f"<Credentials>{credentials}</Credentials></{action}Result></{action}Response>"
        )

    def check_signature(self, request):
        """Signs the request as botocore does, and compares."""
        headers = request["headers"]
        scope = headers.get("authorization", "").split("Credential=")[-1].split(",")[0].split("/")
        caller = self.callers.get(scope[0])
        if caller is None:
            raise Refused(403, "InvalidClientTokenId", "The security token included in the request is invalid.")
        credentials = Credentials(caller["access_key_id"], caller["secret_access_key"], caller["session_token"])
        again = AWSRequest("POST", f"http://{headers['host']}/", {"Content-Type": headers["content-type"]}, request["body"])
        then = datetime.datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ")
        with mock.patch("botocore.auth.get_current_datetime", lambda *_, **__: then):
            botocore.auth.SigV4Auth(credentials, "sts", scope[2]).add_auth(again)
        signed = again.headers["Authorization"]
        if isinstance(signed, bytes):
            signed = signed.decode()
        if signed != headers["authorization"] or headers.get("x-amz-security-token") != caller["session_token"]:
            raise Refused(403, "SignatureDoesNotMatch", f"expected {signed}")
        if abs(then.replace(tzinfo=datetime.UTC).timestamp() - time.time()) > 300:
            raise Refused(403, "SignatureDoesNotMatch", "Signature expired")
