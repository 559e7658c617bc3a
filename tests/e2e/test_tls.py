"""HTTPS listeners: SDKs over TLS, host names of one port, HTTP/2, certificates that are renewed, certificates of clients."""

import asyncio
import contextlib
import json
import socket
import ssl
import threading

import anthropic
import h2.config
import h2.connection
import h2.events
import httpx
import openai
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from websockets.sync.client import connect

from harness import resources
from harness.ports import free_port
from harness.process import wait_for
from harness.resources import budget
from harness.second_envoy import bootstrap_of
from harness.sockets import SocketServer
from harness.tls import Authority

QWEN = "Qwen/Qwen3-1.7B"
BODY = {"model": QWEN, "messages": [{"role": "user", "content": "one two three"}]}
KEY = "sk-of-the-gateway"


def https(name, port, secret, hostname=None):
    listener = {"name": name, "protocol": "HTTPS", "port": port, "tls": {"certificateRefs": [{"name": secret}]}}
    return {**listener, **({"hostname": hostname} if hostname else {})}


class Secured:
    """A gateway with listeners of all kinds, and the CAs of both sides."""

    def __init__(self, start, running, sockets):
        self.servers, self.clients, self.stranger = Authority(), Authority("CA of clients"), Authority("CA of others")
        self.ports = {name: free_port() for name in ["strict", "optional", "plain"]}
        self.pairs = {
            "any": self.servers.issue("127.0.0.1", "localhost"),
            "a": self.servers.issue("a.test"),
            "b": self.servers.issue("*.b.test"),
        }
        self._rest = [*resources.standard(running), *resources.backend("sockets", sockets.url)]
        self._rest += resources.api_key("sockets", KEY)
        gateway = next(each for each in self._rest if each["kind"] == "Gateway")
        gateway["spec"]["listeners"] = [
            https("any", 8443, "any"),
            https("a", 8443, "a", "a.test"),
            https("b", 8443, "b", "*.b.test"),
            https("strict", self.ports["strict"], "any"),
            https("optional", self.ports["optional"], "any"),
            {"name": "http", "protocol": "HTTP", "port": self.ports["plain"]},
        ]
        self._rest.append(resources.route(resources.rule("voice", "sockets"), name="sockets"))
        reference = [{"kind": "ConfigMap", "name": "clients-ca"}]
        spiffe = [{"type": "Prefix", "value": "spiffe://test/"}]
        self._rest += [
            resources.config_map("clients-ca", **{"ca.crt": self.clients.pem}),
            resources.client_traffic(
                "strict",
                "strict",
                tls={
                    "minVersion": "1.3",
                    "clientValidation": {"caCertificateRefs": reference, "subjectAltNames": {"uris": spiffe}},
                },
            ),
            resources.client_traffic(
                "optional",
                "optional",
                tls={"clientValidation": {"caCertificateRefs": reference, "optional": True}},
                headers={
                    "xForwardedClientCert": {"mode": "SanitizeSet", "certDetailsToAdd": ["Subject", "URI"]},
                    "earlyRequestHeaders": {"set": [{"name": "x-user-id", "value": "%DOWNSTREAM_PEER_SUBJECT%"}]},
                },
            ),
            resources.traffic(budget("llm_total_token", 20)),
        ]
        self.gateway = start(self.manifest())
        self.port = httpx.URL(self.gateway.url).port

    def manifest(self):
        return [*self._rest, *(resources.certificate(name, pair) for name, pair in self.pairs.items())]

    def url(self, name):
        scheme = "http" if name == "plain" else "https"
        return f"{scheme}://127.0.0.1:{self.ports[name]}"

    def shown(self, name=None, port=None):
        """The certificate that a client gets who asks for a name, as PEM."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", port or self.port), 10) as plain:
            with context.wrap_socket(plain, server_hostname=name) as connection:
                der = connection.getpeercert(binary_form=True)
        return x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture(scope="module")
def sockets():
    server = SocketServer(KEY)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def secured(start_gateway, shared_providers, sockets):
    return Secured(start_gateway, shared_providers, sockets)


@pytest.fixture
def trusting(secured):
    """A client that verifies the gateway by its own CA."""
    with httpx.Client(verify=secured.servers.context(), timeout=30) as client:
        yield client


@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
def test_sdks_over_tls(secured, http2):
    def http(library):
        return library(verify=secured.servers.context(), http2=http2)

    client = secured.gateway.openai(http_client=http(openai.DefaultHttpxClient))
    answer = client.chat.completions.with_raw_response.create(**BODY)
    assert answer.http_response.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
    assert answer.parse().choices[0].message.content
    chunks = list(client.chat.completions.create(**BODY, stream=True))
    assert any(chunk.choices and chunk.choices[0].finish_reason for chunk in chunks)

    client = secured.gateway.anthropic(http_client=http(anthropic.DefaultHttpxClient))
    message = {"max_tokens": 20, "messages": BODY["messages"], "model": "claude-native"}
    assert client.messages.create(**message).content[0].text
    with client.messages.stream(**message) as stream:
        assert stream.get_final_message().content[0].text


def test_who_does_not_know_the_ca_gets_nothing(secured):
    with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
        httpx.post(f"{secured.gateway.url}/v1/chat/completions", json=BODY)


def test_http_2_carries_large_prompts_and_many_streams(secured, providers):
    providers["qwen3"].clear()
    with httpx.Client(verify=secured.servers.context(), http2=True, timeout=60) as client:
        large = {**BODY, "messages": [{"role": "user", "content": "word " * 2_000_000}]}
        answer = client.post(f"{secured.gateway.url}/v1/chat/completions", json=large)
        assert (answer.status_code, answer.http_version) == (200, "HTTP/2")
        received = json.loads(providers["qwen3"].requests()[0]["body"])
        assert received["messages"] == large["messages"]

    async def ask(client):
        answer = await client.post(f"{secured.gateway.url}/v1/chat/completions", json={**BODY, "stream": True})
        return answer.status_code, answer.text.rstrip().endswith("[DONE]")

    async def ask_all():
        # One connection for all of them; threads that share one confuse httpx.
        async with httpx.AsyncClient(verify=secured.servers.context(), http2=True, timeout=60) as client:
            return await asyncio.gather(*(ask(client) for _ in range(20)))

    assert asyncio.run(ask_all()) == [(200, True)] * 20


def test_a_prompt_that_is_too_large_for_http_2(secured):
    """As it is on the wire: httpx and older curls read no answer that comes before all is sent."""
    headers = {":method": "POST", ":path": "/v1/chat/completions", ":scheme": "https", ":authority": "gateway"}
    headers |= {"content-type": "application/json", "content-length": "35000000"}
    context = secured.servers.context(alpn=["h2"])
    client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    client.initiate_connection()
    client.send_headers(1, list(headers.items()))
    events = []
    with socket.create_connection(("127.0.0.1", secured.port), 20) as plain:
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
            while not any(isinstance(event, h2.events.StreamReset) for event in events):
                connection.sendall(client.data_to_send())
                received = connection.recv(1 << 16)
                assert received
                events += client.receive_data(received)
    answer = next(event for event in events if isinstance(event, h2.events.ResponseReceived))
    body = b"".join(event.data for event in events if isinstance(event, h2.events.DataReceived))
    assert dict(answer.headers)[":status"] == "413"
    assert json.loads(body)["error"]["type"] == "invalid_request_error"
    # The answer is whole, and the rest of the request is not wanted: no error of the protocol.
    assert any(isinstance(event, h2.events.StreamEnded) for event in events)
    assert events[-1].error_code == 0


def test_a_client_of_http_2_that_hangs_up_ends_the_request(secured, providers):
    providers["qwen3"].clear()
    providers["qwen3"].script({"default": {"words": 1000, "delay_ms": 50}})
    with httpx.Client(verify=secured.servers.context(), http2=True, timeout=30) as client:
        url = f"{secured.gateway.url}/v1/chat/completions"
        with client.stream("POST", url, json={**BODY, "stream": True}) as answer:
            assert answer.http_version == "HTTP/2"
            next(answer.iter_lines())
        # The stream was reset; the connection goes on.
        assert client.post(url, json=BODY).status_code == 200
    wait_for(lambda: any(one["answer"] == "cut" for one in providers["qwen3"].requests()), 10, what="the end")


def test_names_of_one_port_have_certificates_of_their_own(secured):
    pairs = secured.pairs
    for name, expected in [(None, "any"), ("unknown.test", "any"), ("a.test", "a"), ("x.b.test", "b"), ("x.y.b.test", "b")]:
        assert secured.shown(name) == pairs[expected][0], name


def test_a_request_for_another_name_than_the_connection_is_misdirected(secured, trusting):
    def ask(sni, host, path="/v1/chat/completions"):
        extensions = {"sni_hostname": sni}
        headers = {"host": host}
        return trusting.post(secured.gateway.url + path, json=BODY, headers=headers, extensions=extensions)

    assert ask("a.test", "a.test").status_code == 200
    assert ask("a.test", "a.test:8443").status_code == 200
    for host in ["x.b.test", "unknown.test"]:
        answer = ask("a.test", host)
        assert answer.status_code == 421, host
        assert answer.json()["error"]["message"].startswith("this connection was made to another host name"), host
    assert ask("127.0.0.1", "a.test").status_code == 421
    answer = ask("a.test", "x.b.test", "/anthropic/v1/messages")
    assert (answer.status_code, answer.json()["type"]) == (421, "error")
    # The filter answers it itself elsewhere.
    models = trusting.get(
        f"{secured.gateway.url}/v1/models", headers={"host": "x.b.test"}, extensions={"sni_hostname": "a.test"}
    )
    assert models.status_code == 421


def test_plain_http_stays_beside_it(secured):
    assert httpx.post(f"{secured.url('plain')}/v1/chat/completions", json=BODY).status_code == 200
    with pytest.raises(httpx.TransportError):
        httpx.post(f"http://127.0.0.1:{secured.port}/v1/chat/completions", json=BODY)


def test_a_websocket_over_tls(secured, sockets):
    sockets.forget()
    url = f"wss://127.0.0.1:{secured.port}/v1/realtime?model=voice"
    with connect(url, ssl=secured.servers.context(), additional_headers={"authorization": "Bearer of-the-client"}) as socket_:
        socket_.send(json.dumps({"type": "response.create"}))
        kinds = []
        while "response.done" not in kinds:
            kinds.append(json.loads(socket_.recv(timeout=20))["type"])
    assert "response.done" in kinds


def test_versions_of_tls(secured, tmp_path):
    def version(port, most=None, pair=None):
        context = secured.servers.context(pair, tmp_path)
        if most:
            context.maximum_version = most
        with socket.create_connection(("127.0.0.1", port), 10) as plain:
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
                return connection.version()

    client = secured.clients.issue("spiffe://test/a")
    assert version(secured.port) == "TLSv1.3"
    assert version(secured.port, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    assert version(secured.ports["strict"], pair=client) == "TLSv1.3"
    with pytest.raises(ssl.SSLError):
        version(secured.ports["strict"], ssl.TLSVersion.TLSv1_2, client)


def test_a_client_must_show_a_certificate_where_it_is_asked_to(secured, tmp_path):
    def status(authority=None, name="spiffe://test/a"):
        pair = authority.issue(name, subject="client") if authority else None
        with httpx.Client(verify=secured.servers.context(pair, tmp_path), timeout=10) as client:
            return client.post(f"{secured.url('strict')}/v1/chat/completions", json=BODY).status_code

    assert status(secured.clients) == 200
    for authority, name in [
        (None, None),
        (secured.stranger, "spiffe://test/a"),
        # Of the right CA, for something else.
        (secured.clients, "spiffe://another/a"),
    ]:
        with pytest.raises(httpx.TransportError):
            status(authority, name)


def test_a_certificate_says_whose_budget_it_is(secured, providers, tmp_path):
    url = f"{secured.url('optional')}/v1/chat/completions"
    with httpx.Client(verify=secured.servers.context(), timeout=10) as client:
        # Nobody can say that they are somebody.
        headers = {"x-user-id": "CN=first", "x-forwarded-client-cert": "Subject=\"CN=first\""}
        assert client.post(url, json=BODY, headers=headers).status_code == 200
    assert not secured.gateway.usage("CN=first")
    with pytest.raises(httpx.TransportError):
        pair = secured.stranger.issue("spiffe://test/a", subject="first")
        with httpx.Client(verify=secured.servers.context(pair, tmp_path), timeout=10) as client:
            client.post(url, json=BODY)

    def ask(subject):
        """With a new certificate each time, as those who renew them."""
        pair = secured.clients.issue(f"spiffe://test/{subject}", subject=subject)
        with httpx.Client(verify=secured.servers.context(pair, tmp_path), timeout=10) as client:
            return client.post(url, json=BODY, headers={"x-user-id": "another"}).status_code

    providers["qwen3"].clear()
    statuses = [ask("first") for _ in range(12)]
    assert statuses[0] == 200 and statuses[-1] == 429
    assert ask("second") == 200
    assert secured.gateway.spent("CN=first") >= 20
    # Whoever answers need not know who asks.
    assert all("x-forwarded-client-cert" not in one["headers"] for one in providers["qwen3"].requests())


def test_a_renewed_certificate_is_taken_over_under_load(secured, providers, trusting):
    providers["qwen3"].clear()
    old = secured.shown()
    failures, count, stopping = [], [0], threading.Event()

    def load():
        while not stopping.is_set():
            try:
                # A connection for each.
                with httpx.Client(verify=secured.servers.context(), timeout=10) as client:
                    answer = client.post(f"{secured.gateway.url}/v1/chat/completions", json={**BODY, "stream": True})
                if answer.status_code != 200 or not answer.text.rstrip().endswith("[DONE]"):
                    failures.append(answer.text)
                count[0] += 1
            except httpx.HTTPError as error:
                failures.append(error)

    url = f"{secured.gateway.url}/v1/chat/completions"
    providers["gpt-oss"].script({"default": {"words": 60, "delay_ms": 100}})
    slow = {**BODY, "model": "openai/gpt-oss-20b", "stream": True}
    threads = [threading.Thread(target=load) for _ in range(4)]
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(trusting.stream("POST", url, json=slow))
        lines = stream.iter_lines()
        assert next(lines).startswith("data:")
        for thread in threads:
            thread.start()
        secured.pairs["any"] = secured.servers.issue("127.0.0.1", "localhost")
        secured.gateway.write(secured.manifest())
        wait_for(lambda: secured.shown() == secured.pairs["any"][0], 20, what="the new certificate")
        before = count[0]
        wait_for(lambda: count[0] > before + 20 or failures, 20, what="requests with the new one")
        stopping.set()
        for thread in threads:
            thread.join()
        assert not failures, failures[:3]
        # What began before is whole.
        assert list(filter(None, lines))[-1] == "data: [DONE]"
    assert secured.shown() != old
    # The others are as they were.
    assert secured.shown("a.test") == secured.pairs["a"][0]


def test_a_wrong_certificate_keeps_the_running_one(secured, trusting):
    good = dict(secured.pairs)
    chain, _ = secured.servers.issue("127.0.0.1")
    secured.pairs["any"] = chain, good["any"][1]
    secured.gateway.write(secured.manifest())
    secured.gateway.process.wait_line(r"Secret default/any: tls\.key: does not belong to the certificate")
    secured.gateway.process.wait_line(r"kept the running configuration")
    assert secured.shown() == good["any"][0]
    secured.pairs.update(good)
    secured.gateway.write(secured.manifest())
    wait_for(lambda: "reloaded: nothing changed" in secured.gateway.process.output, what="the old certificate")
    assert trusting.post(f"{secured.gateway.url}/v1/chat/completions", json=BODY).status_code == 200


def test_no_key_is_in_the_config_dump(secured):
    transport = httpx.HTTPTransport(uds=bootstrap_of(secured.gateway)["admin"]["address"]["pipe"]["path"])
    with httpx.Client(transport=transport, base_url="http://envoy") as client:
        dump = client.get("/config_dump", params={"include_eds": ""}).text
    assert "certificate/default/any" in dump
    key = secured.pairs["any"][1].splitlines()[1]
    assert key not in dump
    assert "[redacted]" in dump
