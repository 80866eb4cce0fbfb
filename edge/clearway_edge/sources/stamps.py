"""The time of readings whose source has no clock of its own."""

from __future__ import annotations

from clearway_core.clock import Clock, wall_and_monotonic_ms


def stamp(clock: Clock) -> dict[str, object]:
    """Return the wire fields that say when a reading was taken: now, by the gateway's clock.

    Both clocks are read together. The batcher keeps ``monotonic_ms`` only where the wall clock
    could not be believed; a source with a time of its own gives ``observed_at`` alone.

    Parameters
    ----------
    clock
        The gateway's clock.
    """
    wall_ms, monotonic_ms = wall_and_monotonic_ms(clock)
    return {"observed_at": wall_ms, "monotonic_ms": monotonic_ms}
