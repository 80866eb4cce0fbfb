"""The gateway at work: read, check, mask, spool; the forwarder sends meanwhile."""

from __future__ import annotations

import logging
import queue
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from clearway_core.clock import Clock, to_ms
from clearway_core.contracts.wire import GATEWAY_BOOKS, GATEWAY_HEALTH
from clearway_core.errors import OutboxFull, SourceUnavailable
from clearway_core.identity import new_boot
from clearway_edge.batching import Batcher, Gathered
from clearway_edge.clock.clock_state import ClockState
from clearway_edge.condition.attendant import Alone, Attendant
from clearway_edge.condition.health import health_record, parcel_of
from clearway_edge.condition.source_states import SourceStates
from clearway_edge.outbox.books import books_parcel
from clearway_edge.outbox.outbox import OWN_REPORTS, Outbox, Parcel, Stream
from clearway_edge.privacy.pseudonyms import KeyRing, Pseudonymiser
from clearway_edge.settings.settings import GatewaySettings
from clearway_edge.sources.source import Intake, Source

log = logging.getLogger(__name__)

NO_ROOM = "outbox_no_room"
"""Readings that could not be spooled because the disk is full."""

_READ_TIMEOUT_S = 0.2
_RETRY_SOURCE_S = 5.0
_QUEUE_INTAKES = 256
_KEYS_EVERY_S = 60.0
_SHORTEST_COMMIT_S = 0.05
"""A sender that waits for its answer is answered after this, with others of the same moment: one
fsync for all of them."""


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
    clock, clock_state
        Time of health records and commits, and whether it can be believed.
    wake
        Called after each commit.
    states, attendant
        Told how the sources do, and that the agent works; left out, nobody looks.
    """

    def __init__(  # noqa: PLR0913 -- everything that a gateway is put together from
        self,
        settings: GatewaySettings,
        outbox: Outbox,
        *,
        sources: Mapping[str, Source],
        keys: KeyRing,
        clock: Clock,
        wake: Callable[[], None],
        clock_state: ClockState | None = None,
        states: SourceStates | None = None,
        attendant: Attendant | None = None,
    ) -> None:
        self._settings = settings
        self._outbox = outbox
        self._sources = sources
        self._keys = keys
        self._clock = clock
        self._wake = wake
        self._boot = new_boot()
        self._clock_state = clock_state or ClockState(clock)
        self._next_keys_s = clock.monotonic_s()
        self._batcher = Batcher(
            settings.name,
            self._boot,
            pseudonyms=Pseudonymiser(keys, settings.time_zone),
            clock=clock,
            clock_state=self._clock_state,
        )
        self._intakes: queue.Queue[Intake] = queue.Queue(_QUEUE_INTAKES)
        self._waits_for_answer = threading.Event()
        self._unspooled: defaultdict[Stream, Counter[str]] = defaultdict(Counter)
        self.states = states or SourceStates({s.name: s.kind for s in settings.sources}, clock)
        self._attendant = attendant or Alone()

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
        self._destroy_keys()
        self._tend()
        for reader in readers:
            reader.start()
        self._beat()
        next_health_s = self._clock.monotonic_s() + self._settings.health_every_s
        while not stop.is_set():
            self._wait(stop)
            self.commit(self._drained())
            self._beat()
            self._destroy_keys()
            if self._clock.monotonic_s() >= next_health_s:
                next_health_s += self._settings.health_every_s
                self._tend()
        while any(reader.is_alive() for reader in readers):
            # A reader may wait for room in the queue: it gets some until it has ended.
            self.commit(self._drained())
            self._beat()
            for reader in readers:
                reader.join(_READ_TIMEOUT_S)
        self.commit(self._drained())
        self._tend()
        log.info("gateway_stopped", extra={"gateway": self._settings.name})

    def commit(self, intakes: Sequence[Intake]) -> None:
        """Spool what the sources gave, durably, and tell the senders that wait for it."""
        senders = [intake for intake in intakes if intake.settle is not None]
        devices = Gathered()
        for intake in intakes:
            if intake.settle is None:
                devices.add(intake)
        try:
            parcels = self._batcher.parcels(devices)
        except OSError as error:
            self._drop_unmasked(devices, error)
        else:
            self._spool(*(replace(parcel, from_devices=True) for parcel in parcels))
        self._spool_for(senders)

    def _drop_unmasked(self, gathered: Gathered, error: OSError) -> None:
        """Count readings for which no key could be made: on a full disk, or one that is worn."""
        log.error("key_not_made", extra={"error": str(error)})
        for (contract, _), rows in gathered.readings.items():
            self._unspooled[self._batcher.stream(contract)][NO_ROOM] += len(rows)
        for contract, dropped in gathered.dropped.items():
            self._unspooled[self._batcher.stream(contract)].update(dropped)

    def _spool_for(self, senders: Sequence[Intake]) -> None:
        """Spool for senders that keep their readings until they are told: all or none."""
        if not senders:
            return
        together = Gathered()
        for intake in senders:
            together.add(intake)
        try:
            parcels = self._batcher.parcels(together)
            self._outbox.put(*parcels)
        except (OutboxFull, OSError) as error:
            log.warning("senders_refused", extra={"error": str(error)})
            stored = False
        else:
            stored = True
            self._batcher.took(parcels)
            self._wake()
        for intake in senders:
            if intake.settle is not None:
                intake.settle(stored)

    def _destroy_keys(self) -> None:
        """Destroy keys whose epoch is over, as far as the clock can be believed."""
        now_s = self._clock.monotonic_s()
        if now_s < self._next_keys_s or not self._clock_state.synchronised:
            return
        self._next_keys_s = now_s + _KEYS_EVERY_S
        self._keys.destroy_expired()

    def _beat(self) -> None:
        self._attendant.beat(self._boot, self._batcher.next_seq)

    def _wait(self, stop: threading.Event) -> None:
        """Wait for the next commit: a second, or a moment where a sender waits for its answer."""
        ends_s = self._clock.monotonic_s() + self._settings.commit_every_s
        while not stop.is_set():
            left_s = ends_s - self._clock.monotonic_s()
            if left_s <= 0:
                return
            if self._waits_for_answer.wait(min(left_s, _READ_TIMEOUT_S)):
                self._waits_for_answer.clear()
                stop.wait(_SHORTEST_COMMIT_S)
                return

    def _read(self, name: str, source: Source, stop: threading.Event) -> None:
        try:
            while not stop.is_set():
                try:
                    intake = source.read(_READ_TIMEOUT_S)
                except SourceUnavailable as error:
                    if self.states.lost(name, str(error)):
                        log.warning("source_lost", extra={"source": name, "error": str(error)})
                    stop.wait(_RETRY_SOURCE_S)
                    continue
                except Exception as error:
                    # One broken driver must not silence the other sensors of the pole.
                    log.exception("source_failed", extra={"source": name})
                    self.states.lost(name, f"{type(error).__name__}: {error}")
                    stop.wait(_RETRY_SOURCE_S)
                    continue
                if self.states.works(
                    name, n_readings=len(intake.readings), position_deg=_position_deg(intake)
                ):
                    log.info("source_back", extra={"source": name})
                if intake.readings or intake.dropped or intake.settle is not None:
                    self._intakes.put(intake)
                    if intake.settle is not None:
                        self._waits_for_answer.set()
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

    def _spool(self, *parcels: Parcel) -> None:
        """Spool together, with one fsync; what does not fit together is tried one by one."""
        whole = [self._with_unspooled(parcel) for parcel in parcels]
        if not whole:
            return
        try:
            self._outbox.put(*whole)
        except OutboxFull as error:
            if len(whole) > 1:
                for parcel in whole:
                    self._spool(parcel)
                return
            # Counted now, written as soon as there is room again.
            kept = self._unspooled[whole[0].stream]
            kept.update(whole[0].dropped)
            kept[NO_ROOM] += whole[0].n_records
            self._outbox.remember(whole[0].stream, kept)
            log.error("outbox_full", extra={"error": str(error)})  # noqa: TRY400 -- its text says all
            return
        self._batcher.took(whole)
        self._wake()

    def _with_unspooled(self, parcel: Parcel) -> Parcel:
        lost = self._unspooled.pop(parcel.stream, None)
        return parcel.also_dropped(lost) if lost else parcel

    def _tend(self) -> None:
        """Drop what is too old, and report; a disk that takes nothing now may do so later."""
        try:
            self._outbox.expire()
            self._report()
        except OutboxFull as error:
            log.error("outbox_full", extra={"error": str(error)})  # noqa: TRY400 -- its text says all

    def _report(self) -> None:
        """Spool health records about every stream, and what has changed in the books."""
        for tag in self._outbox.clock_tags():
            base_ms = self._clock_state.base_ms(tag)
            if isinstance(base_ms, int):
                self._outbox.set_hours(tag, base_ms)
        self._tell_health()
        parcel = books_parcel(
            self._settings.name,
            self._outbox.pages(),
            observed_at_ms=to_ms(self._clock.now()),
            boot=self._boot,
            first_seq=self._batcher.next_seq[GATEWAY_BOOKS.identifier],
        )
        if parcel is not None:
            self._spool(parcel)

    def _health_of(self, stream: Stream) -> dict[str, object]:
        return health_record(
            stream,
            self._outbox.account(stream),
            spool=self._outbox,
            clock=self._clock,
            settings_hash=self._settings.fingerprint,
            vitals=self._attendant.vitals(),
        )

    def _tell_health(self) -> None:
        streams = [s for s in self._outbox.streams() if s.contract not in OWN_REPORTS]
        # A gateway whose sensors are all silent still says that it lives: about its own reports.
        alive = [self._batcher.stream(GATEWAY_HEALTH.identifier)]
        records = [self._health_of(stream) for stream in streams or alive]
        told = {page.stream for page in self._outbox.pages()}
        for stream in self._outbox.streams():
            if stream.boot != self._boot and stream not in told:
                # The lake has the last word of all its pages.
                self._outbox.forget(stream)
        parcel = parcel_of(
            self._settings.name,
            records,
            boot=self._boot,
            run=self._boot,
            first_seq=self._batcher.next_seq[GATEWAY_HEALTH.identifier],
        )
        self._spool(parcel)


def _position_deg(intake: Intake) -> tuple[float, float] | None:
    """Return (lon, lat) of the last reading, or None without one [°]."""
    last = intake.readings[-1].values if intake.readings else {}
    lon_deg, lat_deg = last.get("lon_deg"), last.get("lat_deg")
    if isinstance(lon_deg, float) and isinstance(lat_deg, float):
        return lon_deg, lat_deg
    return None
