"""What was proposed, checked and decided."""

from __future__ import annotations

from clearway_core.contracts.columns import count, instant, text
from clearway_core.contracts.field import Contract, DataType, Field

CHARGE_PROPOSALS = Contract(
    name="charge_proposals",
    version=1,
    description="Charge proposals as they were made; a proposal is never changed, only superseded.",
    fields=(
        text("proposal_id", "SHA-256 of body_json, first 16 hex digits."),
        text("zone_name", "Zone."),
        text("zone_geojson", "Its geometry."),
        Field(
            name="verdict",
            dtype=DataType.STRING,
            allowed=("propose", "hold"),
            description="Propose, or hold: not enough evidence.",
        ),
        text("currency", "ISO 4217 code.", nullable=True),
        Field(
            name="price_year",
            dtype=DataType.INT32,
            nullable=True,
            description="Year of the prices.",
        ),
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
        Field(
            name="decision",
            dtype=DataType.STRING,
            allowed=("approved", "rejected", "published", "refused_at_publication"),
            description="What happened.",
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
        Field(name="passed", dtype=DataType.BOOL, description="Whether it may be published."),
        count("n_rows", "Rows that were checked."),
        count("n_expectations", "Expectations."),
        count("n_failed", "Failed expectations."),
        text("failures_json", "What failed, with examples of the values."),
        instant("checked_at", "When."),
    ),
)
