"""Which partitions of the log are one process's own."""

from __future__ import annotations

import re
from dataclasses import dataclass

from clearway_core.errors import UsageError
from clearway_core.stream.log import TopicPartition

_SHARE = re.compile(r"([1-9]\d{0,3})/([1-9]\d{0,3})")


@dataclass(frozen=True, slots=True)
class Share:
    """Part `number` of `count` parts of the log's partitions.

    Parameters
    ----------
    number, count
        ``1`` and ``3`` for the first of three; each part is for one process only.
    """

    number: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            message = (
                f"a share is k/n with k from 1 to n, got {self.number}/{self.count}: three "
                "processes take 1/3, 2/3 and 3/3"
            )
            raise UsageError(message)

    def __contains__(self, where: TopicPartition) -> bool:
        return where.partition % self.count == self.number - 1


WHOLE = Share()
"""Every partition: one process reads the log alone."""


def parse_share(text: str) -> Share:
    """Return the share that a text such as ``1/3`` means.

    Raises
    ------
    UsageError
        If it means none.
    """
    match = _SHARE.fullmatch(text.strip())
    if match is None:
        message = f"a share looks like 1/3 (the first of three processes), got {text!r}"
        raise UsageError(message)
    return Share(int(match[1]), int(match[2]))
