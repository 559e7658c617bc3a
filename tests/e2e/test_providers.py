"""The stand-ins as what tests make of them: scripts, records, resets, and how they end."""

import base64
import gzip
import io
import signal
import socket
import time

import httpx
import pytest

from harness import providers as stand_ins
from harness.process import wait_for
from harness.samples import HELLO


class TestScripts:
    def test_in_order_and_by_path(self, providers):
        qwen3 = providers["qwen3"]
        qwen3.script({"text": "for completions"}, path="/v1/completions", status=418)
        qwen3.fail(503, times=2)
        url = qwen3.url
        assert httpx.get(url + "/v1/models").status_code == 503
        assert httpx.post(url + "/v1/completions", json={}).text == "for completions"
        assert httpx.get(url + "/v1/models").status_code == 503
        assert httpx.get(url + "/v1/models").status_code == 200

    def test_reset_before_and_after_the_head(self, providers):
        qwen3 = providers["qwen3"]
        qwen3.script({"reset": True})
        with pytest.raises(httpx.ReadError):
            httpx.get(qwen3.url + "/v1/models")
        qwen3.script({"text": "some"}, {"delay_ms": 50}, {"reset": True})
        with httpx.stream("GET", qwen3.url + "/v1/models") as answer:
            assert answer.status_code == 200
            with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
                answer.read()
        assert [request["answer"] for request in qwen3.requests()] == ["reset", "reset"]

    def test_a_hang_lasts_until_the_client_leaves(self, providers):
        qwen3 = providers["qwen3"]
        qwen3.script({"text": "head first"}, {"hang": True})
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(qwen3.url + "/v1/models", timeout=0.3)
        wait_for(lambda: qwen3.requests()[0]["answer"] == "cut", what="the client's leaving")

    def test_default_answers_can_be_shaped(self, providers, client):
        providers["qwen3"].script({"default": {"words": 7, "delay_ms": 20}})
        started = time.monotonic()
        chunks = list(client.chat.completions.create(model="m", messages=HELLO, stream=True))
        assert time.monotonic() - started > 0.14
        assert len(chunks) == 9

    def test_gzip(self, providers, client):
        providers["qwen3"].script({"default": {}}, gzip=True)
        raw = client.chat.completions.with_raw_response.create(model="m", messages=HELLO)
        assert raw.headers["content-encoding"] == "gzip"
        assert raw.parse().choices[0].message.content
        providers["qwen3"].script({"base64": base64.b64encode(gzip.compress(b"{}")).decode()})
        assert gzip.decompress(httpx.get(providers["qwen3"].url + "/v1/models").content) == b"{}"

    def test_a_length_that_is_not_kept(self, providers):
        qwen3 = providers["qwen3"]
        qwen3.script({"text": "half"}, {"delay_ms": 1}, headers={"content-length": "8"})
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(qwen3.url + "/v1/models")

    def test_a_wrong_script_is_refused(self, providers):
        answer = httpx.post(providers["qwen3"].url + "/_script", json={"steps": [{"txt": "x"}]})
        assert answer.status_code == 400


def test_requests_are_kept_as_they_came(providers):
    url = providers["qwen3"].url
    httpx.post(url + "/v1/x?a=1", content=b"\xff\x00", headers=[("x-twice", "1"), ("x-twice", "2")])
    request = providers["qwen3"].requests()[0]
    assert (request["method"], request["path"]) == ("POST", "/v1/x?a=1")
    assert request["headers"]["x-twice"] == "1, 2"
    assert base64.b64decode(request["body_base64"]) == b"\xff\x00"


def test_a_provider_ends_on_a_signal_with_streams_open():
    provider = stand_ins.start_openai("slow")
    provider["slow"].script({"text": "x"}, {"hang": True})
    with httpx.stream("GET", provider["slow"].url + "/v1/models"):
        provider.popen.send_signal(signal.SIGTERM)
        assert provider.wait(5) == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", provider["slow"].port), 1)


def test_providers_compress_when_told_to():
    provider = stand_ins.start_openai("packed", gzip=True)
    try:
        url = provider["packed"].url + "/v1/models"
        assert httpx.get(url).headers["content-encoding"] == "gzip"
        assert "content-encoding" not in httpx.get(url, headers={"accept-encoding": "identity"}).headers
    finally:
        provider.stop()


def test_form_without_its_file_is_refused(providers):
    form = {"model": (None, io.BytesIO(b"m"))}
    answer = httpx.post(providers["qwen3"].url + "/v1/audio/transcriptions", files=form)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "file"
