"""Rows of a source, some thousand at a time, as raw columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

UNPARSABLE_LINE = "unparsable_line"

_LETTER = re.compile(r"[^\W\d_]")
_DIGIT = re.compile(r"\d")
_SHAPE_LENGTH = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why one record could not be used, without anything that could name a vehicle.

    Parameters
    ----------
    reason
        Under which it is counted.
    where
        File, and line or record.
    column
        Name of the column, or empty where the whole line is meant.
    found
        The shape of what came, see `shape`.
    remedy
        What to do.
    """

    reason: str
    where: str
    column: str
    found: str
    remedy: str

    def __str__(self) -> str:
        column = f", column {self.column}" if self.column else ""
        return f"{self.where}{column}: {self.reason}, found {self.found}. {self.remedy}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RawChunk:
    """Rows as a file gives them.

    Parameters
    ----------
    seq
        Number of each row in the file, from 0, bad lines counted as well.
    lines
        Where each row stands, for messages.
    columns
        Raw values by the file's column name, each as long as `seq`.
    faults
        Lines between those rows that are not rows at all; each has a number of its own.
    place
        File and, in an archive, the number of the member, for messages.
    """

    seq: Sequence[int]
    lines: Sequence[int]
    columns: Mapping[str, Sequence[object]]
    faults: Sequence[Fault]
    place: str

    def __len__(self) -> int:
        return len(self.seq)


def shape(value: object) -> str:
    """Return what a value looks like without what it says: letters become a, digits 9.

    A shifted line puts a vehicle's name where a number should be, so that a message must not
    repeat what it found.
    """
    if value is None:
        return "nothing"
    if not isinstance(value, str):
        return f"a {type(value).__name__}"
    if not value.strip():
        return "an empty text"
    masked = _LETTER.sub("a", _DIGIT.sub("9", value[:_SHAPE_LENGTH]))
    return f"'{masked}'" + ("…" if len(value) > _SHAPE_LENGTH else "")
