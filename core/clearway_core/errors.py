"""Every error that Clearway raises on purpose.

::

    ClearwayError            exit code 1: the work failed
    ├── UsageError           exit code 2: the command was used wrongly
    │   └── SettingsError    a settings file, profile or city pack has faults (all of them listed)
    ├── ContractViolation    a frame or record breaks its contract where that must not happen
    ├── SourceUnavailable    a file, serial port or socket cannot be read
    │   └── MessagesLost     the log no longer holds what was never read: waiting will not help
    ├── OutboxFull           the gateway's disk budget is used up
    ├── DeliveryFailed       the log did not take a batch (yet)
    │   ├── MessageTooLarge  the log will never take a batch of this size: split it
    │   └── LogRefused       the log turns this sender away until somebody changes something
    ├── OffsetRegression     a table was asked to go back behind what it has committed
    ├── TableConflict        someone else wrote the same table, or it is of a newer version
    ├── UnknownUnit          a unit that we cannot convert
    ├── InsufficientData     there is not enough evidence for an answer
    └── MissingDependency    an optional part is not installed

A message has three parts: what was expected, what came (value and where), what to do.
"""

from __future__ import annotations

from collections.abc import Sequence


class ClearwayError(Exception):
    """The work failed; the message says what to do."""

    exit_code = 1


class UsageError(ClearwayError):
    """The command was used wrongly."""

    exit_code = 2


class SettingsError(UsageError):
    """A settings file has faults; all of them are listed, each with file and key."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))


class ContractViolation(ClearwayError):  # noqa: N818 -- named for what happened
    """Data breaks its contract in a place where it was already checked."""


class SourceUnavailable(ClearwayError):  # noqa: N818
    """A file, serial port or socket cannot be read."""


class MessagesLost(SourceUnavailable):
    """The log no longer holds what was to be read next; waiting will not bring it back."""


class OutboxFull(ClearwayError):  # noqa: N818
    """The outbox has used its disk budget."""


class DeliveryFailed(ClearwayError):  # noqa: N818
    """The log did not take a batch; it stays in the outbox.

    Parameters
    ----------
    message
        What was expected, what came, what to do.
    retry_after_s
        When another attempt makes sense. [s]
    """

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class MessageTooLarge(DeliveryFailed):
    """The log will never take a message of this size: split the batch."""


class LogRefused(DeliveryFailed):
    """The log turns this sender away: certificate, password or permission must be changed.

    Parameters
    ----------
    message
        What was expected, what came, what to do.
    cause
        The short of it: why, and what to change.
    retry_after_s
        When another attempt makes sense. [s]
    """

    def __init__(self, message: str, *, cause: str, retry_after_s: float = 1.0) -> None:
        self.cause = cause
        super().__init__(message, retry_after_s=retry_after_s)


class OffsetRegression(ClearwayError):  # noqa: N818
    """A table was asked to go back behind what it has already committed."""


class TableConflict(ClearwayError):  # noqa: N818
    """Someone else wrote the same table, or it was written by a newer version."""


class UnknownUnit(ClearwayError):  # noqa: N818
    """A unit that Clearway cannot convert."""


class InsufficientData(ClearwayError):  # noqa: N818
    """There is not enough evidence for an answer."""


class MissingDependency(ClearwayError):  # noqa: N818
    """An optional part of Clearway is not installed."""
