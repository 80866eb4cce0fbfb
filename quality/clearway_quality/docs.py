"""The quality report: one page in plain words, for people who publish and people who doubt.

It is written beside its style sheet, runs no script, loads nothing from anywhere and has no inline
style, so that it can be opened from the disk or served under the strictest content policy. (The
pages that Great Expectations makes itself load scripts from other people's servers.)
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import cast

import polars as pl

from clearway_core.contracts.field import Contract
from clearway_core.contracts.lake import LAKE_CONTRACTS
from clearway_core.lake import Lake
from clearway_core.publication import JOURNAL
from clearway_quality.suites import Severity, checks_of

REPORT_FILE = "index.html"
STYLE_FILE = "report.css"

_STYLE = """\
:root { color-scheme: light dark; --line: #8886; --good: #1a7f4b; --bad: #b3261e; --warn: #8a5a00; }
@media (prefers-color-scheme: dark) {
  :root { --good: #63d297; --bad: #ff8a80; --warn: #ffc35c; }
}
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2.5rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .4rem .6rem; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: anywhere; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.good { color: var(--good); } .bad { color: var(--bad); } .warn { color: var(--warn); }
.verdict { font-weight: 600; }
code { font-size: .9em; } summary { cursor: pointer; }
"""

_MAX_HISTORY = 10
"""Checks that the page lists per table; the journal keeps them all."""


def write_report(lake: Lake, report_dir: Path) -> Path:
    """Write the report of all checks in the lake's journal and return its path.

    Parameters
    ----------
    lake
        Where `quality_checks` is; without any check the page says so.
    report_dir
        Folder for page and style sheet; made if it is not there.
    """
    checks = (
        lake.table(JOURNAL)
        .scan()
        .sort("checked_at", descending=True, maintain_order=True)
        .collect()
    )
    report_dir.mkdir(parents=True, exist_ok=True)
    (report_dir / STYLE_FILE).write_text(_STYLE, encoding="utf-8")
    page = report_dir / REPORT_FILE
    page.write_text(render(checks), encoding="utf-8")
    return page


def render(checks: pl.DataFrame) -> str:
    """Return the page for a frame of `quality_checks`, newest first."""
    tables = checks["table_name"].unique(maintain_order=True).to_list()
    sections = [
        _section(
            LAKE_CONTRACTS[name], checks.filter(pl.col("table_name") == name).to_dicts(), name=name
        )
        for name in sorted(tables)
        if name in LAKE_CONTRACTS
    ]
    body = "\n".join(sections) or "<p>Nothing has been checked yet.</p>"
    return f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Quality report</title>
<link rel="stylesheet" href="{STYLE_FILE}">
</head>
<body>
<h1>Quality report</h1>
<p>Before a table is published, every row of it is checked against its contract. A version that
fails is not published: the last version that passed stays in its place.</p>
{body}
</body>
</html>
"""


def _section(contract: Contract, checks: Sequence[Mapping[str, object]], *, name: str) -> str:
    newest = checks[0]
    passed = next((check for check in checks if check["passed"]), None)
    published = (
        "No version has passed yet; nothing is published."
        if passed is None
        else f"Published: version {passed['table_version']}."
    )
    failures = cast("list[dict[str, object]]", json.loads(str(newest["failures_json"])))
    return f"""\
<section id="{html.escape(name)}">
<h2>{html.escape(name)}: {_verdict(newest)}</h2>
<p>{html.escape(contract.description)}</p>
<p>Version {newest["table_version"]}, {_number(newest["n_rows"])} rows, checked
{_instant(newest["checked_at"])}. {published if contract.published else "Not published."}</p>
{_failures(failures)}
<h3>Checks so far</h3>
{_history(checks)}
<details><summary>What is checked ({newest["n_expectations"]} conditions)</summary>
<ul>
{_conditions(contract, {str(failure["check"]) for failure in failures})}
</ul></details>
</section>"""


def _verdict(check: Mapping[str, object]) -> str:
    if check["passed"]:
        return '<span class="verdict good">passed</span>'
    return f'<span class="verdict bad">failed ({check["n_failed"]})</span>'


def _failures(failures: Sequence[Mapping[str, object]]) -> str:
    if not failures:
        return "<p>All conditions hold.</p>"
    rows = "\n".join(_failure(failure) for failure in failures)
    return f"""\
<table>
<thead><tr><th>Condition that does not hold</th><th class="number">Rows</th><th>Examples</th></tr>
</thead><tbody>
{rows}
</tbody></table>"""


def _failure(failure: Mapping[str, object]) -> str:
    blocks = failure["severity"] == Severity.BLOCKS
    mark = '<span class="bad">Blocks</span>' if blocks else '<span class="warn">Note</span>'
    examples = [str(item) for item in cast("Sequence[object]", failure["examples"])]
    if failure["cause"]:
        examples.append(str(failure["cause"]))
    n_rows = _number(failure["n_unexpected"]) if failure["n_unexpected"] else "whole table"
    shown = "<br>".join(html.escape(example) for example in examples)
    return (
        f"<tr><td>{mark}: {html.escape(str(failure['sentence']))}</td>"
        f'<td class="number">{n_rows}</td><td>{shown}</td></tr>'
    )


def _history(checks: Sequence[Mapping[str, object]]) -> str:
    rows = "\n".join(
        f'<tr><td>{_instant(check["checked_at"])}</td><td class="number">'
        f'{check["table_version"]}</td><td class="number">{_number(check["n_rows"])}</td>'
        f"<td>{_verdict(check)}</td></tr>"
        for check in checks[:_MAX_HISTORY]
    )
    return f"""\
<table>
<thead><tr><th>When</th><th class="number">Version</th><th class="number">Rows</th><th>Result</th>
</tr></thead><tbody>
{rows}
</tbody></table>"""


def _conditions(contract: Contract, failed: set[str]) -> str:
    return "\n".join(
        f'<li class="{_mark(check.name in failed)}">{html.escape(check.sentence)}</li>'
        for check in checks_of(contract)
    )


def _mark(failed: bool) -> str:  # noqa: FBT001 -- a verdict
    return "bad" if failed else "good"


def _instant(value: object) -> str:
    return cast("datetime", value).strftime("%Y-%m-%d %H:%M UTC")


def _number(value: object) -> str:
    return f"{cast('int', value):,}"
