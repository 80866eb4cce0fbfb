"""Readings to parcels: numbered, masked, checked, encoded."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from clearway_core.clock import Clock, to_ms
from clearway_core.contracts.wire import GPS_PING, WIRE_CONTRACTS
from clearway_core.stream.batch import Batch, encode
from clearway_edge.checks.checks import Checks
from clearway_edge.checks.flags import Flags
from clearway_edge.clock.clock_state import ClockLook, ClockState
from clearway_edge.outbox.outbox import Parcel, Stream
from clearway_edge.privacy.pseudonyms import Pseudonymiser
from clearway_edge.sources.source import Intake, Reading, columns_of

FLAG_CLOCK = "observed_at_far_from_clock"
CLOCK_TOLERANCE_MS = 86_400_000
"""A receiver's time a day off the gateway's clock: one of the two is wrong (no battery, or a GPS
week that rolled over). The value stays."""

FLAG_UNSYNCHRONISED = "clock_unsynchronised"
FLAG_STEPPED = "clock_stepped"
"""Somebody set the clock between two commits, though it was synchronised: which of both times was
right is not known."""

MAX_READINGS_A_BATCH = 5000


@dataclass(slots=True)
class Gathered:
    """What several intakes gave, by contract and whether trip ends may be in it."""

    readings: defaultdict[tuple[str, bool], list[Reading]] = field(
        default_factory=lambda: defaultdict(list)
    )
    dropped: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, intake: Intake) -> None:
        """Take one intake."""
        for reading in intake.readings:
            self.readings[reading.contract, reading.cut_trip_ends].append(reading)
        for (contract, reason), count in intake.dropped.items():
            self.dropped[contract][reason] += count


class Batcher:
    """Makes parcels of one start of a gateway; seq counts from 0 for each contract.

    Parameters
    ----------
    gateway, boot
        Identity of the records.
    pseudonyms
        Masks vehicles.
    clock, clock_state
        Time, and whether it can be believed.
    """

    def __init__(
        self,
        gateway: str,
        boot: int,
        *,
        pseudonyms: Pseudonymiser,
        clock: Clock,
        clock_state: ClockState,
    ) -> None:
        self._gateway = gateway
        self._boot = boot
        self._pseudonyms = pseudonyms
        self._clock = clock
        self._clock_state = clock_state
        self._checks = Checks()
        # What is read later than this is compared with it.
        clock_state.look()
        self.next_seq: Counter[str] = Counter()

    def stream(self, contract: str) -> Stream:
        """Return the stream of a contract in this start."""
        return Stream(contract=contract, boot=self._boot, run=self._boot)

    def parcels(self, gathered: Gathered) -> list[Parcel]:
        """Return the readings as parcels; numbers are given once `took` is called."""
        made = []
        look = self._clock_state.look()
        ahead: Counter[str] = Counter()
        dropped = {name: Counter(reasons) for name, reasons in gathered.dropped.items()}
        for (contract, held), rows in sorted(gathered.readings.items()):
            for part in _parts(rows):
                first = self.next_seq[contract] + ahead[contract]
                lost = dropped.pop(contract, Counter())
                parcel = self._parcel(contract, part, first=first, dropped=lost, look=look)
                made.append(replace(parcel, held=held))
                ahead[contract] += len(part)
        for contract, lost in sorted(dropped.items()):
            first = self.next_seq[contract] + ahead[contract]
            made.append(self._parcel(contract, [], first=first, dropped=lost, look=look))
        return made

    def took(self, parcels: Sequence[Parcel]) -> None:
        """Note that parcels are in the outbox: their numbers are used."""
        for parcel in parcels:
            self.next_seq[parcel.stream.contract] = parcel.next_seq

    def _parcel(
        self,
        contract: str,
        rows: Sequence[Reading],
        *,
        first: int,
        dropped: Counter[str],
        look: ClockLook,
    ) -> Parcel:
        payload = b""
        clock = None
        flagged: Counter[str] = Counter()
        if rows:
            columns, flags = self._columns(contract, rows, look)
            if any(value is not None for value in columns.get("monotonic_ms", ())):
                clock = self._clock_state.start
            flagged.update(f"flagged.{name}" for names in flags.by_row.values() for name in names)
            batch = Batch(
                contract=contract,
                gateway=self._gateway,
                boot=self._boot,
                seq=range(first, first + len(rows)),
                columns=columns,
            )
            payload = encode(batch, WIRE_CONTRACTS[contract])
        return Parcel(
            stream=self.stream(contract),
            payload=payload,
            n_read=len(rows) + sum(dropped.values()),
            n_records=len(rows),
            next_seq=first + len(rows),
            dropped=dropped,
            notes=flagged,
            clock=clock,
        )

    def _columns(
        self, contract: str, rows: Sequence[Reading], look: ClockLook
    ) -> tuple[dict[str, Sequence[object]], Flags]:
        about = WIRE_CONTRACTS[contract]
        columns: dict[str, Sequence[object]] = dict(columns_of(rows, about.columns))
        flags = Flags()
        for row, text in enumerate(columns["flags"]):
            for name in str(text).split() if text is not None else ():
                flags.add(row, name)
        if contract == GPS_PING.identifier:
            self._mask(columns)
            if look.synchronised:
                self._check_clock(columns["observed_at"], flags)
        if "monotonic_ms" in columns:
            columns["monotonic_ms"] = _monotonic(columns, flags, look)
        self._checks.flag(about, columns, flags)
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


def _monotonic(
    columns: Mapping[str, Sequence[object]], flags: Flags, look: ClockLook
) -> list[object]:
    """Return the monotonic times that are needed later, and flag their readings.

    Readings with a monotonic time took the other one from the gateway's clock.
    """
    kept: list[object] = [None] * len(columns["monotonic_ms"])
    pairs = zip(columns["observed_at"], columns["monotonic_ms"], strict=True)
    for row, (observed_at, monotonic_ms) in enumerate(pairs):
        if not isinstance(observed_at, int) or not isinstance(monotonic_ms, int):
            continue
        if not look.dates(observed_at, monotonic_ms):
            kept[row] = monotonic_ms
            flags.add(row, FLAG_UNSYNCHRONISED)
        elif look.in_step(monotonic_ms):
            flags.add(row, FLAG_STEPPED)
    return kept


def _parts(rows: Sequence[Reading]) -> Iterator[Sequence[Reading]]:
    for start in range(0, len(rows), MAX_READINGS_A_BATCH):
        yield rows[start : start + MAX_READINGS_A_BATCH]
