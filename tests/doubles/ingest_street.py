"""Gateways that read, send, fail and tell their books, and who know themselves what became of it.

The oracle of the books: it keeps sets of numbers, not counts, and knows what truly happened to each
reading, which neither a gateway nor the lake can.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from doubles.ingest_messages import GPS_TOPIC, gps
from doubles.ingest_pages import BOOKS_TOPIC, told, word

from clearway_core.stream.log import Log


@dataclass
class StreetPage:
    """A page by truth."""

    boot: int
    number: int
    first: int
    numbers: set[int] = field(default_factory=set)
    dropped_at_source: int = 0
    waiting: set[int] = field(default_factory=set)
    arrived: set[int] = field(default_factory=set)
    broken: set[int] = field(default_factory=set)
    given_up: set[int] = field(default_factory=set)
    lost: set[int] = field(default_factory=set)
    told_closed: bool = False


class StreetGateway:
    """One device at one street.

    Parameters
    ----------
    name
        Its name; also the key of its messages.
    log
        Where it sends.
    """

    def __init__(self, name: str, log: Log) -> None:
        self.name = name
        self._log = log
        self._boots = 0
        self._n_told = 0
        self.pages: list[StreetPage] = []
        self._batches: list[tuple[StreetPage, list[int]]] = []
        self.restart()

    def send_to(self, log: Log) -> None:
        """Send to another log from now on."""
        self._log = log

    def restart(self) -> None:
        """Start anew, as after a power cut: a new boot; what waits is sent later all the same."""
        self._boots += 1
        self._next = 0
        self.pages.append(StreetPage(self._boots, 0, 0))

    def turn(self) -> None:
        """Begin the next hour."""
        self.pages.append(StreetPage(self._boots, self._page.number + 1, self._next))

    @property
    def _page(self) -> StreetPage:
        return self.pages[-1]

    def read(self, n_records: int, n_dropped: int) -> None:
        """Read some records, and give some up before they get a number."""
        numbers = list(range(self._next, self._next + n_records))
        self._next += n_records
        self._page.numbers.update(numbers)
        self._page.waiting.update(numbers)
        self._page.dropped_at_source += n_dropped
        if numbers:
            self._batches.append((self._page, numbers))

    def send(self, which: int, outcome: str) -> None:
        """Send one of the batches that wait, and let something happen to it."""
        if not self._batches:
            return
        page, numbers = self._batches.pop(which % len(self._batches))
        page.waiting.difference_update(numbers)
        if outcome == "lost":
            page.lost.update(numbers)
        elif outcome == "given_up":
            page.given_up.update(numbers)
        else:
            broken = outcome == "broken"
            changes = {"lat_deg": 99.0} if broken else {}
            batch = gps(self.name, page.boot, numbers, **changes)
            self._log.append(GPS_TOPIC, [batch] * (2 if outcome == "twice" else 1))
            page.arrived.update(numbers)
            if broken:
                page.broken.update(numbers)
            if outcome == "answer_lost":
                page.given_up.update(numbers)

    def send_rest(self) -> None:
        """Send all that waits."""
        while self._batches:
            self.send(0, "ok")

    def tell(self, *, arrives: bool = True) -> None:
        """Say what has become of every page whose last word has not been said."""
        pages = [page for page in self.pages if not page.told_closed]
        words = [self._word(page) for page in pages]
        if words and arrives:
            self._log.append(BOOKS_TOPIC, [told(self.name, self._n_told, words)])
            for page, said in zip(pages, words, strict=True):
                page.told_closed = bool(said["closed"])
        self._n_told += len(words)

    def _word(self, page: StreetPage) -> dict[str, object]:
        return word(
            page.first,
            max(page.numbers, default=page.first - 1) + 1,
            page=page.number,
            boot=page.boot,
            read=len(page.numbers) + page.dropped_at_source,
            spooled=len(page.waiting),
            dropped={"trip_end": page.dropped_at_source, "outbox_full": len(page.given_up)},
            closed=page is not self._page and not page.waiting,
        )
