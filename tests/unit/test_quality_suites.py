"""What is checked follows from the contracts alone."""

from __future__ import annotations

import pytest

from clearway_core.contracts.field import Contract
from clearway_core.contracts.lake import LAKE_CONTRACTS
from clearway_quality.suites import Kind, checks_of


@pytest.mark.parametrize("name", sorted(LAKE_CONTRACTS))
def test_every_column_of_every_contract_is_checked_under_its_own_name(name: str) -> None:
    contract = LAKE_CONTRACTS[name]
    checks = checks_of(contract)

    assert len({check.name for check in checks}) == len(checks)
    assert {column for check in checks if check.kind is Kind.TYPE for column in check.columns} == {
        *contract.columns
    }
    assert sum(check.kind is Kind.ORDER for check in checks) == len(contract.rules)


@pytest.mark.parametrize(
    "contract", [contract for contract in LAKE_CONTRACTS.values() if contract.published]
)
def test_partitions_of_a_published_table_follow_from_its_key(contract: Contract) -> None:
    """Parts of a large table are checked one by one; this is why no doubled key can hide."""
    instants = {name.removesuffix("_start") for name in contract.key if name.endswith("_start")}

    for name in contract.partition_by:
        assert name in contract.key or name.removesuffix("_date") in instants
