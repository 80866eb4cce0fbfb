"""The gateway at work: read, check, mask, spool; the forwarder sends meanwhile."""

from __future__ import annotations

import logging
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

from clearway_core.clock import Clock, to_ms
from clearway_core.contracts.wire import GATEWAY_BOOKS, GATEWAY_HEALTH
from clearway_core.errors import OutboxFull
from clearway_core.identity import new_boot
from clearway_edge.batching import Batcher, Gathered
from clearway_edge.clock.clock_state import ClockState
from clearway_edge.condition.attendant import Attendant
from clearway_edge.condition.health import health_record
from clearway_edge.outbox.books import books_parcel
from clearway_edge.outbox.outbox import OWN_REPORTS, Outbox, Parcel, Stream
from clearway_edge.outbox.reports import report_parcel
from clearway_edge.privacy.pseudonyms import KeyRing, Pseudonymiser
from clearway_edge.readers import Readers
from clearway_edge.settings.settings import GatewaySettings
from clearway_edge.sources.source import Intake

log = logging.getLogger(__name__)

NO_ROOM = "outbox_no_room"
"""Readings that could not be spooled because the disk is full."""

_KEYS_EVERY_S = 60.0


class Agent:
    """One run of a gateway: a boot of its own, seq from 0 for each contract.

    Parameters
    ----------
    settings
        What to do.
    outbox
        Where readings wait; belongs to this agent until it ends.
    readers
        Read the sources.
    keys
        Keys of the pseudonyms.
    clock, clock_state
        Time of health records and commits, and whether it can be believed.
    wake
        Called after each commit.
    attendant
        Told that the agent works, asked for what health reports say.
    """

    def __init__(  # noqa: PLR0913 -- everything that a gateway is put together from
        self,
        settings: GatewaySettings,
        outbox: Outbox,
        *,
        readers: Readers,
        keys: KeyRing,
        clock: Clock,
        clock_state: ClockState,
        wake: Callable[[], None],
        attendant: Attendant,
    ) -> None:
        self._settings = settings
        self._outbox = outbox
        self._readers = readers
        self._keys = keys
        self._clock = clock
        self._wake = wake
        self.boot = new_boot()
        self._clock_state = clock_state
        self._next_keys_s = clock.monotonic_s()
        self._batcher = Batcher(
            settings.name,
            self.boot,
            pseudonyms=Pseudonymiser(keys, settings.time_zone),
            clock=clock,
            clock_state=clock_state,
        )
        self._unspooled: defaultdict[Stream, Counter[str]] = defaultdict(Counter)
        self._attendant = attendant

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set, then spool what was read and return."""
        log.info("gateway_started", extra={"gateway": self._settings.name, "boot": self.boot})
        self._destroy_keys()
        self._tend()
        self._readers.start(stop)
        self._beat()
        next_health_s = self._clock.monotonic_s() + self._settings.health_every_s
        while not stop.is_set():
            self._readers.wait(stop, self._settings.commit_every_s)
            self.commit(self._readers.taken())
            self._beat()
            self._destroy_keys()
            if self._clock.monotonic_s() >= next_health_s:
                next_health_s += self._settings.health_every_s
                self._tend()
        while not self._readers.have_ended():
            self.commit(self._readers.taken())
            self._beat()
        self.commit(self._readers.taken())
        self._tend()
        log.info("gateway_stopped", extra={"gateway": self._settings.name})

    def commit(self, intakes: Sequence[Intake]) -> None:
        """Spool what the sources gave, durably, and tell the senders that wait for it."""
        senders = [intake for intake in intakes if intake.settle is not None]
        devices = Gathered()
        for intake in intakes:
            if intake.settle is None:
                devices.add(intake)
        parcels = self._batcher.parcels(devices)
        self._spool(*(replace(parcel, from_devices=True) for parcel in parcels))
        self._spool_for(senders)

    def _spool_for(self, senders: Sequence[Intake]) -> None:
        """Spool for senders that keep their readings until they are told: all or none."""
        if not senders:
            return
        together = Gathered()
        for intake in senders:
            together.add(intake)
        parcels = self._batcher.parcels(together)
        try:
            self._outbox.put(*parcels)
        except OutboxFull as error:
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
        self._attendant.beat(self.boot, self._batcher.next_seq)

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
            boot=self.boot,
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
        own = self._batcher.stream(GATEWAY_HEALTH.identifier)
        records = [self._health_of(stream) for stream in streams or [own]]
        told = {page.stream for page in self._outbox.pages()}
        for stream in self._outbox.streams():
            if stream.boot != self.boot and stream not in told:
                # The lake has the last word of all its pages.
                self._outbox.forget(stream)
        self._spool(
            report_parcel(
                self._settings.name,
                records,
                stream=own,
                first_seq=self._batcher.next_seq[own.contract],
            )
        )
