"""WebSockets: OpenAI's Realtime API and Responses, by its SDK, through the gateway to servers that speak them."""

import json
import threading
import time

import httpx
import pytest
import websockets
from websockets.sync.client import connect

from harness import resources
from harness.plain_envoy import DirectEnvoy
from harness.process import wait_for
from harness.resources import budget
from harness.sockets import CACHED, INPUT, OUTPUT, TOTAL, SocketServer
from harness.tls import certificate, server_context

KEY = "sk-of-the-gateway"
VOICE, FAST, AZURE, DATED, SECOND, CLAUDE = "voice", "fast", "azure-voice", "dated-voice", "second", "claude"
#: What the backend calls them.
REAL = "gpt-realtime-2"


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tls")
    ca = certificate("sockets.example", directory)
    running = {
        "openai": SocketServer(KEY),
        "spare": SocketServer(KEY),
        "azure": SocketServer(KEY, header="api-key"),
        "tls": SocketServer(KEY, server_context(directory)),
    }
    running["tls"].ca = ca
    yield running
    for server in running.values():
        server.stop()


@pytest.fixture(autouse=True)
def forget(servers):
    for server in servers.values():
        server.forget()


def over_tls(name, server):
    """TLS to a backend by its name, which its one endpoint has for a host name."""
    reference = {"group": "", "kind": "ConfigMap", "name": f"{name}-ca"}
    target = {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": f"{name}-endpoint"}
    validation = {"hostname": "sockets.example", "caCertificateRefs": [reference]}
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": f"{name}-ca", "namespace": "default"},
            "data": {"ca.crt": server.ca},
        },
        resources.resource(
            "gateway.networking.k8s.io/v1", "BackendTLSPolicy", f"{name}-tls", {"targetRefs": [target], "validation": validation}
        ),
    ]


def manifest(servers, *rules, **traffic):
    named = {"name": "openai", "modelNameOverride": REAL}
    return [
        *resources.gateway(),
        *resources.backend("openai", servers["openai"].url),
        *resources.api_key("openai", KEY),
        *resources.backend("spare", servers["spare"].url),
        *resources.api_key("spare", KEY),
        *resources.backend("tls", servers["tls"].url),
        *resources.api_key("tls", KEY),
        *over_tls("tls", servers["tls"]),
        *resources.backend("azure", servers["azure"].url, "AzureOpenAI"),
        *resources.azure_key("azure", KEY),
        *resources.backend("dated", servers["azure"].url, "AzureOpenAI", "2025-04-01-preview"),
        *resources.azure_key("dated", KEY),
        *resources.backend("claude", servers["spare"].url, "Anthropic"),
        *resources.anthropic_key("claude", KEY),
        *([resources.traffic(**traffic)] if traffic else []),
        resources.route(
            resources.rule(VOICE, named),
            resources.rule(FAST, "tls"),
            resources.rule(AZURE, "azure"),
            resources.rule(DATED, "dated"),
            resources.rule(SECOND, {"name": "openai"}, {"name": "spare", "priority": 1}),
            resources.rule("mixed", {"name": "claude"}, {"name": "spare", "priority": 1}),
            resources.rule(CLAUDE, "claude"),
            *rules,
        ),
    ]


@pytest.fixture(scope="module")
def gateway(servers, start_gateway):
    return start_gateway(manifest(servers))


def socket(gateway, path, user=None, **options):
    """A WebSocket without a client library of a provider."""
    url = gateway.url.replace("http://", "ws://") + path
    headers = {"Authorization": "Bearer sk-of-the-client", **({"x-user-id": user} if user else {})}
    return connect(url, additional_headers=headers, max_size=None, **options)


def realtime(gateway, model, user=None):
    """By OpenAI's client, which sends no default headers here."""
    return gateway.openai().realtime.connect(model=model, extra_headers={"x-user-id": user} if user else {})


def refused(gateway, path, **options):
    """The answer in the place of a WebSocket."""
    with pytest.raises(websockets.exceptions.InvalidStatus) as caught:
        socket(gateway, path, **options)
    answer = caught.value.response
    return answer.status_code, json.loads(answer.body)["error"], answer.headers


def events(connection, *awaited):
    """Events up to the one of such a type."""
    seen = []
    for event in connection:
        seen.append(event)
        if event.type in awaited:
            return seen
    raise AssertionError([event.type for event in seen])


