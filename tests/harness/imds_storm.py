# SPDX-License-Identifier: MIT
"""Guests at the IMDS, honest and hostile ones, all at once and in one loop.

    served = asyncio.run(storm(port, [path, ...], hostile=100, keys=(KEY, REPORT_KEY)))

asks for each path, all at the same time, while a hundred of each kind of hostile client do what they can.
"""

import asyncio
import contextlib
import os
import resource
import time
from dataclasses import dataclass

TIME_LIMIT_S = 120


def allow_connections(count):
    """For this process; the agent raises its own limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard == resource.RLIM_INFINITY or hard > count + 256, f"ulimit -Hn is {hard}"
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 256, hard))


async def ask(port, request):
    """All that comes back; a connection that is cut gives what there is of it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await reader.read()
    finally:
        writer.close()


def get(path):
    return f"GET {path} HTTP/1.1\r\nHost: 10.0.2.2\r\nUser-Agent: Cloud-Init/25.2\r\n\r\n".encode()


def post(path, body):
    return f"POST {path} HTTP/1.1\r\nHost: 10.0.2.2\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def half_open(port, _):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        await reader.read()
    finally:
        writer.close()


async def trickle(port, keys):
    """Slowloris: a header that grows and never ends."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET /{keys[0]}/meta-data HTTP/1.1\r\n".encode())
        while True:
            writer.write(b"X-a: b\r\n")
            await writer.drain()
            await asyncio.sleep(0.2)
    finally:
        writer.close()


async def large_header(port, keys):
    answer = await ask(port, f"GET /{keys[0]}/meta-data HTTP/1.1\r\nX: {'x' * 100_000}\r\n\r\n".encode())
    assert not answer.startswith(b"HTTP/1.1 200"), answer[:100]


async def large_body(port, keys):
    answer = await ask(port, post(f"/{keys[1]}/events", bytes(1 << 20)))
    assert not answer or answer.startswith(b"HTTP/1.1 200"), answer[:100]


async def unknown_key(port, _):
    answer = await ask(port, get(f"/{os.urandom(16).hex()}/meta-data"))
    assert not answer or answer.startswith(b"HTTP/1.1 404"), answer[:100]


HOSTILE = (half_open, trickle, large_header, large_body, unknown_key)


async def again_and_again(attack, port, keys):
    while True:
        try:
            await attack(port, keys)
        except OSError:  # it was cut: the next one
            await asyncio.sleep(0.01)


@dataclass
class Served:
    body: bytes
    seconds: float
    tries: int


async def honest(port, path, delay_s):
    """Asks as cloud-init does: after a bad answer again a second later, eleven times in all."""
    await asyncio.sleep(delay_s)
    begin = time.monotonic()
    for tries in range(1, 12):
        with contextlib.suppress(OSError):
            head, _, body = (await ask(port, get(path))).partition(b"\r\n\r\n")
            if head.startswith(b"HTTP/1.1 200") and f"Content-Length: {len(body)}".encode() in head:
                return Served(body, time.monotonic() - begin, tries)
        await asyncio.sleep(1)
    raise AssertionError(f"{path} was never served: {head}")


async def storm(port, paths, hostile, keys, lead_s=2.0):
    """Returns the answer to each honest guest. The hostile ones, which know keys, connect first."""
    allow_connections(len(paths) + len(HOSTILE) * hostile)
    attackers = [asyncio.create_task(again_and_again(attack, port, keys)) for attack in HOSTILE for _ in range(hostile)]
    try:
        guests = asyncio.gather(*[honest(port, path, lead_s) for path in paths])
        answers = await asyncio.wait_for(guests, TIME_LIMIT_S)
        broken = [task.exception() for task in attackers if task.done()]
        assert not broken, broken[0]
        return answers
    finally:
        for task in attackers:
            task.cancel()
        await asyncio.gather(*attackers, return_exceptions=True)
