"""The words in which a person is asked to approve a charge proposal: short, whole, Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

Record = Mapping[str, object]


def ask(body: Record, *, proposal_id: str, map_address: str | None) -> tuple[str, str]:
    """Return headline and text for the person who decides.

    Parameters
    ----------
    body
        The proposal's document, ``charge_proposal/1``.
    proposal_id
        Its id.
    map_address
        Where the pages with the evidence are; None leaves the link out.
    """
    zone = " ".join(str(cast("Record", body["zone"])["name"]).split())  # a headline is no Markdown
    held = body["verdict"] == "hold"
    subject = (
        f"Charge proposal for {zone}: on hold, not enough evidence"
        if held
        else f"Charge proposal for {zone}: approve or reject"
    )
    parts = [
        _verdict(held=held),
        _synthetic(body),
        _prices(body),
        _effects(body),
        _missing(body),
        _links(proposal_id, map_address),
    ]
    return subject, "\n\n".join(part for part in parts if part)


def _verdict(*, held: bool) -> str:
    if held:
        return (
            "**On hold: not enough evidence.** Nothing can be published from this proposal. "
            "*Reject* closes it; if you answer *Approve*, publication is refused and the refusal "
            "recorded."
        )
    return (
        "**Proposed.** *Approve* publishes the prices below after one more check of their bounds. "
        "*Reject* publishes nothing. Either answer is recorded with your name and your reason."
    )


def _synthetic(body: Record) -> str:
    city = cast("Record | None", body.get("city"))
    return "**This city is made up.**" if city and city.get("synthetic") else ""


def _prices(body: Record) -> str:
    rows = [
        row
        for row in cast("Sequence[Record]", body["prices"])
        if row["price_minor_per_km"] is not None and not row["exempt"]
    ]
    if not rows:
        return "No price is stated."
    periods = _labels(body, "periods", "period")
    classes = _labels(body, "classes", "charge_class")
    lines = [
        f"| {_plain(periods[str(row['period'])])} "
        f"| {_plain(classes[str(row['charge_class'])])} "
        f"| {_money(body, row['price_minor_per_km'])} "
        f"| {_money(body, row['typical_crossing_minor'])} |"
        for row in rows
    ]
    exempt = sorted(
        _plain(item["label"])
        for item in cast("Sequence[Record]", body["classes"])
        if item["exempt"]
    )
    words = "Indicative prices" if body.get("indicative") else "Prices"
    head = (
        f"{words} in {body['currency']} of {body['price_year']}:\n\n"
        "| when | who | per km | typical way through |\n|---|---|---:|---:|\n"
    )
    tail = f"\n\nExempt: {', '.join(exempt)}." if exempt else ""
    return head + "\n".join(lines) + tail


def _effects(body: Record) -> str:
    overall = cast("Record | None", cast("Record", body["predicted"])["overall"])
    if overall is None:
        return "No effect is predicted."
    names = {
        "traffic_change_pct": "Traffic in the zone",
        "nox_change_pct": "NOx from it",
        "speed_change_pct": "Speed",
    }
    lines = [
        f"- {words}: {_signed(change['median'])} % "
        f"(90 % interval {_signed(change['low'])} to {_signed(change['high'])} %)"
        for name, words in names.items()
        for change in (cast("Record", overall[name]),)
    ]
    return "Predicted for all charged periods together:\n\n" + "\n".join(lines)


def _missing(body: Record) -> str:
    missing = cast("Sequence[Record]", body["missing"])
    if not missing:
        return "Nothing is missing."
    lines = [f"- {_plain(item['what'])}: {_plain(item['consequence'])}" for item in missing]
    return "What is missing, and what cannot be said without it:\n\n" + "\n".join(lines)


def _links(proposal_id: str, map_address: str | None) -> str:
    if map_address is None:
        return f"Evidence: `clearway charge explain {proposal_id}`"
    page = f"{map_address.rstrip('/')}/proposals/{proposal_id}"
    return f"Evidence and map: [{page}]({page})"


def _labels(body: Record, part: str, key: str) -> dict[str, object]:
    return {str(item[key]): item["label"] for item in cast("Sequence[Record]", body[part])}


def _money(body: Record, minor: object) -> str:
    if minor is None:
        return "not stated"
    digits = cast("int", body["minor_digits"] or 0)
    return f"{cast('float', minor) / 10**digits:.{digits}f} {body['currency']}"


def _signed(value: object) -> str:
    return f"{cast('float', value):+g}".replace("-", "\N{MINUS SIGN}")


def _plain(value: object) -> str:
    """Return text from a file so that it cannot break out of its place in the Markdown."""
    text = " ".join(str(value).split())
    return "".join(f"\\{sign}" if sign in r"\`*_[]<>|#!" else sign for sign in text)
