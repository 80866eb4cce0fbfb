"""A real Mosquitto on a free port of this machine."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion


def mosquitto_program() -> str | None:
    """Return the path of the broker's program, or None."""
    return shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


class Mosquitto:
    """A broker that keeps sessions over restarts.

    Parameters
    ----------
    folder
        For settings and what it keeps.
    lines
        More lines of its settings; without, anybody may do anything.
    """

    def __init__(self, folder: Path, lines: Sequence[str] = ("allow_anonymous true",)) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        folder.mkdir(parents=True, exist_ok=True)
        self._settings = folder / "mosquitto.conf"
        text = [
            f"listener {self.port} 127.0.0.1",
            "user root",  # as root it would become a user who may not write here
            "persistence true",
            f"persistence_location {folder}/",
            "autosave_interval 1",
            "max_queued_messages 100000",
            *lines,
        ]
        self._settings.write_text("\n".join(text) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Mosquitto:
        """Start it, on the same port each time, and wait until it listens."""
        program = mosquitto_program()
        assert program is not None
        self._process = subprocess.Popen(
            [program, "-c", str(self._settings)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        ends_s = time.monotonic() + 10
        while time.monotonic() < ends_s:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return self
        raise TimeoutError(f"mosquitto did not listen on {self.port}")

    def stop(self) -> None:
        """Stop it as an administrator would: sessions are kept."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait()
            self._process = None

    def publish(
        self, messages: Sequence[tuple[str, bytes]], *, qos: int = 1, retain: bool = False
    ) -> None:
        """Publish messages and wait until the broker has them."""
        client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        sent = [client.publish(topic, data, qos=qos, retain=retain) for topic, data in messages]
        for each in sent:
            each.wait_for_publish(30)
        client.disconnect()
        client.loop_stop()
