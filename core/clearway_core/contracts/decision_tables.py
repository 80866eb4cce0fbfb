"""What was proposed, checked and decided."""

from __future__ import annotations

from clearway_core.contracts.columns import choice, count, flag, instant, text, whole
from clearway_core.contracts.field import Contract

CHARGE_PROPOSALS = Contract(
    name="charge_proposals",
    version=1,
    description="Charge proposals as they were made; a proposal is never changed, only superseded.",
    fields=(
        text("proposal_id", "SHA-256 of body_json, first 16 hex digits."),
        text("zone_name", "Zone."),
        text("zone_geojson", "Its geometry."),
        choice("verdict", ("propose", "hold"), "Propose, or hold: not enough evidence."),
        text("currency", "ISO 4217 code.", nullable=True),
        whole("price_year", "Year of the prices.", nullable=True),
        text("body_json", "The whole proposal: prices, predictions, intervals, evidence, missing."),
        text("manifest_json", "Table versions, parameter files, code version that made it."),
        instant("created_at", "When it was made."),
    ),
    key=("proposal_id",),
)

CHARGE_DECISIONS = Contract(
    name="charge_decisions",
    version=1,
    description="Audit record: what a person decided on a proposal, and what was published.",
    fields=(
        text("proposal_id", "Proposal."),
        choice(
            "decision",
            ("approved", "rejected", "published", "refused_at_publication"),
            "What happened.",
        ),
        text("decided_by", "Person, as the approval system knows them."),
        instant("decided_at", "When."),
        text("note", "Reason, in the person's words or the re-check's.", nullable=True),
        text("proposal_sha256", "SHA-256 of the body that was decided on."),
    ),
)

QUALITY_CHECKS = Contract(
    name="quality_checks",
    version=1,
    description="Result of each quality gate; a table version without a passed gate is not "
    "published.",
    fields=(
        text("table_name", "Table."),
        count("table_version", "Delta version that was checked."),
        flag("passed", "Whether it may be published."),
        count("n_rows", "Rows that were checked."),
        count("n_expectations", "Expectations."),
        count("n_failed", "Failed expectations."),
        text("failures_json", "What failed, with examples of the values."),
        instant("checked_at", "When."),
    ),
)
