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


def test_endpoint_killed_again_and_again_loses_nothing_that_it_has_answered(endpoint):
    [settings] = blocks("toml")
    kept = settings.replace(PORT, str(endpoint.port)).replace('"van"', '"taxi"')
    (endpoint.folder / "endpoint.toml").write_text(kept)
    random, wanted, stop = Random(7), set(), threading.Event()
    header = "vehicle,observed_at,lon_deg,lat_deg,speed_kmh,heading_deg,accuracy_m,occupied\n"
    attempts: dict[int, int] = {}

    def send():
        for number in range(400):
            if stop.is_set():
                return
            instants = [1_770_000_000 + number * 5 + i for i in range(5)]
            text = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)) for at in instants]
            rows = header + "".join(f"van-{number},{at},100.5,13.75,30,90,5,\n" for at in text)
            answered = False
            while not answered and not stop.is_set():
                attempts[number] = attempts.get(number, 0) + 1
                try:
                    answered = endpoint.post(rows) == 200
                except (OSError, http.client.HTTPException):
                    time.sleep(0.02)
            if answered:
                wanted.update(at * 1000 for at in instants)

    endpoint.start()
    sender = threading.Thread(target=send)
    sender.start()
    for _ in range(4):
        time.sleep(random.uniform(0.4, 1.2))
        endpoint.end(signal.SIGKILL)
        endpoint.start()
    time.sleep(0.5)
    stop.set()
    sender.join()
    endpoint.end()
    # The log may hold a record twice under one number: ingest knows it by that.
    known = {(row["boot"], row["seq"]): row for row in rows_in(endpoint.folder / "data")}
    rows = [row["observed_at"] for row in known.values()]
    assert len(wanted) > 20
    assert wanted <= set(rows)
    doubled = len(rows) - len(set(rows))
    # Only a request that was under way when the gateway died can be twice: at most one a kill.
    assert doubled <= 5 * 4
    assert max(attempts.values()) > 1
