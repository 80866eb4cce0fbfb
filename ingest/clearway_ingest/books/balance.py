"""What a page of a gateway's books comes to, against what the lake holds: the arithmetic alone.

A gateway tells, for each page, how many records it read and what became of them, by its own word;
the lake counts the records of that page which it holds. A page closes when the two agree:
read = stored + quarantined + on the way + spooled + dropped + missing, with nothing on the way,
nothing spooled and nothing missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from clearway_ingest.ranges import Counter


class State(StrEnum):
    """How a page stands."""

    CLOSED = "closed"
    OPEN = "open"
    DIFFERENCE = "difference"
    WRITTEN_OFF = "written_off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The gateway's latest word about a page.

    Parameters
    ----------
    counter
        Whose numbers the page's records have.
    page
        Its number among those of the counter.
    hour_start
        Hour by the gateway's clock.
    seq_first, seq_next
        The page's numbers, the second one not included.
    n_read, n_spooled, n_dropped
        Records read, waiting, given up.
    dropped_by_reason
        JSON object.
    n_unclean_stops, n_unclean_at_most
        Stops without notice, and the readings that they can have cost beside those read.
    closed
        Whether the hour is over and nothing waits.
    told_at
        When the log took this word.
    """

    counter: Counter
    page: int
    hour_start: datetime
    seq_first: int
    seq_next: int
    n_read: int
    n_spooled: int
    n_dropped: int
    dropped_by_reason: str
    n_unclean_stops: int
    n_unclean_at_most: int
    closed: bool
    told_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Which numbers a page answers for, and whether it can still grow.

    Parameters
    ----------
    first, stop
        Numbers from `first` to before `stop`: the page's own, and beside them those that no page
        tells because a word was lost.
    n_untold
        How many of the latter.
    is_followed
        Whether a later page has been told, so that nothing is read for this one any more.
    """

    first: int
    stop: int
    n_untold: int
    is_followed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What the lake holds of a page.

    Parameters
    ----------
    n_received
        Numbers that have arrived, by ``received_ranges``.
    n_told_received
        Of those, numbers that the page itself tells of.
    n_stored, n_quarantined
        Rows, counted in the tables.
    """

    n_received: int
    n_told_received: int
    n_stored: int
    n_quarantined: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What became of a page's records; the names are those of the table ``books``."""

    n_read: int
    n_stored: int
    n_quarantined: int
    n_on_the_way: int
    n_spooled: int
    n_dropped: int
    n_missing: int
    n_untold: int
    n_written_off: int
    n_came_back: int
    state: State


def reaches(pages: Iterable[tuple[int, int, int]], *, start: int = 0) -> Mapping[int, Reach]:
    """Return what each page of one counter answers for.

    Numbers between two pages were given to readings whose page's last word never arrived: the page
    before answers for them, and where there is none, the page after.

    Parameters
    ----------
    pages
        Page, seq_first and seq_next of all pages that were ever told.
    start
        Where the numbers of these pages start; above 0 where earlier pages are left out.
    """
    rows = sorted(pages)
    found: dict[int, Reach] = {}
    told_to = start
    before: int | None = None
    for page, first, stop in rows:
        gap = max(0, first - told_to)
        if gap and before is not None:
            held = found[before]
            found[before] = replace(held, stop=held.stop + gap, n_untold=held.n_untold + gap)
            gap = 0
        found[page] = Reach(
            first=first - gap, stop=stop, n_untold=gap, is_followed=page != rows[-1][0]
        )
        if stop >= told_to:
            # A page of a file that is replayed once more tells numbers that others have told.
            told_to, before = stop, page
    return found


def balance(
    told: Told, reach: Reach, held: Held, *, n_written_off: int | None, is_read_past: bool
) -> Balance:
    """Return what became of a page's records, and how the page stands.

    Parameters
    ----------
    told
        The gateway's latest word.
    reach
        What the page answers for.
    held
        What the lake holds of that.
    n_written_off
        What a person wrote off; None if nobody did.
    is_read_past
        Whether ingest has read every message that was in the log when the word was given. Until
        then what is not here is on its way.
    """
    n_read = told.n_read + reach.n_untold
    # Records that came after the word was given first come out of what waited then. What the
    # gateway gave up can have arrived too: the broker took it, its answer was lost.
    n_delivered = told.n_read - told.n_spooled - told.n_dropped
    since = max(0, held.n_told_received - n_delivered)
    n_spooled = told.n_spooled - min(since, told.n_spooled)
    n_dropped = told.n_dropped - min(max(0, since - told.n_spooled), told.n_dropped)
    # With both, it cannot be told which of them came: only the gateway's next word closes the page.
    is_certain = told.n_spooled == 0 or told.n_dropped == 0
    not_here = n_read - n_dropped - n_spooled - held.n_received
    n_on_the_way = not_here if not_here > 0 and not is_read_past else 0
    not_here -= n_on_the_way
    rows_lacking = held.n_received - held.n_stored - held.n_quarantined
    n_missing = not_here + rows_lacking
    gap = n_missing + n_spooled
    written_off = _part(n_written_off or 0, gap)
    return Balance(
        n_read=n_read,
        n_stored=held.n_stored,
        n_quarantined=held.n_quarantined,
        n_on_the_way=n_on_the_way,
        n_spooled=n_spooled,
        n_dropped=n_dropped,
        n_missing=n_missing,
        n_untold=reach.n_untold,
        n_written_off=written_off,
        n_came_back=max(0, (n_written_off or 0) - written_off),
        state=_state(
            differs=not_here != 0 or rows_lacking != 0,
            gap=gap,
            n_on_the_way=n_on_the_way,
            is_over=told.closed or (reach.is_followed and is_certain),
            is_settled=n_written_off is not None and written_off == gap,
        ),
    )


def _part(n_written_off: int, gap: int) -> int:
    """Return how much of what was written off is still so; nothing where the signs differ."""
    least, most = sorted((n_written_off, gap))
    return max(0, least) + min(0, most)


def _state(*, differs: bool, gap: int, n_on_the_way: int, is_over: bool, is_settled: bool) -> State:
    if differs and not (is_settled and gap != 0):
        return State.DIFFERENCE
    if n_on_the_way:
        return State.OPEN
    if gap == 0 and is_over:
        return State.CLOSED
    return State.WRITTEN_OFF if is_settled else State.OPEN
