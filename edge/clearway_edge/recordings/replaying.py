"""Recorded files through the gateway's own path: convert, mask, spool, forward."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import SystemRandom

from clearway_core.clock import Clock, to_ms
from clearway_core.contracts.wire import AIR_READING, GATEWAY_BOOKS, WIRE_CONTRACTS
from clearway_core.errors import OutboxFull, SourceUnavailable
from clearway_core.identity import new_boot, replay_boot
from clearway_core.progress import Progress
from clearway_core.stream.batch import Batch, encode
from clearway_core.stream.log import Log
from clearway_edge.condition.health import health_parcel
from clearway_edge.forwarding.forwarder import Forwarder
from clearway_edge.gateway_dir import GatewayDir
from clearway_edge.outbox.books import one_page, page_record
from clearway_edge.outbox.outbox import DAMAGED, Account, Bounds, Parcel, Stream, WhenFull
from clearway_edge.outbox.reports import report_parcel
from clearway_edge.outbox.sqlite_outbox import SqliteOutbox
from clearway_edge.privacy.pseudonyms import KeyRing, Pseudonymiser
from clearway_edge.privacy.trip_ends import TripEndCutter
from clearway_edge.recordings.account import FileAccount
from clearway_edge.recordings.pacing import Pace
from clearway_edge.rows.convert import Converted, Converter
from clearway_edge.rows.files import read_chunks
from clearway_edge.rows.profile import SourceProfile, TripEnds

log = logging.getLogger(__name__)

PATIENCE_S = 45.0
"""How long a replay waits for a log that takes nothing before it leaves the rest in the outbox;
longer than the half minute that a Kafka client tries before it gives up."""

COMMIT_PARCELS = 8
COMMIT_EVERY_S = 0.5
"""A commit waits for the disk: 40,000 records share one where they come fast, and none waits longer
than half a second. What a crash takes is read from the file again."""

MAX_EXAMPLES = 10
_POLL_S = 0.02


@dataclass(slots=True)
class _Reading:
    """A file while it is read."""

    file: Path
    stream: Stream
    n_read: int = 0
    complete: bool = False
    error: str = ""
    faults: list[str] = field(default_factory=list)


class Replay:
    """Sends recorded files as one gateway.

    Parameters
    ----------
    folder
        The gateway's folder, owned by the caller.
    gateway
        Its name.
    open_log
        Opens the log, in the forwarder's thread.
    clock
        Time of batches, keys and pace.
    bounds
        How much may wait; a full outbox makes the reading wait.
    patience_s
        How long to wait for a log that takes nothing. [s]
    """

    def __init__(
        self,
        folder: GatewayDir,
        gateway: str,
        *,
        open_log: Callable[[], Log],
        clock: Clock,
        bounds: Bounds | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._gateway = gateway
        self._clock = clock
        self._patience_s = patience_s
        self._keys = KeyRing(folder.keys, clock)
        bounds = replace(bounds or Bounds(), when_full=WhenFull.REFUSE)
        self._outbox = SqliteOutbox(folder.outbox, bounds, clock)
        self._forwarder = Forwarder(self._outbox, open_log, gateway=gateway)
        self._pending: list[Parcel] = []
        self._committed_s = time.monotonic()

    def send(
        self, files: Sequence[Path], profile: SourceProfile, *, pace: Pace, progress: Progress
    ) -> list[FileAccount]:
        """Return the account of each file, once the log has it all or takes no more."""
        stop = threading.Event()
        thread = threading.Thread(target=self._forwarder.run, args=(stop,), name="forwarder")
        thread.start()
        try:
            self._keys.destroy_expired()
            readings = self._read_all(files, profile, pace, progress)
            if self._drained():
                self._tell_health(readings)
                self._drained()
            accounts = [self._close_books(reading) for reading in readings]
            self._forget_old_runs()
        finally:
            stop.set()
            self._forwarder.wake()
            thread.join()
        self._outbox.close()
        return accounts

    def _read_all(
        self, files: Sequence[Path], profile: SourceProfile, pace: Pace, progress: Progress
    ) -> list[_Reading]:
        sizes = [file.stat().st_size for file in files]
        readings: list[_Reading] = []
        for number, file in enumerate(files):
            boot = replay_boot(file, profile.file)
            # A run of its own, so that a second replay has books of its own.
            stream = Stream(contract=profile.contract, boot=boot, run=new_boot())
            reading = _Reading(file, stream)
            readings.append(reading)
            advance = _Advance(progress, readings, before=sum(sizes[:number]), total=sum(sizes))
            try:
                self._read(reading, profile, pace, advance)
            except (SourceUnavailable, OutboxFull) as error:
                reading.error = str(error)
                self._keep_what_was_read(reading)
                log.warning("replay_stopped_early", extra={"error": str(error)})
                if isinstance(error, OutboxFull):
                    readings += [self._not_begun(other, profile) for other in files[number + 1 :]]
                    break
        progress(sum(sizes), sum(sizes), f"{sum(r.n_read for r in readings):,} records")
        return readings

    def _keep_what_was_read(self, reading: _Reading) -> None:
        try:
            self._commit(reading)
        except OutboxFull:
            self._pending = []

    @staticmethod
    def _not_begun(file: Path, profile: SourceProfile) -> _Reading:
        stream = Stream(
            contract=profile.contract, boot=replay_boot(file, profile.file), run=new_boot()
        )
        return _Reading(file, stream, error="was not begun, because the outbox is full")

    def _read(
        self,
        reading: _Reading,
        profile: SourceProfile,
        pace: Pace,
        advance: Callable[[int], None],
    ) -> None:
        converter = Converter(profile, self._pseudonyms(profile))
        chunks = read_chunks(reading.file, profile, advance=advance)
        converted_chunks: Iterator[Converted] = map(converter.convert, chunks)
        if profile.trip_ends is TripEnds.CUT:
            converted_chunks = TripEndCutter(SystemRandom()).cut(converted_chunks)
        for converted in pace.paced(converted_chunks):
            self._put(reading, converted, profile.contract)
        self._commit(reading)
        reading.complete = True

    def _pseudonyms(self, profile: SourceProfile) -> Pseudonymiser | None:
        if profile.contract == AIR_READING.identifier:
            return None
        return Pseudonymiser(self._keys, profile.time_zone)

    def _put(self, reading: _Reading, converted: Converted, contract: str) -> None:
        payload = b""
        if converted.seq:
            batch = Batch(
                contract=contract,
                gateway=self._gateway,
                boot=reading.stream.boot,
                seq=converted.seq,
                columns=converted.columns,
            )
            payload = encode(batch, WIRE_CONTRACTS[contract])
        notes = {f"nulled.{name}": count for name, count in converted.nulled.items()}
        notes.update({f"flagged.{name}": count for name, count in converted.flagged.items()})
        parcel = Parcel(
            stream=reading.stream,
            payload=payload,
            n_read=converted.read,
            n_records=len(converted.seq),
            next_seq=max(converted.seq, default=-1) + 1,
            dropped=converted.dropped,
            notes=notes,
        )
        room = MAX_EXAMPLES - len(reading.faults)
        reading.faults += [str(fault) for fault in converted.faults[:room]]
        self._pending.append(parcel)
        if (
            len(self._pending) >= COMMIT_PARCELS
            or time.monotonic() - self._committed_s >= COMMIT_EVERY_S
        ):
            self._commit(reading)

    def _commit(self, reading: _Reading) -> None:
        """Spool what is pending, together if it fits, else one after the other."""
        pending, self._pending = self._pending, []
        try:
            self._outbox.put(*pending)
        except OutboxFull:
            for parcel in pending:
                self._put_when_there_is_room(parcel)
                reading.n_read += parcel.n_read
        else:
            reading.n_read += sum(parcel.n_read for parcel in pending)
        self._committed_s = time.monotonic()
        self._forwarder.wake()

    def _put_when_there_is_room(self, parcel: Parcel) -> None:
        patience = _Patience(self._forwarder, self._patience_s)
        while True:
            try:
                self._outbox.put(parcel)
            except OutboxFull:
                if patience.is_over():
                    raise
                time.sleep(_POLL_S)
            else:
                return

    def _drained(self) -> bool:
        """Wait until nothing waits, or the log takes nothing any more; return which it was."""
        patience = _Patience(self._forwarder, self._patience_s)
        self._forwarder.wake()
        while self._outbox.oldest_created_at_ms() is not None:
            if patience.is_over():
                return False
            time.sleep(_POLL_S)
        return True

    def _tell_health(self, readings: Sequence[_Reading]) -> None:
        """Let every file that arrived in full close its books in the lake.

        The records have the file's identity, so that a second replay adds no second ones.
        """
        for reading in readings:
            account = self._outbox.account(reading.stream)
            if reading.complete and account.spooled == 0 and reading.n_read > 0:
                self._outbox.put(
                    self._books(reading.stream),
                    health_parcel(
                        self._gateway,
                        reading.stream,
                        account,
                        outbox=self._outbox,
                        clock=self._clock,
                    ),
                )

    def _books(self, about: Stream) -> Parcel:
        pages = [page for page in self._outbox.pages() if page.stream == about]
        record = page_record(one_page(pages), to_ms(self._clock.now()))
        stream = Stream(contract=GATEWAY_BOOKS.identifier, boot=about.boot, run=about.run)
        return report_parcel(self._gateway, [record], stream=stream, first_seq=0)

    def _forget_old_runs(self) -> None:
        """Forget the books of replays that were killed, once nothing of theirs waits."""
        for stream in self._outbox.streams():
            self._outbox.forget(stream)

    def _close_books(self, reading: _Reading) -> FileAccount:
        account = self._outbox.account(reading.stream)
        lost = reading.n_read - account.read
        if lost:
            # The outbox's file was damaged meanwhile and set aside, with its books.
            account = account.plus(Account(read=lost, dropped={DAMAGED: lost}))
        return FileAccount(
            file=reading.file,
            boot=reading.stream.boot,
            account=account,
            complete=reading.complete,
            faults=tuple(reading.faults),
            error=reading.error,
        )


class _Advance:
    """Tells how far the reading of several files is."""

    def __init__(
        self, progress: Progress, readings: Sequence[_Reading], *, before: int, total: int
    ) -> None:
        self._progress = progress
        self._readings = readings
        self._before = before
        self._total = total

    def __call__(self, done: int) -> None:
        """Tell the position in the file that is being read [B]."""
        n_read = sum(reading.n_read for reading in self._readings)
        note = f"{n_read:,} records, {self._readings[-1].file.name}"
        self._progress(self._before + done, self._total, note)


class _Patience:
    """Notices that the forwarder has sent nothing for too long."""

    def __init__(self, forwarder: Forwarder, patience_s: float) -> None:
        self._forwarder = forwarder
        self._patience_s = patience_s
        self._seen = forwarder.n_sent
        self._since_s = time.monotonic()

    def is_over(self) -> bool:
        """Return whether nothing has been sent for the whole patience."""
        if self._forwarder.n_sent != self._seen:
            self._seen = self._forwarder.n_sent
            self._since_s = time.monotonic()
        return time.monotonic() - self._since_s > self._patience_s
