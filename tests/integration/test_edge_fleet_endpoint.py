"""The central endpoint as its guide describes it, as a real process, also when that is killed."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from random import Random

import pytest
from doubles.edge_doubles import rows_in

GUIDE = Path(__file__).parents[2] / "docs/guides/fleet-endpoint.md"
PORT = "8471"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Endpoint:
    """The guide's gateway as a process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        [settings] = blocks("toml")
        (folder / "endpoint.toml").write_text(settings.replace(PORT, str(self.port)))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "clearway_edge.main", "run", "--settings", "endpoint.toml"],
            cwd=self.folder,
            stderr=subprocess.DEVNULL,
        )
        ends_s = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                assert time.monotonic() < ends_s
                time.sleep(0.05)
            else:
                return

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait()

    def post(self, rows: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        token = (self.folder / "tokens/vanline").read_text().strip()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "text/csv"}
        try:
            connection.request("POST", "/readings", rows, headers)
            response = connection.getresponse()
            response.read()
        finally:
            connection.close()
        return response.status


class Fleet:
    """A sender that repeats each request until it is answered 200."""

    ROWS = 5

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.answered: set[int] = set()
        self.attempts: dict[int, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send_all)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _send_all(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            first_s = 1_770_000_000 + number * self.ROWS
            instants = range(first_s, first_s + self.ROWS)
            if self._sent(number, rows_at(instants)):
                self.answered.update(at_s * 1000 for at_s in instants)

    def _sent(self, number: int, rows: str) -> bool:
        while not self._stop.is_set():
            self.attempts[number] = self.attempts.get(number, 0) + 1
            try:
                if self.endpoint.post(rows) == 200:
                    return True
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)
        return False


def rows_at(instants) -> str:
    """Return fixes at these seconds since 1970, as the guide's CSV."""
    header = "vehicle,observed_at,lon_deg,lat_deg,speed_kmh,heading_deg,accuracy_m,occupied\n"
    texts = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s)) for at_s in instants]
    return header + "".join(f"van-1,{text},100.5,13.75,30,90,5,\n" for text in texts)


@pytest.fixture
def endpoint(tmp_path):
    running = Endpoint(tmp_path)
    (tmp_path / "tokens").mkdir()
    for name in ("metro-cabs", "vanline"):
        (tmp_path / "tokens" / name).write_text(f"{name}-0123456789abcdef")
    yield running
    if running.process is not None and running.process.poll() is None:
        running.end(signal.SIGKILL)


def blocks(language):
    """Return the guide's code blocks of a language."""
    found = re.findall(
        rf"^```{language}\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    return [text for text in found if not text.startswith("clearway-gateway")]


def test_commands_of_the_guide_answer_what_it_says(endpoint):
    if shutil.which("curl") is None or shutil.which("openssl") is None:
        pytest.skip("no curl or openssl on this machine")
    make_tokens, *sends = blocks("bash")
    answers = [json.loads(text) for text in blocks("json")]
    assert len(sends) == len(answers) == 2

    def run(command):
        done = subprocess.run(
            ["bash", "-ec", command.replace(PORT, str(endpoint.port))],
            cwd=endpoint.folder, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout

    run(make_tokens)
    endpoint.start()
    for send, answer in zip(sends, answers, strict=True):
        assert json.loads(run(send)) == answer
        assert json.loads(run(send)) == {**answer, "repeated": True}
    endpoint.end()
    rows = rows_in(endpoint.folder / "data")
    # The van's only fix may be the end of a private trip, so that it has not left the gateway.
    assert [(row["provider"], row["speed_kmh"]) for row in rows] == [("metro-cabs", 30.6)]


@pytest.mark.parametrize("ended_by", [signal.SIGKILL, signal.SIGTERM])
def test_endpoint_ended_again_and_again_loses_nothing_that_it_has_answered(endpoint, ended_by):
    [settings] = blocks("toml")
    kept = settings.replace(PORT, str(endpoint.port)).replace('"van"', '"taxi"')
    (endpoint.folder / "endpoint.toml").write_text(kept)
    fleet = Fleet(endpoint)
    endpoint.start()
    fleet.start()
    random = Random(7)
    for _ in range(4):
        time.sleep(random.uniform(0.4, 1.2))
        endpoint.end(ended_by)
        endpoint.start()
    time.sleep(0.5)
    fleet.stop()
    endpoint.end()
    # The log may hold a record twice under one number: ingest knows it by that.
    known = {(row["boot"], row["seq"]): row for row in rows_in(endpoint.folder / "data")}
    rows = [row["observed_at"] for row in known.values()]
    assert len(fleet.answered) > 20
    assert fleet.answered <= set(rows)
    assert max(fleet.attempts.values()) > 1
    # Only a request that was under way at a kill can be twice; none at a stop.
    at_most = 4 * Fleet.ROWS if ended_by is signal.SIGKILL else 0
    assert len(rows) - len(set(rows)) <= at_most
