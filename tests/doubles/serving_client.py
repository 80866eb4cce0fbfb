"""A browser's place: asks an application directly, without a network."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import httpx
from fastapi import FastAPI


class Client:
    """Asks as a given machine, under a given host name."""

    def __init__(self, app: FastAPI, *, host: str = "localhost:8501", caller: str = "127.0.0.1"):
        self._app = app
        self._host = host
        self._caller = caller

    def get(
        self,
        path: str,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Return the answer to a GET request."""
        return asyncio.run(self._get(path, params, {"host": self._host, **(headers or {})}))

    async def _get(
        self, path: str, params: Mapping[str, str | int] | None, headers: Mapping[str, str]
    ) -> httpx.Response:
        transport = httpx.ASGITransport(app=self._app, client=(self._caller, 50_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get(path, params=params, headers=headers)
