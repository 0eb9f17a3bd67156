"""Answers of a host's pack, however the network cuts them up."""

import asyncio
import json

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from server.errors import RenderError
from server.loras.door import Door

FILES = [{"file": f"halina_v{number}.safetensors", "pinned": number % 2 == 1} for number in range(1, 7)]


async def answered(body: bytes, parts: int) -> frozenset[int]:
    async def listing(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        size = -(-len(body) // parts)
        for start in range(0, len(body), size):
            await response.write(body[start : start + size])
            await asyncio.sleep(0.01)
        return response

    app = web.Application()
    app.router.add_get("/vestige/lora-files", listing)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        return await Door(session, "gpu", str(server.make_url("")), "token").pinned("halina")


async def test_an_answer_in_several_parts_is_read_whole() -> None:
    assert await answered(json.dumps({"files": FILES}).encode(), 4) == {1, 3, 5}


async def test_one_without_end_is_given_up() -> None:
    with pytest.raises(RenderError, match="gpu takes no LoRAs"):
        await answered(json.dumps({"files": FILES, "more": " " * (2 << 20)}).encode(), 8)
