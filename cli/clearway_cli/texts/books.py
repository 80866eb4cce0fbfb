"""How the gateways' books read in a terminal and before a council."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, cast
from zoneinfo import ZoneInfo

from clearway_cli.output import say, say_table

if TYPE_CHECKING:
    from clearway_ingest.books.closing import BooksAccount
    from clearway_ingest.books.month import Line, Statement
    from clearway_ingest.books.write_offs import WriteOff

THIRD_PARTIES = (
    "Third parties that send without a gateway keep no books; they are not part of this."
)
WORDS = (
    "Read: what the gateways took from their sources. Stored: in the tables that all figures are "
    "made from. Quarantined: broke a rule, kept apart. On the way: sent, not yet taken in. "
    "Spooled: waits on the gateway. Dropped: given up by the gateway, with the reason. Missing: "
    "nobody can say."
)
SHOWN = 20
"""Differences that are listed; a shelf of lost devices would scroll the sum away."""

_Row = Mapping[str, object]


def say_books(account: BooksAccount) -> None:
    """Print how the books stand."""
    pages = account.pages
    say_table(
        "books",
        {name.replace("_", " "): number for name, number in pages.items()},
    )
    say(equation(account.sums))
    _say_unclean(account.sums)
    if not account.log_was_asked:
        say(
            "The log could not be asked: what is not in the lake may still be on its way, and no "
            "difference can be told from it. Run it again when the log is back."
        )
    for row in account.differences[:SHOWN]:
        say(("difference", "bold red"), f": {difference(row)}")
    if len(account.differences) > SHOWN:
        say(f"… and {len(account.differences) - SHOWN:,} more: `--json` lists all")
    if account.differences:
        say("What to do: docs/runbooks/books-difference.md")
    say(THIRD_PARTIES)


def say_write_off(done: WriteOff) -> None:
    """Print what was written off."""
    say(
        f"Written off: {_many(done.n_records, 'reading')} in {_many(len(done.pages), 'hour')} "
        f"(decision {done.write_off_id})."
    )
    left = len(done.books.differences)
    say("No difference is left." if not left else f"Left: {_many(left, 'hour')} that differ.")


def say_statement(made: Statement) -> None:
    """Print the statement of a month."""
    zone = ZoneInfo(made.time_zone)
    say((f"Gateway readings in {made.month}", "bold"))
    say(
        f"Hours by the clock of {made.time_zone}; as the books stood at "
        f"{made.as_of.isoformat().replace('+00:00', 'Z')}."
    )
    say(f"All gateways: {equation(made.total())}")
    _say_unclean(made.total())
    say(WORDS)
    for line in made.lines:
        _say_line(line)
    _say_decisions(made.write_offs, zone)
    say("")
    waiting = sum(line.pages["open"] for line in made.lines)
    if waiting:
        say(f"Not closed yet: {_many(waiting, 'hour')}, of which readings wait or are on the way.")
    if made.differences:
        say("Readings that nobody can account for yet:")
        for row in made.differences:
            say(f"  {difference(row, zone)}")
    else:
        say("No difference is open.")
    say(THIRD_PARTIES)


def equation(sums: Mapping[str, int]) -> str:
    """Return where all readings are, in one line."""
    parts = [
        f"stored {sums['n_stored']:,}",
        f"quarantined {sums['n_quarantined']:,}",
        f"on the way {sums['n_on_the_way']:,}",
        f"spooled {sums['n_spooled']:,}",
        f"dropped {sums['n_dropped']:,}",
        f"missing {sums['n_missing']:,}",
    ]
    text = f"read {sums['n_read']:,} = {' + '.join(parts)}"
    if sums["n_written_off"]:
        text += f"; of those spooled or missing, {sums['n_written_off']:,} are written off"
    if sums["n_came_back"]:
        text += f"; {sums['n_came_back']:,} that were written off arrived after all"
    return text


def difference(row: _Row, zone: tzinfo = ZoneInfo("UTC")) -> str:
    """Return where a difference is, and how large."""
    hour = cast("datetime", row["hour_start"]).astimezone(zone)
    missing = cast("int", row["n_missing"])
    what = f"{missing:,} missing" if missing >= 0 else f"{-missing:,} more than were read"
    return (
        f"{row['gateway']}, {row['about_contract']}, hour {hour:%Y-%m-%d %H:%M} "
        f"({hour.tzname()}), boot {row['about_boot']}: {what} of {row['n_read']:,} read"
    )


def _say_line(line: Line) -> None:
    say("")
    say((line.gateway, "bold"), f"  {line.contract}, {_many(line.n_hours, 'hour')}")
    say(f"  {equation(line.sums)}")
    if line.dropped_by_reason:
        reasons = ", ".join(f"{name} {count:,}" for name, count in line.dropped_by_reason.items())
        say(f"  dropped by the gateway: {reasons}")
    _say_unclean(line.sums, indent="  ")


def _say_unclean(sums: Mapping[str, int], indent: str = "") -> None:
    if sums["n_unclean_stops"]:
        say(
            f"{indent}stops without notice: {sums['n_unclean_stops']:,}; they cost at most "
            f"{sums['n_unclean_at_most']:,} serial readings, which are not part of what was read"
        )


def _say_decisions(decisions: Sequence[_Row], zone: tzinfo) -> None:
    if not decisions:
        return
    say("")
    say("Written off:")
    for row in decisions:
        decided, first, last = (
            cast("datetime", row[name]).astimezone(zone)
            for name in ("decided_at", "first_hour_start", "last_hour_start")
        )
        hours = f"{first:%Y-%m-%d %H:%M}"
        if last != first:
            hours += f" to {last:%Y-%m-%d %H:%M}"
        say(
            f"  {row['gateway']}, {row['about_contract']}, {hours}: "
            f"{_many(cast('int', row['n_records']), 'reading')}, "
            f"by {row['decided_by']} on {decided:%Y-%m-%d}: {row['reason']}"
        )


def _many(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
