"""Who feeds the live gateways of a soak: fleets that push, sensors on a pole, people at the map."""

from __future__ import annotations

import itertools
import random
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
import polars as pl


def fixes_now(recording: Path, provider: str) -> Iterator[dict[str, object]]:
    """Yield a fleet's recorded fixes again and again, as if each were made now."""
    rows = (
        pl.read_parquet(recording)
        .filter(pl.col("provider") == provider)
        .sort("t", "vid")
        .select("vid", "lat", "lon", "speed_mps", "heading")
    )
    for vid, lat, lon, speed_mps, heading in itertools.cycle(rows.iter_rows()):
        yield {
            "vehicle": f"{provider}-{vid}",
            "observed_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "lon_deg": lon,
            "lat_deg": lat,
            "speed_kmh": None if speed_mps is None else round(speed_mps * 3.6, 1),
            "heading_deg": heading,
        }


@dataclass
class Fleet:
    """Pushes its fixes once a second, and again until they are taken.

    Parameters
    ----------
    address
        Of the gateway's endpoint.
    fixes
        What it sends.
    per_s
        How many a second. [1/s]
    """

    address: str
    token: str
    fixes: Iterator[dict[str, object]]
    per_s: int
    n_taken: int = 0
    n_dropped: int = 0
    answers: Counter[str] = field(default_factory=Counter)

    def run(self, stop: threading.Event) -> None:
        """Push until told to stop; what is on its way then is still brought."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/x-ndjson"}
        with httpx.Client(headers=headers, timeout=30) as client:
            while not stop.is_set():
                begun_s = time.monotonic()
                body = b"".join(
                    orjson.dumps(fix) + b"\n" for fix in itertools.islice(self.fixes, self.per_s)
                )
                while not self._taken(client, body):
                    time.sleep(1)
                stop.wait(max(0.0, begun_s + 1 - time.monotonic()))

    def _taken(self, client: httpx.Client, body: bytes) -> bool:
        try:
            answer = client.post(self.address, content=body)
        except httpx.HTTPError as error:
            self.answers[type(error).__name__] += 1
            return False
        self.answers[str(answer.status_code)] += 1
        if answer.status_code != httpx.codes.OK:
            return False
        self.n_taken += answer.json()["accepted"]
        self.n_dropped += sum(answer.json()["dropped"].values())
        return True


def changing_air() -> Callable[[], bytes]:
    """Return a Plantower sensor whose values change as air does."""
    level = random.Random(1)
    state = [18.0]

    def frame() -> bytes:
        state[0] = min(120.0, max(2.0, state[0] + level.gauss(0, 0.6)))
        pm = round(state[0])
        values = (pm * 2 // 3, pm, pm * 5 // 4) * 2
        body = b"BM" + struct.pack(">14H", 28, *values, pm * 50, pm * 15, 60, 9, 2, 1, 0x9700)
        return body + struct.pack(">H", sum(body))

    return frame


@dataclass
class Visitors:
    """People who look at the map: meta, a day of congestion, a cell, air, corridors, proposals.

    Parameters
    ----------
    origin
        Of the map.
    every_s
        Between two questions. [s]
    """

    origin: str
    every_s: float
    asked: list[tuple[float, str, float, int]] = field(default_factory=list)
    """When [s since the epoch], what, how long it took [s], and the status (0: no answer)."""

    def run(self, stop: threading.Event) -> None:
        """Ask in turn until told to stop."""
        with httpx.Client(base_url=self.origin, timeout=60) as client:
            meta: dict[str, Any] = {}
            for question in itertools.cycle(("meta", "day", "cell", "air", "proposals", "page")):
                if stop.wait(self.every_s):
                    return
                answer = self._ask(client, question, self._path(question, meta))
                if question == "meta" and answer:
                    meta = {**meta, **answer}
                elif question == "day" and answer:
                    meta["cells"] = answer.get("cells")

    @staticmethod
    def _path(question: str, meta: dict[str, Any]) -> str:
        products = meta.get("congestion", {}).get("products") or [{}]
        size = {
            "resolution": products[0].get("resolution", 9),
            "window_minutes": products[0].get("window_minutes", 15),
        }
        day = (products[0].get("dates") or ["2026-01-15"])[-1]
        cell = (meta.get("cells") or ["8964a5aaaa7ffff"])[0]
        return {
            "meta": "/api/meta",
            "day": f"/api/congestion?{httpx.QueryParams(date=day, **size)}",
            "cell": f"/api/congestion/cells/{cell}?{httpx.QueryParams(**size)}",
            "air": "/api/air?date=2026-01-14&pollutant=pm2_5",
            "proposals": "/api/proposals",
            "page": "/",
        }[question]

    def _ask(self, client: httpx.Client, question: str, path: str) -> dict[str, Any]:
        begun_s = time.monotonic()
        status, body = 0, {}
        try:
            answer = client.get(path)
            status = answer.status_code
            if status == httpx.codes.OK and question != "page":
                body = answer.json()
        except httpx.HTTPError:
            pass
        self.asked.append((time.time(), question, time.monotonic() - begun_s, status))
        return body if isinstance(body, dict) else {}
