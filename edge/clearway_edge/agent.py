"""The gateway at work: read, check, mask, spool; the forwarder sends meanwhile."""

from __future__ import annotations

import logging
import queue
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from clearway_core.clock import Clock, to_ms
from clearway_core.contracts.wire import GATEWAY_HEALTH, GPS_PING, WIRE_CONTRACTS
from clearway_core.errors import OutboxFull, SourceUnavailable
from clearway_core.identity import new_boot
from clearway_core.stream.batch import Batch, encode
from clearway_edge.checks import Flags, check_ranges
from clearway_edge.health import health_record, parcel_of
from clearway_edge.outbox import Outbox, Parcel, Stream
from clearway_edge.privacy import KeyRing, Pseudonymiser
from clearway_edge.settings import GatewaySettings
from clearway_edge.sources.source import Intake, Reading, Source, columns_of

log = logging.getLogger(__name__)

NO_ROOM = "outbox_no_room"
"""Readings that could not be spooled because the disk is full."""

FLAG_CLOCK = "observed_at_far_from_clock"
CLOCK_TOLERANCE_MS = 86_400_000
"""A receiver's time a day off the gateway's clock: one of the two is wrong (no battery, or a GPS
week that rolled over). The value stays."""

_READ_TIMEOUT_S = 0.2
_RETRY_SOURCE_S = 5.0
_QUEUE_INTAKES = 256
_MAX_READINGS_A_BATCH = 5000


