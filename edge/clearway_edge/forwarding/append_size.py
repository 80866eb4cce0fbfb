"""How many records go to the log at once: as many as it takes in good time."""

from __future__ import annotations

MESSAGES_AT_ONCE = 16
"""Full messages of one append: enough that fsync or a broker's round trip is paid once for many."""

_FEWEST_RECORDS = 100
"""3,500 bytes: over a link that does not carry so much in ten seconds, nothing gets through."""

_SLOW_S = 5.0
_QUICK_S = 1.0
"""A failure that took longer means that the link was too slow for so much, not that nobody was
there; a success that was quicker means that more would pass. [s]"""


class AppendSize:
    """Halved when an append was too slow, doubled when one is quick.

    Without this a link of 100 kbit/s would never get 800 kB through within the broker's ten
    seconds, and try the same again for ever.

    Parameters
    ----------
    max_records
        Of one message.
    """

    def __init__(self, max_records: int) -> None:
        self._max_records = max_records * MESSAGES_AT_ONCE
        self.n_records = self._max_records

    def stored(self, after_s: float) -> None:
        """Note that an append was confirmed [s]."""
        if after_s < _QUICK_S:
            self.n_records = min(self._max_records, self.n_records * 2)

    def failed(self, after_s: float) -> None:
        """Note that an append was not confirmed [s]."""
        if after_s >= _SLOW_S:
            fewest = min(_FEWEST_RECORDS, self._max_records)
            self.n_records = max(fewest, self.n_records // 2)
