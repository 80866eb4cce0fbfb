"""What every live source is: something that is asked for readings, and closed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One record of a live source, before its vehicle is masked.

    Parameters
    ----------
    contract
        Identifier of its record contract.
    values
        Wire values by field; a vehicle still has its own name.
    cut_trip_ends
        Whether it may be the end of a private trip, which must not leave the gateway.
    """

    contract: str
    values: Mapping[str, object]
    cut_trip_ends: bool = False


@dataclass(slots=True)
class Intake:
    """What a source gave in one go.

    Parameters
    ----------
    readings
        Good readings.
    dropped
        Records that could not be used, by (contract, reason).
    settle
        For senders that keep their readings until they are told: called once, with whether the
        readings are on the disk now. None for devices that cannot send again.
    """

    readings: list[Reading] = field(default_factory=list)
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)
    settle: Callable[[bool], None] | None = None


class Source(Protocol):
    """A sensor, receiver or feed."""

    def read(self, timeout_s: float) -> Intake:
        """Return what came within `timeout_s`; an empty intake if nothing did.

        Raises
        ------
        SourceUnavailable
            If the device is gone; the caller tries again later.
        """
        ...

    def close(self) -> None:
        """Give the device back."""
        ...


class Line(Protocol):
    """Bytes from a device."""

    def receive(self, timeout_s: float) -> bytes:
        """Return the bytes that came within `timeout_s`, or none.

        Raises
        ------
        SourceUnavailable
            If the device is gone.
        """
        ...

    def close(self) -> None:
        """Give the device back."""
        ...


def columns_of(readings: Sequence[Reading], names: Sequence[str]) -> dict[str, list[object]]:
    """Return readings as columns; a value that a reading does not have is None."""
    return {name: [reading.values.get(name) for reading in readings] for name in names}
