"""What each task of a DAG does: one plain function each, without Airflow.

A task equals one command that a person can run by hand; both call the same jobs. Settings come
from the environment (see `clearway_cli.dag_settings`), results are JSON types that Airflow keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from clearway_cli.dag_settings import from_environment, instant, plain
from clearway_core.errors import (
    ClearwayError,
    ContractViolation,
    DeliveryFailed,
    InsufficientData,
    TableConflict,
    UsageError,
)

APPROVE = "Approve"
"""The answer that lets a proposal through, as Airflow's `ApprovalOperator` calls it."""

_SHOWN_DIFFERENCES = 5
"""A line of a task's log that a person still reads."""

Account = dict[str, object]


class Refused(ClearwayError):  # noqa: N818 -- named for what happened
    """An answer or a proposal that must not be acted on, today or at another attempt."""


def ingest() -> Account:
    """Take what waits in the log into the lake (``clearway ingest run --until-idle``)."""
    from clearway_ingest import jobs

    settings = from_environment()
    if not settings.ingest_in_dag:
        return {"ingest": "runs as a service"}
    return plain(jobs.ingest(settings.lake(), settings.log()))


def build_congestion(time_from: str | None = None, time_to: str | None = None) -> Account:
    """Compute congestion (``clearway build congestion``)."""
    from clearway_transforms import jobs

    settings = from_environment()
    account = jobs.build_congestion(
        settings.lake(),
        city=settings.city(),
        time_from=instant(time_from),
        time_to=instant(time_to),
    )
    return plain(account)


def build_air(time_from: str | None = None, time_to: str | None = None) -> Account:
    """Compute hourly air values (``clearway build air``)."""
    from clearway_transforms import jobs

    settings = from_environment()
    account = jobs.build_air(
        settings.lake(),
        city=settings.city(),
        time_from=instant(time_from),
        time_to=instant(time_to),
    )
    return plain(account)


def build_emissions() -> Account:
    """Compute emissions by cell and kind of vehicle (``clearway build emissions``)."""
    from clearway_models import jobs

    settings = from_environment()
    return plain(jobs.build_emissions(settings.lake(), city=settings.city()))


def forecast() -> Account:
    """Forecast the next hour (``clearway build forecast``).

    Raises
    ------
    InsufficientData
        If there is not enough history, or no row was better than a plain forecast yet.
    """
    from clearway_models.jobs.forecast import build_forecast

    settings = from_environment()
    lake = settings.lake()
    account = build_forecast(lake, data_dir=settings.data_dir, city=settings.city())
    if not lake.table("forecasts").exists():
        message = "nothing was forecast better than by a plain forecast yet"
        raise InsufficientData(message)
    return plain(account)


def report(month: str | None) -> Account:
    """Make the congestion report of a month (``clearway report congestion --month M``).

    Raises
    ------
    UsageError
        If no month is given, as in a run by hand without one.
    """
    from clearway_serving.report.jobs import report_congestion

    if month is None:
        message = "a run by hand belongs to no month: give it one, such as month = 2026-01"
        raise UsageError(message)
    settings = from_environment()
    account = report_congestion(
        settings.lake(),
        month,
        reports_dir=settings.reports_dir(),
        quality_dir=settings.quality_dir(),
        city=settings.city(),
    )
    return plain(account)


def expire() -> Account:
    """Delete what tells of single vehicles when its time is over (``clearway ingest expire``)."""
    from clearway_ingest import retention

    return plain(retention.expire(from_environment().lake()))


def close_books() -> Account:
    """Close the gateways' books (``clearway ingest books``).

    Raises
    ------
    ContractViolation
        If readings are missing that nobody can account for: the task fails until they have come, or
        a person has written them off.
    """
    from clearway_cli.texts.books import difference
    from clearway_ingest.books.closing import close_books as close

    settings = from_environment()
    log = settings.log()
    try:
        account = close(settings.lake(), log)
    finally:
        log.close()
    if not account.is_closed():
        shown = "; ".join(difference(row) for row in account.differences[:_SHOWN_DIFFERENCES])
        message = (
            f"the books of {len(account.differences)} gateway hours do not close: {shown}. "
            "See docs/runbooks/books-difference.md"
        )
        raise ContractViolation(message)
    return plain(account)