def text_of(seen):
    return "".join(event.delta for event in seen if event.type == "response.output_text.delta")


@pytest.mark.parametrize("model, server", [(VOICE, "openai"), (FAST, "tls"), (AZURE, "azure"), (DATED, "azure")])
def test_realtime(gateway, servers, user, model, server):
    with realtime(gateway, model, user) as connection:
        assert connection.recv().type == "session.created"
        for _ in range(2):
            connection.response.create()
            seen = events(connection, "response.done")
            assert text_of(seen) == "Hello from here"
            assert seen[-1].response.usage.total_tokens == TOTAL
    [record] = gateway.logged(user)
    assert record["status"] == 101 and record["usage_status"] == "complete", record
    assert (record["endpoint"], record["original_model"]) == ("realtime", model)
    assert record["input_tokens"] == 2 * INPUT and record["output_tokens"] == 2 * OUTPUT
    assert record["cached_input_tokens"] == 2 * CACHED and record["total_tokens"] == 2 * TOTAL
    assert 0 <= record["ttft_ms"] <= record["duration_ms"]
    assert gateway.spent(user) == 2 * TOTAL

    [request] = servers[server].requests
    assert request.path == {
        VOICE: f"/v1/realtime?model={REAL}",
        FAST: f"/v1/realtime?model={FAST}",
        AZURE: f"/openai/v1/realtime?model={AZURE}",
        DATED: f"/openai/realtime?api-version=2025-04-01-preview&deployment={DATED}",
    }[model]
    shown = {name.lower(): value for name, value in request.headers.raw_items()}
    assert "sk-of-the-client" not in str(shown)
    assert not [name for name in shown if name.startswith(("x-weir-", "x-ai-eg-"))] and "sec-websocket-extensions" not in shown


def test_responses(gateway, servers, user):
    headers = {"x-user-id": user}
    with gateway.openai().responses.connect(extra_query={"model": VOICE}, extra_headers=headers) as connection:
        # One names the model, the other leaves it to the query.
        connection.response.create(model=VOICE, input="one two three")
        seen = events(connection, "response.completed")
        assert text_of(seen) == "Hello from here"
        connection.send({"type": "response.create", "input": "four"})
        assert events(connection, "response.completed")[-1].response.model == REAL
    assert [message["model"] for message in servers["openai"].messages] == [REAL, REAL]
    [request] = servers["openai"].requests
    assert request.path == "/v1/responses"
    [record] = gateway.logged(user)
    assert (record["endpoint"], record["response_model"]) == ("responses_socket", REAL)
    assert record["total_tokens"] == 2 * TOTAL and record["usage_status"] == "complete"


def test_a_header_names_the_model(gateway, servers):
    with gateway.openai().responses.connect(extra_headers={"x-ai-eg-model": VOICE}) as connection:
        connection.response.create(input="one")
        events(connection, "response.completed")
    assert servers["openai"].messages[0]["model"] == REAL


def test_no_message_names_another_model(gateway, servers, user):
    headers = {"x-user-id": user}
    with gateway.openai().responses.connect(extra_query={"model": VOICE}, extra_headers=headers) as connection:
        connection.response.create(model=VOICE, input="one")
        events(connection, "response.completed")
        connection.response.create(model="gpt-5-pro", input="two")
        [event] = events(connection, "error")
        assert "model" in event.error["message"] and VOICE in event.error["message"]
        with pytest.raises(websockets.exceptions.ConnectionClosed) as caught:
            connection.recv()
        assert caught.value.rcvd.code == 1008
    assert [message["input"] for message in servers["openai"].messages] == ["one"]
    assert gateway.logged(user)[0]["total_tokens"] == TOTAL


def test_a_browsers_key_goes_no_further(gateway, servers):
    protocols = ["realtime", "openai-insecure-api-key.sk-of-the-client", "openai-project.p"]
    with socket(gateway, f"/v1/realtime?model={VOICE}", subprotocols=protocols) as connection:
        assert connection.subprotocol == "realtime"
        connection.recv()
    [request] = servers["openai"].requests
    assert request.headers.get_all("sec-websocket-protocol") == ["realtime"]


