"""Whether the gateway's clock can be believed, and how time is found again when it could not.

A Pi has no clock battery: after a power cut without network it wakes up at any date. Readings taken
then carry monotonic time; once the clock is synchronised, wall time minus monotonic time is the
base that turns each of them into an instant.
"""

from __future__ import annotations

from pathlib import Path

from clearway_core.clock import Clock, to_ms

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class ClockState:
    """What is known about the gateway's clock.

    Parameters
    ----------
    clock
        The clock.
    synchronised_file
        A file whose existence says that the clock is synchronised; None: it always is.
    """

    def __init__(self, clock: Clock, synchronised_file: Path | None = None) -> None:
        self._clock = clock
        self._file = synchronised_file

    @property
    def synchronised(self) -> bool:
        """Whether the wall clock follows a reference now."""
        return self._file is None or self._file.exists()

    @property
    def tag(self) -> str | None:
        """Name of this start of the machine while its clock is not synchronised, else None.

        Monotonic times compare within one tag only.
        """
        if self.synchronised:
            return None
        try:
            return BOOT_ID.read_text(encoding="ascii").strip()
        except OSError:
            return "unknown"

    def monotonic_ms(self) -> int:
        """Return the monotonic clock [ms]."""
        return round(self._clock.monotonic_s() * 1000)

    def base_ms(self, tag: str) -> int | None:  # noqa: ARG002 -- the start of the machine is known
        """Return what to add to the monotonic times of a tag, or None if not known yet [ms]."""
        return to_ms(self._clock.now()) - self.monotonic_ms() if self.synchronised else None
