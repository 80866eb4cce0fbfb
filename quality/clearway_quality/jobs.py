"""The gate before publication: a table version that did not pass is not published.

`check` is what ``clearway quality check`` and the DAGs' quality tasks call.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from clearway_core import publication
from clearway_core.clock import Clock, SystemClock
from clearway_core.contracts.lake import LAKE_CONTRACTS
from clearway_core.errors import ContractViolation, InsufficientData, UsageError
from clearway_core.lake import Lake, Table
from clearway_core.progress import Progress, silent
from clearway_quality import docs
from clearway_quality.gate import Finding, examine, merge
from clearway_quality.suites import Check, Kind, Severity, checks_of

log = logging.getLogger(__name__)

ROWS_PER_PART = 1_000_000
"""Largest number of rows that is checked at once.

Every row is checked, always; a larger table is read in parts, whole partitions together, so that
memory stays bounded (1.5 M rows of 20 columns: 1.2 GB, 6 s). Parts cannot hide a doubled key,
because a published table's partitions follow from its key (a test holds every contract to that).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A check that did not hold.

    Parameters
    ----------
    check
        Short name, such as ``bounds:space_mean_kmh``.
    sentence
        The condition in words.
    severity
        ``blocks`` or ``warns``.
    n_unexpected
        Rows that break it; 0 for a check of the table as a whole.
    examples
        Some of those rows; none for a table that is not published, whose rows are personal.
    cause
        What was found instead or why the check could not be carried out, if there is more to say.
    """

    check: str
    sentence: str
    severity: str
    n_unexpected: int
    examples: tuple[str, ...]
    cause: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityResult:
    """What the gate said about one table version.

    Parameters
    ----------
    table_name, table_version
        The table and the Delta version that was checked.
    passed
        Whether it may be published.
    n_rows, n_expectations
        Size of the work.
    failures
        Checks that did not hold and block publication.
    warnings
        Checks that did not hold and do not block it.
    report
        The page that explains it.
    """

    table_name: str
    table_version: int
    passed: bool
    n_rows: int
    n_expectations: int
    failures: tuple[Failure, ...]
    warnings: tuple[Failure, ...]
    report: Path


def published_tables() -> tuple[str, ...]:
    """Return the names of the tables whose rows leave the house."""
    return tuple(name for name, contract in LAKE_CONTRACTS.items() if contract.published)


def check(
    lake: Lake,
    table: str,
    *,
    report_dir: Path,
    progress: Progress = silent,
    clock: Clock | None = None,
) -> QualityResult:
    """Check a table's newest version against its contract and write down the result.

    Parameters
    ----------
    lake
        Where the table is.
    table
        Its name.
    report_dir
        Folder for the report; made if it is not there.
    progress
        Told about parts of the table.
    clock
        Gives `checked_at`; the machine's clock if left out.

    Returns
    -------
    QualityResult
        Passed or not: a failed check is a result, not an error.

    Raises
    ------
    UsageError
        If there is no table of that name.
    InsufficientData
        If nothing was ever written to it.
    """
    opened = _table(lake, table)
    version = opened.version()
    if version is None:
        message = f"table {table} has never been written; build it first (clearway build --help)"
        raise InsufficientData(message)
    n_rows, findings = _examine_version(opened, version, progress)
    result = _result(opened, version, n_rows=n_rows, findings=findings, report_dir=report_dir)
    _write_down(lake, result, clock or SystemClock())
    docs.write_report(lake, report_dir)
    log.info(
        "quality_checked",
        extra={"table": table, "version": version, "passed": result.passed, "rows": n_rows},
    )
    return result


def require(
    lake: Lake, table: str, *, report_dir: Path, progress: Progress = silent
) -> QualityResult:
    """Check a table's newest version like `check`, and stop where it did not pass.

    Raises
    ------
    ContractViolation
        If it did not pass; names the first broken condition and the report.
    """
    result = check(lake, table, report_dir=report_dir, progress=progress)
    if not result.passed:
        first = result.failures[0]
        message = (
            f"{table} version {result.table_version} is not published: {len(result.failures)} of "
            f"{result.n_expectations} conditions do not hold, first: {first.sentence} "
            f"({first.n_unexpected} rows). See {result.report}"
        )
        raise ContractViolation(message)
    return result


def passed_version(lake: Lake, table: str) -> int | None:
    """Return the newest version of a table that passed the gate, or None if none did.

    Raises
    ------
    UsageError
        If there is no table of that name.
    """
    _table(lake, table)
    return publication.passed_version(lake, table)


def _table(lake: Lake, name: str) -> Table:
    if name not in LAKE_CONTRACTS:
        message = f"there is no table {name!r}; expected one of {', '.join(LAKE_CONTRACTS)}"
        raise UsageError(message)
    return lake.table(name)


def _examine_version(
    table: Table, version: int, progress: Progress
) -> tuple[int, tuple[Finding, ...]]:
    """Return the number of rows and the findings; a table that cannot be read fails."""
    n_rows = 0
    parts: list[tuple[Finding, ...]] = []
    try:
        total = table.scan(version=version).select(pl.len()).collect().item()
        for part in _parts(table, version, total):
            progress(n_rows, total, f"checking {table.contract.name}")
            parts.append(examine(part, table.contract))
            n_rows += part.height
        progress(n_rows, total, f"checked {table.contract.name}")
    except pl.exceptions.PolarsError as error:
        unreadable = Check(
            kind=Kind.COLUMNS,
            columns=(),
            sentence=f"The table can be read as {table.contract.identifier}.",
        )
        parts.append((Finding(check=unreadable, passed=False, cause=str(error)),))
    return n_rows, merge(parts)


def _parts(table: Table, version: int, n_rows: int) -> Iterator[pl.DataFrame]:
    frame = table.scan(version=version)
    names = list(table.contract.partition_by)
    if n_rows <= ROWS_PER_PART or not names:
        yield frame.collect()
        return
    sizes = frame.group_by(names).agg(pl.len().alias("_size")).sort(names).collect()
    numbered = sizes.with_columns(
        ((pl.col("_size").cum_sum() - 1) // ROWS_PER_PART).alias("_part"),
    )
    for group in numbered.partition_by("_part", maintain_order=True):
        wanted = group.select(names).lazy()
        yield frame.join(wanted, on=names, how="semi").collect()


def _result(
    table: Table,
    version: int,
    *,
    n_rows: int,
    findings: tuple[Finding, ...],
    report_dir: Path,
) -> QualityResult:
    broken = [
        Failure(
            check=finding.check.name,
            sentence=finding.check.sentence,
            severity=finding.check.severity.value,
            n_unexpected=finding.n_unexpected,
            examples=finding.examples if table.contract.published else (),
            cause=finding.cause,
        )
        for finding in findings
        if not finding.passed
    ]
    return QualityResult(
        table_name=table.contract.name,
        table_version=version,
        passed=not any(finding.blocks for finding in findings),
        n_rows=n_rows,
        n_expectations=len(checks_of(table.contract)),
        failures=tuple(item for item in broken if item.severity == Severity.BLOCKS),
        warnings=tuple(item for item in broken if item.severity == Severity.WARNS),
        report=report_dir / docs.REPORT_FILE,
    )


def _write_down(lake: Lake, result: QualityResult, clock: Clock) -> None:
    failures = [asdict(item) for item in (*result.failures, *result.warnings)]
    row = {
        "table_name": result.table_name,
        "table_version": result.table_version,
        "passed": result.passed,
        "n_rows": result.n_rows,
        "n_expectations": result.n_expectations,
        "n_failed": len(result.failures),
        "failures_json": json.dumps(failures, ensure_ascii=False),
        "checked_at": clock.now(),
    }
    lake.table(publication.JOURNAL).append(pl.DataFrame([row]))
