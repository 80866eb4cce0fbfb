"""What people decide on a proposal, its publication, and the record of both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from clearway_core.clock import Clock, SystemClock
from clearway_core.errors import ClearwayError, UsageError
from clearway_core.lake import Lake
from clearway_core.whole_file import replace_whole
from clearway_models.charge.parameters import ChargeParameters, read_charge_parameters
from clearway_models.charge.prices import broken_bounds, price_bounds
from clearway_models.charge.proposal import canonical, prices_of, proposal_id_of, sha256_of
from clearway_models.jobs.in_force import prices_in_force

PUBLISHED_FOLDER = "published"

_PUBLIC_MODE = 0o644

_MACHINES = frozenset({"airflow", "clearway", "system", "root", "cron", "bot", "none", "null"})
"""Names under which no person decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One line of the audit record."""

    proposal_id: str
    decision: str
    decided_by: str
    decided_at: datetime
    note: str | None
    proposal_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """A proposal that was published.

    Parameters
    ----------
    file
        The exported document; None where the lake is in an object store and no folder was given.
    """

    proposal_id: str
    published_by: str
    published_at: datetime
    file: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    proposal_id: str
    zone_name: str
    verdict: str
    text: str
    body: Mapping[str, object]


def decide(
    lake: Lake,
    proposal_id: str,
    *,
    decision: str,
    decided_by: str,
    note: str | None = None,
    clock: Clock | None = None,
) -> Decision:
    """Record what a person decided on a proposal.

    Parameters
    ----------
    lake
        Lake with the proposal.
    proposal_id
        Its id, or enough of its first digits.
    decision
        ``approved`` or ``rejected``. Approving a ``hold`` acknowledges it; it is never published.
    decided_by
        The person, as the approval system knows them.
    note
        Their reason.

    Returns
    -------
    Decision
        The record. The same decision by the same person, repeated, is not recorded twice.

    Raises
    ------
    UsageError
        If the proposal is unknown or already published, the decision none of the two, or the name
        not that of a person.
    """
    if decision not in {"approved", "rejected"}:
        message = f"a decision is approved or rejected, got {decision!r}"
        raise UsageError(message)
    person = _person(decided_by)
    stored = _stored(lake, proposal_id)
    last = _last(lake, stored.proposal_id)
    if last is not None and last.decision == "published":
        message = (
            f"proposal {stored.proposal_id} was published on {last.decided_at:%Y-%m-%d} by "
            f"{last.decided_by}: make a new proposal to change the prices"
        )
        raise UsageError(message)
    if last is not None and (last.decision, last.decided_by) == (decision, person):
        return last
    return _record(lake, stored, decision=decision, by=person, note=note, clock=clock)


def publish(
    lake: Lake,
    proposal_id: str,
    *,
    published_by: str,
    folder: Path | None = None,
    clock: Clock | None = None,
) -> Publication:
    """Check a proposal once more and publish it; the audit record says so, or why not.

    Parameters
    ----------
    lake
        Lake with the proposal and its approval.
    proposal_id
        Its id, or enough of its first digits.
    published_by
        The person.
    folder
        Where ``<proposal_id>.json`` goes; None takes ``published`` beside a local lake.

    Raises
    ------
    UsageError
        If the proposal is unknown or no person is named.
    ClearwayError
        If it may not be published: it is a hold, was not approved by a person, its document was
        changed after the approval, prices break a bound of the parameter file, or other prices
        came into force meanwhile. The refusal is recorded.
    """
    person = _person(published_by)
    stored = _stored(lake, proposal_id)
    last = _last(lake, stored.proposal_id)
    target = folder or _default_folder(lake)
    if last is not None and last.decision == "published":
        file = _export(stored, last, target)
        return Publication(
            proposal_id=stored.proposal_id,
            published_by=last.decided_by,
            published_at=last.decided_at,
            file=file,
        )
    reasons = refusals(lake, stored.proposal_id)
    if reasons:
        text = "; ".join(reasons)
        _record(lake, stored, decision="refused_at_publication", by=person, note=text, clock=clock)
        message = f"proposal {stored.proposal_id} was not published: {text}"
        raise ClearwayError(message)
    record = _record(lake, stored, decision="published", by=person, note=None, clock=clock)
    return Publication(
        proposal_id=stored.proposal_id,
        published_by=person,
        published_at=record.decided_at,
        file=_export(stored, record, target),
    )


def refusals(lake: Lake, proposal_id: str) -> list[str]:
    """Return every reason why a proposal may not be published now; empty if it may."""
    stored = _stored(lake, proposal_id)
    reasons: list[str] = []
    if proposal_id_of(stored.text) != stored.proposal_id or canonical(stored.body) != stored.text:
        reasons.append("the document does not have the SHA-256 that its id states")
    if stored.verdict != "propose" or stored.body.get("verdict") != "propose":
        reasons.append("its verdict is hold: it may be acknowledged, not published")
    approvals = [d for d in decisions(lake, stored.proposal_id) if _is_answer(d)]
    if not approvals or approvals[-1].decision != "approved":
        reasons.append("no person's approval is the last answer on record")
    elif approvals[-1].proposal_sha256 != sha256_of(stored.text):
        reasons.append("the document was changed after the approval")
    reasons += _broken_prices(lake, stored, read_charge_parameters())
    return reasons


def decisions(lake: Lake, proposal_id: str) -> list[Decision]:
    """Return what happened to a proposal, oldest first."""
    rows = (
        lake.table("charge_decisions")
        .scan()
        .filter(pl.col("proposal_id").eq(proposal_id))
        .sort("decided_at", maintain_order=True)
        .collect()
    )
    return [Decision(**row) for row in rows.iter_rows(named=True)]


def find_proposal(lake: Lake, proposal_id: str) -> dict[str, object]:
    """Return a proposal as `propose_charge` did, by its id or enough of its first digits.

    Raises
    ------
    UsageError
        If none or several begin so.
    """
    stored = _stored(lake, proposal_id)
    return {"proposal_id": stored.proposal_id, **stored.body}


def list_proposals(lake: Lake) -> list[dict[str, object]]:
    """Return id, zone, verdict and state of every proposal, the newest first."""
    rows = (
        lake.table("charge_proposals")
        .scan()
        .select("proposal_id", "zone_name", "verdict", "created_at")
        .sort("created_at", descending=True)
        .collect()
    )
    listed = []
    for row in rows.iter_rows(named=True):
        last = _last(lake, row["proposal_id"])
        listed.append({**row, "state": "waiting" if last is None else last.decision})
    return listed


def _is_answer(decision: Decision) -> bool:
    return decision.decision in {"approved", "rejected"}


def _person(name: str) -> str:
    person = name.strip()
    if not person or person.lower() in _MACHINES:
        message = f"a decision needs the name of a person, got {name!r}"
        raise UsageError(message)
    return person


def _stored(lake: Lake, proposal_id: str) -> _Stored:
    found = (
        lake.table("charge_proposals")
        .scan()
        .filter(pl.col("proposal_id").str.starts_with(proposal_id.strip().lower()))
        .collect()
    )
    if found.height != 1 or not proposal_id.strip():
        message = (
            f"expected the id of one proposal, got {proposal_id!r}, which {found.height} begin "
            "with. `clearway charge show` lists them."
        )
        raise UsageError(message)
    row = found.row(0, named=True)
    return _Stored(
        proposal_id=row["proposal_id"],
        zone_name=row["zone_name"],
        verdict=row["verdict"],
        text=row["body_json"],
        body=json.loads(row["body_json"]),
    )


def _last(lake: Lake, proposal_id: str) -> Decision | None:
    past = decisions(lake, proposal_id)
    return past[-1] if past else None


def _record(
    lake: Lake,
    stored: _Stored,
    *,
    decision: str,
    by: str,
    note: str | None,
    clock: Clock | None,
) -> Decision:
    record = Decision(
        proposal_id=stored.proposal_id,
        decision=decision,
        decided_by=by,
        decided_at=(clock or SystemClock()).now(),
        note=note,
        proposal_sha256=sha256_of(stored.text),
    )
    frame = pl.DataFrame(
        {name: [getattr(record, name)] for name in Decision.__slots__},
        schema_overrides={"note": pl.String, "decided_at": pl.Datetime("us", "UTC")},
    )
    lake.table("charge_decisions").append(frame)
    return record


def _broken_prices(lake: Lake, stored: _Stored, parameters: ChargeParameters) -> list[str]:
    rows = stored.body.get("parameters")
    records = [r for r in rows if r.get("name") == "valuation"] if isinstance(rows, list) else []
    if not records:
        return ["no prices are stated"]
    valuation = records[0]
    reasons: list[str] = []
    in_force = prices_in_force(lake, stored.zone_name)
    assumed = stored.body.get("prices_in_force")
    assumed_id = assumed.get("proposal_id") if isinstance(assumed, dict) else None
    if (in_force.proposal_id if in_force else None) != assumed_id:
        reasons.append("other prices came into force since it was made: propose again")
    if valuation["status"] != "city":
        reasons += _widened_bounds(valuation, parameters)
    bounds = price_bounds(parameters, valuation)
    for period, prices in prices_of(stored.body).items():
        previous = None if in_force is None else in_force.prices.get(period, {})
        reasons += [
            f"{period}: {text}" for text in broken_bounds(prices, bounds, previous=previous)
        ]
    return reasons


def _widened_bounds(valuation: Mapping[str, object], parameters: ChargeParameters) -> list[str]:
    """Return where a proposal's bounds are wider than today's parameter file allows."""
    per_eur, digits = valuation["currency_per_eur_2016"], valuation["minor_digits"]
    if not isinstance(per_eur, float) or not isinstance(digits, int):
        return ["the valuation has no transfer from euro"]
    minor = per_eur * 10**digits
    return [
        f"{key}: {valuation[key]} is above what the parameter file allows"
        for key in ("cap_minor_per_km", "cap_minor_per_day", "max_step_minor_per_km")
        if _as_number(valuation[key])
        > max(
            parameters.tariff[key.replace("_minor", "")].value * minor,
            _as_number(valuation["rounding_minor"]),
        )
        + 1e-6
    ]


def _as_number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("inf")


def _default_folder(lake: Lake) -> Path | None:
    uri = lake.table("charge_proposals").uri
    return None if "://" in uri else Path(uri).parent.parent / PUBLISHED_FOLDER


def _export(stored: _Stored, record: Decision, folder: Path | None) -> str | None:
    if folder is None:
        return None
    path = folder / f"{stored.proposal_id}.json"
    document = {
        "proposal_id": stored.proposal_id,
        "published_at": record.decided_at.isoformat(),
        "proposal_sha256": record.proposal_sha256,
        "proposal": stored.body,
    }
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    replace_whole(path, text.encode(), mode=_PUBLIC_MODE)
    return str(path)
