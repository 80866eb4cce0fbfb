"""One real Apache Kafka broker (KRaft, single node) on this machine's loopback address."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from clearway_broker import artifacts
from clearway_broker.java import Java, find_java
from clearway_core.errors import ClearwayError, SourceUnavailable
from clearway_core.stream.kafka import answers

HOST = "127.0.0.1"
"""Loopback only: this broker asks nobody who they are. For a network use docker-compose.yml."""

DEFAULT_PORT = 9092

_SETTINGS = """\
# Written at every start by `clearway broker`; edit nothing here.
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={log_dir}
# There is one node, so nothing can be replicated ...
default.replication.factor=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
# ... and what is confirmed must be on the disk before: a killed process loses nothing anyway (the
# system holds what it wrote), but a power cut would lose up to a minute of it.
log.flush.interval.messages=1
# After a crash the controller lets the node in again when its old session has ended: 12 s until it
# answers by Kafka's default of 9 s, 6 s by this.
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
auto.create.topics.enable=false
num.partitions=3
offsets.topic.num.partitions=1
transaction.state.log.num.partitions=1
# A gateway that was cut off may return after days. Whole files are deleted: a new one every day, or
# readings would stay for a week longer.
log.retention.hours=336
log.roll.hours=24
"""

_HEAP = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError")
_QUICK = ("-XX:TieredStopAtLevel=1",)
"""Only Java's quick compiler: 2 s of processor time until it answers, not 4. The slow one pays
off at loads that one node on loopback does not see."""

_FORMAT_TIMEOUT_S = 60.0
_START_TIMEOUT_S = 90.0
_STOP_TIMEOUT_S = 30.0
_POLL_S = 0.1
_TOLD_LINES = 12


class Broker:
    """One broker process on one data folder.

    Parameters
    ----------
    data_dir
        Where its topics live; made if it is not there. One broker at a time.
    jars
        Folder of verified jars, from `clearway_broker.artifacts.install`.
    java
        The runtime.
    port
        Port for clients; None takes a free one and keeps it for further starts.
    more_settings
        Further lines of its settings, which go before ours; ``{host}``, ``{port}`` and
        ``{controller_port}`` are filled in. For tests that need other listeners.
    format_options
        Further options of the tool that prepares its folder, such as ``--add-scram``.
    """

    def __init__(
        self,
        data_dir: Path,
        jars: Path,
        java: Java,
        *,
        port: int | None = None,
        more_settings: str = "",
        format_options: Sequence[str] = (),
    ) -> None:
        self.data_dir = data_dir.resolve()
        self.port = port if port is not None else free_port()
        self._more_settings = more_settings
        self._format_options = tuple(format_options)
        self._jars = jars
        self._java = java
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """``host:port`` for Kafka clients."""
        return f"{HOST}:{self.port}"

    @property
    def address(self) -> str:
        """What to pass to ``--log``."""
        return f"kafka://{self.bootstrap}"

    @property
    def log_file(self) -> Path:
        """What the broker itself had to say since its last start."""
        return self.data_dir / "broker.log"

    @property
    def pid(self) -> int | None:
        """Number of the running process, or None."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start and return when the broker answers.

        Raises
        ------
        ClearwayError
            If the port is taken, the data folder is in use, or the broker ends or stays silent;
            with the last lines of its log.
        """
        artifacts.verify(self._jars)
        if not _is_free(self.port):
            message = (
                f"port {self.port} is taken: is a broker running already? "
                "Choose another with --port."
            )
            raise ClearwayError(message)
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            with self._locked() as lock:
                self._launch(lock)
        except OSError as error:
            message = f"the broker cannot use {self.data_dir}: {error}. Check the data folder."
            raise ClearwayError(message) from error
        try:
            self._wait()
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """End in good order; kill what does not end within half a minute."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """End at once, as a crash would (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def wait(self) -> None:
        """Return when the broker has ended by itself.

        Raises
        ------
        ClearwayError
            Always then; with the last lines of its log.
        """
        if self._process is not None:
            code = self._process.wait()
            message = f"the broker ended with code {code}; its last words:\n{self._last_words()}"
            raise ClearwayError(message)

    def _launch(self, lock: int) -> None:
        settings = self._write_settings()
        if not (self.data_dir / "topics" / "meta.properties").is_file():
            self._format(settings)
        with self.log_file.open("wb") as log_file:
            self._process = subprocess.Popen(  # noqa: S603 -- verified jars
                self._command(*_HEAP, *_QUICK, main="kafka.Kafka", arguments=(str(settings),)),
                stdout=log_file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=self.data_dir,
                start_new_session=True,  # Ctrl-C is ours to handle: an orderly stop
                pass_fds=(lock,),
            )
        os.ftruncate(lock, 0)
        os.write(lock, str(self._process.pid).encode())

    def _wait(self) -> None:
        give_up_at_s = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < give_up_at_s:
            if self._process is None or self._process.poll() is not None:
                message = f"the broker did not start; its last words:\n{self._last_words()}"
                raise ClearwayError(message)
            if not _is_free(self.port) and answers([self.bootstrap]):
                return
            time.sleep(_POLL_S)
        message = (
            f"the broker did not answer within {_START_TIMEOUT_S:g} s; "
            f"its last words:\n{self._last_words()}"
        )
        raise SourceUnavailable(message)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        """Lock the data folder; who inherits the descriptor keeps the lock as long as it lives."""
        lock = os.open(self.data_dir / "broker.lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield lock
        except BlockingIOError as error:
            owner = os.pread(lock, 20, 0).decode() or "just starting"
            message = (
                f"a broker (process {owner}) already runs on {self.data_dir}: use that one, "
                "stop it, or choose another data folder"
            )
            raise ClearwayError(message) from error
        finally:
            os.close(lock)

    def _write_settings(self) -> Path:
        settings = self.data_dir / "server.properties"
        text = (_SETTINGS + self._more_settings).format(
            host=HOST,
            port=self.port,
            controller_port=free_port(),
            log_dir=self.data_dir / "topics",
        )
        settings.write_text(text, encoding="utf-8")
        return settings

    def _format(self, settings: Path) -> None:
        try:
            answer = subprocess.run(  # noqa: S603 -- verified jars
                self._command(
                    *_QUICK,
                    main="kafka.tools.StorageTool",
                    arguments=(
                        *("format", "--cluster-id", _cluster_id(), "--config", str(settings)),
                        *self._format_options,
                    ),
                ),
                capture_output=True,
                text=True,
                timeout=_FORMAT_TIMEOUT_S,
                check=False,
                cwd=self.data_dir,
            )
        except subprocess.TimeoutExpired as error:
            message = (
                f"Kafka did not prepare {self.data_dir} within {_FORMAT_TIMEOUT_S:g} s. "
                "Is this machine very busy? Try again when it is not."
            )
            raise ClearwayError(message) from error
        if answer.returncode != 0:
            message = (
                f"Kafka could not prepare {self.data_dir}: {answer.stdout}{answer.stderr}\n"
                "Is the disk full, or the folder not writable?"
            )
            raise ClearwayError(message)

    def _command(self, *options: str, main: str, arguments: tuple[str, ...]) -> list[str]:
        logging = artifacts.POM.with_name("log4j2.properties")
        return [
            str(self._java.command),
            *options,
            f"-Dlog4j2.configurationFile={logging.as_uri()}",
            *("-cp", f"{self._jars}/*", main),
            *arguments,
        ]

    def _last_words(self) -> str:
        lines = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-_TOLD_LINES:]) or "  (none)"


@contextlib.contextmanager
def running_broker(
    data_dir: Path,
    port: int | None = None,
    *,
    jars: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Broker]:
    """Run a broker while the block runs; its ``address`` goes to ``--log``.

    Parameters
    ----------
    data_dir
        Where its topics live; they stay for the next start.
    port
        Port for clients; None takes a free one.
    jars
        Folder of Kafka's jars; left out, they are installed if they are not there.
    environment
        Left out, that of this process.

    Raises
    ------
    MissingDependency
        If there is no Java, or no Maven and no jars.
    SourceUnavailable
        If the jars cannot be fetched, or the broker does not answer.
    ClearwayError
        If the jars are not the expected ones, or the broker does not start.
    """
    environment = os.environ if environment is None else environment
    java = find_java(environment)
    broker = Broker(data_dir, jars or artifacts.install(environment), java, port=port)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


def free_port() -> int:
    """Return a port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) != 0


def _cluster_id() -> str:
    # Kafka's form: 16 random bytes in URL-safe base64; a leading dash would look like an option.
    while True:
        text = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        if not text.startswith("-"):
            return text
