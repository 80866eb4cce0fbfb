"""What the commands tell a person, line by line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from clearway_edge.page.go_no_go import duration


def check_words(found: Mapping[str, object]) -> list[str]:
    """Return the answer of `check`: the effective settings, then the warnings."""
    settings = cast("Mapping[str, object]", found["settings"])
    lines = [f"Settings are good. Gateway {found['gateway']} in {found['folder']}."]
    for table, values in settings.items():
        tables = values if isinstance(values, list) else [values]
        for each in tables:
            lines.append(f"[[{table}]]" if isinstance(values, list) else f"[{table}]")
            lines += _keys(each) if isinstance(each, Mapping) else ["  not set"]
    warnings = cast("Sequence[str]", found["warnings"])
    lines += [f"warning: {warning}" for warning in warnings]
    if not warnings:
        lines.append("no warnings")
    return lines


def _keys(values: Mapping[str, object], before: str = "  ") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield f"{before}{key}:"
            yield from _keys(value, before + "  ")
        elif value is not None:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            yield f"{before}{key} = {text}"


def status_words(status: Mapping[str, object]) -> list[str]:
    """Return the state of one gateway in plain words."""
    running = "running" if status.get("running") else "not running"
    lines = [f"{status['gateway']}: {running}"]
    if "error" in status:
        return [*lines, f"  {status['error']}"]
    lines.append(
        f"  books        read {status['read']}, delivered {status['delivered']}, "
        f"spooled {status['spooled']}, {_dropped(cast('Mapping[str, int]', status['dropped']))}"
    )
    age_s = status.get("oldest_spooled_age_s")
    waits = "nothing waits" if not isinstance(age_s, float | int) else f"oldest {duration(age_s)}"
    kib = cast("int", status["spooled_bytes"]) / 1024
    lines.append(f"  outbox       {waits}, {kib:.0f} KiB")
    if status.get("unclean_stops"):
        lines.append(f"  crashes      {status['unclean_stops']} starts after an unclean stop")
    if status.get("outboxes_set_aside"):
        lines.append(f"  damaged      {status['outboxes_set_aside']} parts were set aside")
    said = status.get("said")
    return [*lines, *_said(said)] if isinstance(said, Mapping) else lines


def _dropped(dropped: Mapping[str, int]) -> str:
    if not dropped:
        return "nothing dropped"
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(dropped.items()))
    return f"dropped {sum(dropped.values())} ({reasons})"


def _said(said: Mapping[str, object]) -> Iterator[str]:
    yield f"  said         at {said.get('at')}:"
    yield f"  forwarder    {said.get('forwarder_state')}"
    yield f"  clock        {'set' if said.get('clock_synchronised') else 'not set yet'}"
    if said.get("page"):
        yield f"  page         {said['page']}"
    try:
        sources = json.loads(str(said.get("sources_json")))
    except ValueError:
        sources = {}
    for name, state in sorted(sources.items()):
        yield f"  source       {name} ({state.get('kind')}): {_source(state)}"


def _source(state: Mapping[str, object]) -> str:
    if state.get("error"):
        return f"{state.get('state')}: {state['error']}"
    age_s = state.get("last_reading_age_s")
    last = f", last reading {duration(age_s)} before" if isinstance(age_s, float | int) else ""
    return f"{state.get('state')}, {state.get('n_readings')} readings{last}"