class Agent:
    """One run of a gateway: a boot of its own, seq from 0 for each contract.

    Parameters
    ----------
    settings
        What to do.
    outbox
        Where readings wait; belongs to this agent until it ends.
    sources
        By name.
    keys
        Keys of the pseudonyms.
    clock
        Time of health records and commits.
    wake
        Called after each commit.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        outbox: Outbox,
        *,
        sources: Mapping[str, Source],
        keys: KeyRing,
        clock: Clock,
        wake: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._outbox = outbox
        self._sources = sources
        self._keys = keys
        self._clock = clock
        self._wake = wake
        self._boot = new_boot()
        self._next_seq: Counter[str] = Counter()
        self._pseudonyms = Pseudonymiser(keys, settings.time_zone)
        self._intakes: queue.Queue[Intake] = queue.Queue(_QUEUE_INTAKES)
        self._unspooled: defaultdict[Stream, Counter[str]] = defaultdict(Counter)

    @property
    def boot(self) -> int:
        """Identity of this run."""
        return self._boot

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set, then spool what was read and return."""
        readers = [
            threading.Thread(target=self._read, args=(name, source, stop), name=name)
            for name, source in self._sources.items()
        ]
        log.info("gateway_started", extra={"gateway": self._settings.name, "boot": self._boot})
        self._keys.destroy_expired()
        self._report()
        for reader in readers:
            reader.start()
        next_health_s = self._clock.monotonic_s() + self._settings.health_every_s
        while not stop.is_set():
            stop.wait(self._settings.commit_every_s)
            self.commit(self._drained())
            if self._clock.monotonic_s() >= next_health_s:
                next_health_s += self._settings.health_every_s
                self._outbox.expire()
                self._keys.destroy_expired()
                self._report()
        while any(reader.is_alive() for reader in readers):
            # A reader may wait for room in the queue: it gets some until it has ended.
            self.commit(self._drained())
            for reader in readers:
                reader.join(_READ_TIMEOUT_S)
        self.commit(self._drained())
        self._report()
        log.info("gateway_stopped", extra={"gateway": self._settings.name})

    def commit(self, intakes: Sequence[Intake]) -> None:
        """Spool what the sources gave, in one durable batch for each contract."""
        readings: defaultdict[str, list[Reading]] = defaultdict(list)
        dropped: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for intake in intakes:
            for reading in intake.readings:
                readings[reading.contract].append(reading)
            for (contract, reason), count in intake.dropped.items():
                dropped[contract][reason] += count
        for contract in sorted({*readings, *dropped}):
            rows = readings[contract]
            for start in range(0, max(len(rows), 1), _MAX_READINGS_A_BATCH):
                part = rows[start : start + _MAX_READINGS_A_BATCH]
                lost = dropped[contract] if start == 0 else Counter[str]()
                self._spool(self._parcel(contract, part, lost))

    def _read(self, name: str, source: Source, stop: threading.Event) -> None:
        lost = False
        try:
            while not stop.is_set():
                try:
                    intake = source.read(_READ_TIMEOUT_S)
                except SourceUnavailable as error:
                    if not lost:
                        log.warning("source_lost", extra={"source": name, "error": str(error)})
                    lost = True
                    stop.wait(_RETRY_SOURCE_S)
                    continue
                except Exception:
                    # One broken driver must not silence the other sensors of the pole.
                    log.exception("source_failed", extra={"source": name})
                    stop.wait(_RETRY_SOURCE_S)
                    continue
                if lost:
                    log.info("source_back", extra={"source": name})
                lost = False
                if intake.readings or intake.dropped:
                    self._intakes.put(intake)
                else:
                    # A recording at its end returns at once; a line has waited already.
                    stop.wait(_READ_TIMEOUT_S / 10)
        finally:
            source.close()

    def _drained(self) -> list[Intake]:
        intakes = []
        while True:
            try:
                intakes.append(self._intakes.get_nowait())
            except queue.Empty:
                return intakes

    def _parcel(self, contract: str, rows: Sequence[Reading], dropped: Counter[str]) -> Parcel:
        stream = self._stream(contract)
        first = self._next_seq[contract]
        dropped = dropped + self._unspooled.pop(stream, Counter())
        payload = b""
        flagged: Counter[str] = Counter()
        if rows:
            columns, flags = self._columns(contract, rows)
            flagged.update(f"flagged.{name}" for names in flags.by_row.values() for name in names)
            batch = Batch(
                contract=contract,
                gateway=self._settings.name,
                boot=self._boot,
                seq=range(first, first + len(rows)),
                columns=columns,
            )
            payload = encode(batch, WIRE_CONTRACTS[contract])
        return Parcel(
            stream=stream,
            payload=payload,
            n_read=len(rows) + sum(dropped.values()),
            n_records=len(rows),
            next_seq=first + len(rows),
            dropped=dropped,
            notes=flagged,
        )

    def _columns(
        self, contract: str, rows: Sequence[Reading]
    ) -> tuple[dict[str, Sequence[object]], Flags]:
        about = WIRE_CONTRACTS[contract]
        columns: dict[str, Sequence[object]] = dict(columns_of(rows, about.columns))
        flags = Flags()
        for row, text in enumerate(columns["flags"]):
            for name in str(text).split() if text is not None else ():
                flags.add(row, name)
        if contract == GPS_PING.identifier:
            self._mask(columns)
            self._check_clock(columns["observed_at"], flags)
        check_ranges(about, columns, flags)
        columns["flags"] = flags.column(len(rows))
        return columns, flags

    def _mask(self, columns: dict[str, Sequence[object]]) -> None:
        columns["vehicle"], columns["pseudonym_epoch"] = self._pseudonyms.mask(
            cast("Sequence[str]", columns["provider"]),
            cast("Sequence[str]", columns["vehicle"]),
            cast("Sequence[int]", columns["observed_at"]),
        )

    def _check_clock(self, instants: Sequence[object], flags: Flags) -> None:
        now_ms = to_ms(self._clock.now())
        for row, instant in enumerate(instants):
            if isinstance(instant, int) and abs(instant - now_ms) > CLOCK_TOLERANCE_MS:
                flags.add(row, FLAG_CLOCK)

    def _spool(self, parcel: Parcel) -> None:
        try:
            self._outbox.put(parcel)
        except OutboxFull as error:
            # Counted now, written as soon as there is room again.
            lost = self._unspooled[parcel.stream]
            lost.update(parcel.dropped)
            lost[NO_ROOM] += parcel.n_records
            log.error("outbox_full", extra={"error": str(error)})  # noqa: TRY400 -- its text says all
            return
        self._next_seq[parcel.stream.contract] = parcel.next_seq
        self._wake()

    def _report(self) -> None:
        """Spool a health record about every stream that has books; close those that are over."""
        records = []
        for stream in self._outbox.streams():
            if stream.contract == GATEWAY_HEALTH.identifier:
                if stream.boot != self._boot:
                    self._outbox.forget(stream)
                continue
            account = self._outbox.account(stream)
            records.append(
                health_record(
                    stream,
                    account,
                    spool=self._outbox,
                    clock=self._clock,
                    settings_hash=self._settings.fingerprint,
                )
            )
            if stream.boot != self._boot and account.spooled == 0:
                self._outbox.forget(stream)
        if not records:
            return
        contract = GATEWAY_HEALTH.identifier
        parcel = parcel_of(
            self._settings.name,
            records,
            boot=self._boot,
            run=self._boot,
            first_seq=self._next_seq[contract],
        )
        self._spool(parcel)

    def _stream(self, contract: str) -> Stream:
        return Stream(contract=contract, boot=self._boot, run=self._boot)
