"""Checks on values: they add a flag and never change what was measured.

Corrections belong into the lake, where they can be done again; what breaks its contract travels
on and ends in ingest's quarantine, counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from clearway_core.contracts.field import Contract, DataType, Field, broken_rule
from clearway_core.contracts.wire import AIR_READING, GPS_PING
from clearway_edge.checks.check_parameters import check_parameters
from clearway_edge.checks.flags import Flags
from clearway_edge.checks.sensor_checks import SensorChecks
from clearway_edge.checks.vehicle_checks import VehicleChecks

_NUMBERS = frozenset({DataType.FLOAT64, DataType.INSTANT, DataType.INT64, DataType.INT32})


def check_ranges(contract: Contract, columns: Mapping[str, Sequence[object]], flags: Flags) -> None:
    """Flag every number outside of its contract's physical bounds as ``<field>_range``.

    Parameters
    ----------
    contract
        Whose bounds count.
    columns
        Wire values; None is a missing value.
    flags
        Takes what is found.
    """
    for fact in contract.fields:
        values = columns.get(fact.name)
        if values is None or fact.dtype not in _NUMBERS or _all_within(fact, values):
            continue
        for row, value in enumerate(values):
            rule = broken_rule(fact, value)
            if rule is not None and rule.endswith("_range"):
                flags.add(row, rule)


def _all_within(fact: Field, values: Sequence[object]) -> bool:
    # Most columns are fine, and min and max over a list cost next to nothing.
    numbers = cast("list[float]", [value for value in values if value is not None])
    if not numbers:
        return True
    low_ok = fact.minimum is None or min(numbers) >= fact.minimum
    return low_ok and (fact.maximum is None or max(numbers) <= fact.maximum)


class Checks:
    """All checks of one gateway; they remember a little of each vehicle and sensor.

    Flags depend on the order of readings alone, not on how they are cut into chunks. Nothing of it
    is stored: after a start the first readings have nothing to be compared with.
    """

    def __init__(self) -> None:
        parameters = check_parameters()
        self._by_contract: Mapping[str, VehicleChecks | SensorChecks] = {
            GPS_PING.identifier: VehicleChecks(parameters),
            AIR_READING.identifier: SensorChecks(parameters),
        }

    def flag(
        self, contract: Contract, columns: Mapping[str, Sequence[object]], flags: Flags
    ) -> None:
        """Flag what is out of range, or odd beside what came before; values stay.

        Parameters
        ----------
        contract
            Of the columns; vehicles are under pseudonyms.
        columns
            Wire values, in the order in which they were read.
        flags
            Takes what is found.
        """
        check_ranges(contract, columns, flags)
        checks = self._by_contract.get(contract.identifier)
        if checks is not None:
            checks.flag(columns, flags)
