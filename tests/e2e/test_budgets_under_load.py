"""Many requests at once, with the ratelimit service and Redis: a budget that is used up lets none pass, and no charge is lost."""

import asyncio
import socket
import time

import httpx

from harness import resources
from harness.process import wait_for
from harness.resources import budget
from harness.samples import TOTAL

QWEN = "Qwen/Qwen3-1.7B"
MANY = 100_000_000




def start(start_gateway, running, redis, tokens):
    manifest = [*resources.standard(running), resources.traffic(budget("llm_total_token", tokens))]
    return start_gateway(manifest, redis=redis)


def request_bytes(user, stream=False):
    body = f'{{"model":"{QWEN}","stream":{str(stream).lower()},"messages":[{{"role":"user","content":"one two three"}}]}}'
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nx-user-id: {user}\r\n"
    return f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n{body}".encode()


async def burst(url, request, count):
    """Sends `count` requests, each on a connection of its own, once all of these are open; their statuses."""
    host, port = httpx.URL(url).host, httpx.URL(url).port
    opened = [await asyncio.open_connection(host, port) for _ in range(count)]

    async def one(reader, writer):
        writer.write(request)
        try:
            answer = await reader.read(-1)
        finally:
            writer.close()
        return int(answer[9:12] or 0)

    return await asyncio.gather(*(one(*each) for each in opened))


def redis_values(address):
    """The numbers that Redis holds, by their keys."""
    host, port = address.split(":")

    def call(connection, file, *words):
        parts = b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
        connection.sendall(b"*%d\r\n%s" % (len(words), parts))
        return read(file)

    def read(file):
        line = file.readline().rstrip()
        kind, rest = line[:1], line[1:]
        if kind == b"*":
            return [read(file) for _ in range(int(rest))]
        if kind == b"$":
            return None if rest == b"-1" else file.read(int(rest) + 2)[:-2]
        return rest

    with socket.create_connection((host, int(port)), 5) as connection:
        file = connection.makefile("rb")
        keys = call(connection, file, b"KEYS", b"*")
        return {key.decode(): int(call(connection, file, b"GET", key) or 0) for key in keys}


def counted(redis, user):
    return sum(count for key, count in redis_values(redis).items() if user in key)


def test_a_used_up_budget_lets_none_of_a_burst_pass(shared_providers, start_gateway, redis, user):
    gateway = start(start_gateway, shared_providers, redis, TOTAL)
    while gateway.chat(QWEN, user).status_code == 200:
        time.sleep(0.1)
    before = len(shared_providers["qwen3"].requests())
    statuses = asyncio.run(burst(gateway.url, request_bytes(user), 1500))
    assert {status: statuses.count(status) for status in set(statuses)} == {429: 1500}
    assert len(shared_providers["qwen3"].requests()) == before


def test_every_stream_of_a_burst_is_charged(shared_providers, start_gateway, redis, user):
    gateway = start(start_gateway, shared_providers, redis, MANY)
    statuses = asyncio.run(burst(gateway.url, request_bytes(user, stream=True), 1500))
    assert {status: statuses.count(status) for status in set(statuses)} == {200: 1500}
    spent = wait_for(lambda: (now := gateway.spent(user)) == 1500 * TOTAL and now, 60, what="the books of all streams")
    wait_for(lambda: counted(redis, user) >= spent, 60, what="the charges of all streams")
    assert counted(redis, user) == spent