def test_large_messages_and_pings_pass_as_they_are(gateway, servers):
    with socket(gateway, f"/v1/realtime?model={VOICE}&x=%20y") as connection:
        connection.recv()
        sound = "UklGRg" * 200_000
        # In pieces, as a client may.
        text = json.dumps({"type": "input_audio_buffer.append", "audio": sound})
        connection.send([text[:10], text[10:500_000], text[500_000:]])
        assert json.loads(connection.recv())["item_id"] == sound
        assert connection.ping().wait(10)
    assert servers["openai"].messages[0]["audio"] == sound
    assert servers["openai"].requests[0].path.endswith("&x=%20y")
    close = wait_for(lambda: servers["openai"].closed, 5, what="the end of the socket")[0]
    assert [part.code for part in close] == [1000, 1000]


def test_both_sides_talk_at_once(gateway, servers):
    with socket(gateway, f"/v1/realtime?model={VOICE}") as connection:
        connection.recv()
        count, size = 200, 20_000
        answers = []
        reader = threading.Thread(target=lambda: answers.extend(json.loads(connection.recv()) for _ in range(count)))
        reader.start()
        for number in range(count):
            connection.send(json.dumps({"type": "input_audio_buffer.append", "audio": f"{number:05}" * (size // 5)}))
        reader.join(30)
        assert [answer["item_id"][:5] for answer in answers] == [f"{number:05}" for number in range(count)]


@pytest.mark.parametrize(
    "path, status, word",
    [
        ("/v1/realtime?model=unknown", 404, "unknown"),
        ("/v1/realtime", 400, "x-ai-eg-model"),
        ("/v1/responses", 400, "x-ai-eg-model"),
        (f"/v1/realtime?model={CLAUDE}", 422, "realtime"),
        (f"/v1/responses?model={AZURE}", 422, "AzureOpenAI"),
        ("/v1/chat/completions", 400, "WebSocket"),
        ("/v1/models", 400, "WebSocket"),
    ],
)
def test_what_cannot_be_is_refused_before_the_upgrade(gateway, servers, path, status, word):
    got, error, _ = refused(gateway, path)
    assert (got, word in error["message"]) == (status, True), error
    assert not any(server.requests for server in servers.values())


def test_a_body_is_not_waited_for_where_a_socket_is_asked_for(gateway):
    headers = {"upgrade": "websocket", "connection": "upgrade"}
    answer = httpx.post(f"{gateway.url}/v1/chat/completions", json={"model": VOICE}, headers=headers, timeout=5)
    assert (answer.status_code, "WebSocket" in answer.json()["error"]["message"]) == (400, True)


def test_plain_requests_are_told(gateway):
    answer = httpx.get(f"{gateway.url}/v1/realtime?model={VOICE}")
    assert (answer.status_code, "upgrade" in answer.json()["error"]["message"]) == (400, True)
    assert httpx.post(f"{gateway.url}/v1/realtime", json={}).status_code == 405
    answer = httpx.get(f"{gateway.url}/v1/responses", headers={"upgrade": "h2c", "connection": "upgrade"})
    assert answer.status_code == 405


def test_a_refusal_of_the_server_is_the_clients(gateway, servers, user):
    servers["openai"].refusal = 403
    status, error, _ = refused(gateway, f"/v1/realtime?model={VOICE}", user=user)
    assert (status, error["code"]) == (403, "refused")
    assert gateway.logged(user)[0]["usage_status"] == "none"


def test_a_refusal_goes_to_the_next_backend(gateway, servers, user):
    servers["openai"].refusal = 503
    with realtime(gateway, SECOND, user) as connection:
        assert connection.recv().session.model == SECOND
        connection.response.create()
        events(connection, "response.done")
    assert len(servers["openai"].requests) == len(servers["spare"].requests) == 1
    [record] = gateway.logged(user)
    assert (record["backend"], record["attempts"], record["total_tokens"]) == ("default/spare", 2, TOTAL)


def test_only_backends_that_have_sockets_are_asked(gateway, servers):
    with realtime(gateway, "mixed") as connection:
        assert connection.recv().type == "session.created"
    assert len(servers["spare"].requests) == 1


@pytest.mark.parametrize("form", ["local", "redis"])
def test_a_used_up_budget_refuses_the_next_socket(request, servers, start_gateway, user, form):
    redis = request.getfixturevalue("redis") if form == "redis" else None
    limited = manifest(servers)
    limited.append(resources.traffic(budget("llm_total_token", TOTAL)))
    gateway = start_gateway(limited, redis=redis)
    with realtime(gateway, VOICE, user) as connection:
        for _ in range(2):
            connection.response.create()
            events(connection, "response.done")
    gateway.logged(user)
    time.sleep(0.2)
    status, error, headers = refused(gateway, f"/v1/realtime?model={VOICE}", user=user)
    assert status == 429 and "budget" in error["message"] and int(headers["retry-after"]) > 0
    assert len(servers["openai"].requests) == 1


def test_a_socket_outlives_a_reload(servers, start_gateway, user):
    gateway = start_gateway(manifest(servers))
    with realtime(gateway, VOICE, user) as connection:
        # The first request of a gateway may have waited for its credential, and is read all the same.
        connection.session.update(session={"type": "realtime", "model": VOICE})
        connection.response.create()
        events(connection, "response.done")
        assert servers["openai"].messages[0]["session"]["model"] == REAL
        gateway.write(manifest(servers, resources.rule("new", "spare")))
        # Served or not, it is no 404 any more.
        wait_for(lambda: gateway.chat("new").status_code != 404, 15, what="the new model")
        with realtime(gateway, "new") as other:
            assert other.recv().session.model == "new"
        connection.response.create()
        assert text_of(events(connection, "response.done")) == "Hello from here"
    assert gateway.logged(user)[0]["total_tokens"] == 2 * TOTAL


def test_plain_routes_take_sockets(servers, start_gateway):
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/plain"}}],
        "backendRefs": [{"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "openai-endpoint"}],
    }
    spec = {"parentRefs": [resources.of_gateway()], "rules": [rule]}
    route = resources.resource("gateway.networking.k8s.io/v1", "HTTPRoute", "plain", spec)
    gateway = start_gateway([*manifest(servers), route])
    url = gateway.url.replace("http://", "ws://")
    with connect(f"{url}/plain/realtime", additional_headers={"Authorization": f"Bearer {KEY}"}) as connection:
        assert json.loads(connection.recv())["type"] == "session.created"


def test_one_filter_reads_both_directions(servers, tmp_path, user):
    """Where one filter plays both roles, as in `envoy-config/direct-*.yaml`."""
    envoy = DirectEnvoy(tmp_path, servers["openai"].port, KEY, limit=TOTAL - 1)
    try:
        headers = {"x-user-id": user, "Authorization": "Bearer sk-of-the-client"}
        url = envoy.url.replace("http://", "ws://") + "/v1/responses?model=mini"
        with connect(url, additional_headers=headers) as connection:
            connection.send(json.dumps({"type": "response.create", "model": "mini", "input": "one"}))
            while json.loads(connection.recv())["type"] != "response.completed":
                pass
            connection.send(json.dumps({"type": "response.create", "model": "gpt-5-pro", "input": "two"}))
            assert json.loads(connection.recv())["type"] == "error"
        assert [message["model"] for message in servers["openai"].messages] == ["gpt-5-mini"]
        [record] = envoy.records(user)
        assert (record["total_tokens"], record["usage_status"], record["status"]) == (TOTAL, "complete", 101)
        # The budget is used up.
        with pytest.raises(websockets.exceptions.InvalidStatus, match="429"):
            connect(url, additional_headers=headers)
    finally:
        envoy.stop()


def test_timeouts_of_requests_do_not_cut_a_socket(servers, start_gateway):
    timeouts = {"http": {"requestTimeout": "1s"}}
    gateway = start_gateway(manifest(servers, timeout=timeouts))
    with socket(gateway, f"/v1/realtime?model={VOICE}") as connection:
        connection.recv()
        time.sleep(2)
        connection.send(json.dumps({"type": "input_audio_buffer.append", "audio": "UklG"}))
        assert json.loads(connection.recv())["item_id"] == "UklG"


def test_what_a_client_left_unfinished_is_partial(gateway, servers, user):
    connection = socket(gateway, f"/v1/realtime?model={VOICE}", user=user)
    connection.recv()

    def answer(last):
        connection.send(json.dumps({"type": "response.create"}))
        while last not in connection.recv():
            pass

    answer("response.done")
    servers["openai"].stalls = True
    answer(" here")
    # Its network is gone: no closing words.
    connection.socket.shutdown(2)
    [record] = gateway.logged(user)
    assert (record["status"], record["usage_status"]) == (101, "partial"), record
    # Fifteen bytes of text more.
    assert (record["input_tokens"], record["output_tokens"], record["total_tokens"]) == (INPUT, OUTPUT + 4, TOTAL + 4)
    connection.close()