def watch() -> Account:
    """Look at the gateways once, and tell people what is new (``clearway gateway watch``).

    Raises
    ------
    InsufficientData
        If no settings say whom to tell.
    DeliveryFailed
        If a message could not be sent; the next look tries again.
    """
    from clearway_fleet import jobs

    settings = from_environment()
    if not settings.alerts_file.exists():
        message = f"no {settings.alerts_file} says whom to tell: see docs/guides/fleet.md"
        raise InsufficientData(message)
    account = jobs.watch(settings.lake(), settings.alerts_file)
    if account.failed:
        raise DeliveryFailed("; ".join(sorted(set(account.failed.values()))))
    return plain(account)


def has_rows(table: str) -> bool:
    """Return whether anything was ever written to a table."""
    return from_environment().lake().table(table).exists()


def require(table: str, *others: str) -> Account:
    """Check a table's newest version, and those of other tables that have rows.

    The same as ``clearway quality check TABLE``; what comes back is about the first.

    Raises
    ------
    ContractViolation
        If it did not pass; the version that passed last stays published.
    """
    from clearway_quality import jobs

    settings = from_environment()
    lake = settings.lake()
    found = jobs.require(lake, table, report_dir=settings.quality_dir())
    for other in others:
        if not lake.table(other).scan().head(1).collect().is_empty():
            jobs.require(lake, other, report_dir=settings.quality_dir())
    return plain(found)


def propose() -> Account:
    """Make a proposal (``clearway charge propose``) and the words that ask a person about it.

    The words are written from what the lake keeps, so that a person reads exactly what will be
    published.
    """
    from clearway_cli.texts.approval import ask
    from clearway_models import jobs

    settings = from_environment()
    lake = settings.lake()
    made = jobs.propose_charge(lake, zone=settings.zone(), city=settings.city())
    proposal_id = str(made["proposal_id"])
    kept = jobs.find_proposal(lake, proposal_id)
    subject, text = ask(kept, proposal_id=proposal_id, map_address=settings.map_address)
    return {
        "proposal_id": proposal_id,
        "verdict": kept["verdict"],
        "subject": subject,
        "body": text,
    }


def publish(proposal: Mapping[str, object], answer: Mapping[str, object]) -> Account:
    """Record an approval and publish (``clearway charge approve`` and ``publish``).

    Parameters
    ----------
    proposal
        What `propose` returned.
    answer
        What the person answered: ``chosen_options``, ``params_input``, ``responded_by_user``.

    Raises
    ------
    Refused
        If the answer is not an approval by a person, or the proposal may not be published; the
        audit record then says ``refused_at_publication``. Trying again would not help.
    """
    from clearway_models import jobs

    person = _person(answer)
    if person is None or answer["chosen_options"] != [APPROVE]:
        message = f"expected an approval by a named person, got {answer!r}: nothing is published"
        raise Refused(message)
    lake = from_environment().lake()
    proposal_id = str(proposal["proposal_id"])
    try:
        jobs.decide(lake, proposal_id, decision="approved", decided_by=person, note=_note(answer))
        return plain(jobs.publish(lake, proposal_id, published_by=person))
    except TableConflict:
        raise
    except ClearwayError as error:
        raise Refused(str(error)) from error


def reject(proposal: Mapping[str, object], answer: Mapping[str, object]) -> Account:
    """Record a rejection (``clearway charge approve --reject``); nothing is published."""
    from clearway_models import jobs

    person = _person(answer)
    if person is None or answer["chosen_options"] == [APPROVE]:
        message = f"expected a rejection by a named person, got {answer!r}: nothing was recorded"
        raise Refused(message)
    proposal_id = str(proposal["proposal_id"])
    return plain(
        jobs.decide(
            from_environment().lake(),
            proposal_id,
            decision="rejected",
            decided_by=person,
            note=_note(answer),
        )
    )


def _person(answer: Mapping[str, object]) -> str | None:
    """Return who answered; None where a deadline did."""
    user = cast("Mapping[str, str] | None", answer.get("responded_by_user"))
    return None if user is None else user["name"]


def _note(answer: Mapping[str, object]) -> str | None:
    note = cast("Mapping[str, object]", answer.get("params_input") or {}).get("note")
    return str(note) if note else None
