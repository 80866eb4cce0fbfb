"""What a soak has found, from what was seen: by process, place, log and question."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from trials.soak_verdict import trend

STAND_INS = ("lake", "postgres")
"""Not what production runs: measured, not judged."""


def judged(samples: list[dict[str, Any]], sizes: list[dict[str, Any]]) -> dict[str, Any]:
    """Return by process and place what stayed flat and what grew."""
    names = sorted({name for sample in samples for name in sample} - {"at_s"})
    found: dict[str, Any] = {"memory_mib": {}, "memory_first_process_mib": {}}
    found |= {"threads": {}, "open_files": {}, "cpu_share": {}}
    for name in names:
        seen = [(s["at_s"], s[name]) for s in samples if name in s]
        at_s = [moment for moment, _ in seen]
        stand_in = " (stand-in)" if name in STAND_INS else ""
        for title, field, least in (
            ("memory_mib", "own", 2.0),
            ("memory_first_process_mib", "main", 2.0),
            ("threads", "threads", 1.0),
            ("open_files", "files", 2.0),
        ):
            values = [need[field] for _, need in seen]
            found[title][name + stand_in] = asdict(trend(at_s, values, at_least_per_h=least))
        spent_s = seen[-1][1]["cpu_s"] - seen[0][1]["cpu_s"]
        found["cpu_share"][name + stand_in] = round(spent_s / (at_s[-1] - at_s[0]), 4)
    found["places"] = {}
    half = sizes[len(sizes) // 2]
    hours = (sizes[-1]["at_s"] - half["at_s"]) / 3600
    for place in sizes[-1]:
        if place == "at_s":
            continue
        files, size = sizes[-1][place]
        files_then, size_then = half.get(place, (0, 0))
        found["places"][place] = {
            "files": files,
            "kb": round(size / 1000, 1),
            "files_per_h": round((files - files_then) / hours),
            "kb_per_h": round((size - size_then) / hours / 1000, 1),
        }
    return found


def logs(folder: Path, sizes: list[dict[str, Any]]) -> dict[str, Any]:
    """Return, by service, lines a minute in the second half and what they say most."""
    half = sizes[len(sizes) // 2]
    minutes = (sizes[-1]["at_s"] - half["at_s"]) / 60
    found = {}
    for log in sorted(folder.glob("*.log")):
        place = f"log/{log.stem}"
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        grown = sizes[-1].get(place, (0, 0))[0] - half.get(place, (0, 0))[0]
        most = Counter(map(_shape, lines)).most_common(6)
        found[log.stem] = {
            "lines": len(lines),
            "lines_per_minute": round(grown / minutes, 2),
            "most": dict(most),
        }
    return found


def _shape(line: str) -> str:
    """Return a line without what changes from one to the next."""
    try:
        event = json.loads(line)
        return f"{event['level']} {event['event']}"
    except (ValueError, KeyError, TypeError):
        plain = re.sub(r"\x1b\[[0-9;]*m", "", line)
        inside = re.sub(r"/\S*/(?=site-packages/)", "", plain)
        return re.sub(r"[0-9a-f]{8,}|\d+", "#", inside)[:100]


def answers(asked: list[tuple[float, str, float, int]]) -> dict[str, Any]:
    """Return, by question, how long answers took early and late, and the statuses. [ms]"""
    found: dict[str, Any] = {}
    for question in sorted({what for _, what, _, _ in asked}):
        took = [(s, status) for _, what, s, status in asked if what == question]
        quarter = max(1, len(took) // 4)
        found[question] = {
            "asked": len(took),
            "status": Counter(str(status) for _, status in took),
            **{
                f"{when}_{percent}_ms": round(float(np.percentile(part, percent)) * 1000)
                for when, part in (
                    ("first_quarter", [s for s, _ in took[:quarter]]),
                    ("last_quarter", [s for s, _ in took[-quarter:]]),
                )
                for percent in (50, 95)
            },
        }
    return found
