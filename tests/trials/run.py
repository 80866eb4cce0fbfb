"""All trials: `make faults`. Results go to a file that says what was run and what became of it.

    python tests/trials/run.py [--embedded 1000] [--kafka 100] [--workers 4] [--out FILE]

A trial runs a real gateway in processes of their own, breaks something at a random moment, and then
counts every reading in the lake. Repeat one with --fault NAME --seed N: its folder then stays.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from clearway_broker.server import running_broker
from clearway_core.lake import Lake
from clearway_core.stream.address import open_log
from trials import faults, power_cut
from trials.accounts import account_of, filled_lake
from trials.cohort import Ended, run_cohort
from trials.engine import Outcome, run_trial, verdict

GATEWAYS_A_COHORT = 10


def embedded(n_trials: int, *, folder: Path, workers: int) -> Iterator[Outcome]:
    """Yield the outcome of each trial against the embedded log."""
    shim = power_cut.build(folder)
    names = [name for name in faults.EMBEDDED if _can(name, shim)]
    plan = [(names[number % len(names)], number // len(names)) for number in range(n_trials)]
    with ThreadPoolExecutor(workers) as pool:
        running = [
            pool.submit(run_trial, name, seed, folder=folder / f"{name}-{seed}", shim=shim)
            for name, seed in plan
        ]
        for done in as_completed(running):
            yield done.result()


def on_kafka(n_trials: int, *, folder: Path) -> Iterator[Outcome]:
    """Yield the outcome of each gateway of the cohorts on a real Kafka."""
    if n_trials == 0:
        return
    shim = power_cut.build(folder)
    ended: list[Ended] = []
    with running_broker(folder / "broker") as broker:
        for seed in range(-(-n_trials // GATEWAYS_A_COHORT)):
            print(f"cohort {seed}", flush=True)
            ended += run_cohort(broker, seed, folder=folder / f"cohort-{seed}", shim=shim)
        log = open_log(broker.address, folder)
        try:
            lake = filled_lake(folder / "kafka", log)
        finally:
            log.close()
    for each in ended:
        yield _reckoned(lake, each)


def _reckoned(lake: Lake, ended: Ended) -> Outcome:
    account = account_of(lake, ended.gateway, ended.given)
    return Outcome(
        fault=ended.fault,
        seed=ended.seed,
        account=account,
        n_never_committed=ended.n_never_committed,
        slowest_start_s=ended.slowest_start_s,
        verdict=verdict(
            account,
            fault=ended.fault,
            n_never_committed=ended.n_never_committed,
            slowest_start_s=ended.slowest_start_s,
        ),
    )


def _but_for_starts(outcome: Outcome) -> Outcome:
    """Return an outcome that is judged by its readings alone."""
    judged = verdict(
        outcome.account,
        fault=outcome.fault,
        n_never_committed=outcome.n_never_committed,
        slowest_start_s=0.0,
    )
    return replace(outcome, verdict=judged)


def _can(name: str, shim: Path | None) -> bool:
    if name == "power":
        return shim is not None
    if name == "clock_jump":
        return faults.faketime_library() is not None
    return True


def summary(outcomes: list[Outcome], duration_s: float) -> dict[str, object]:
    """Return what is kept of a run."""
    starts = sorted(outcome.slowest_start_s for outcome in outcomes)
    accounts = [outcome.account for outcome in outcomes]
    return {
        "n_trials": len(outcomes),
        "n_by_fault": dict(sorted(Counter(outcome.fault for outcome in outcomes).items())),
        "n_readings_given": sum(account.given for account in accounts),
        "n_readings_stored": sum(account.stored for account in accounts),
        "n_dropped_and_counted": sum(account.dropped for account in accounts),
        "n_never_committed_before_a_kill": sum(max(0, account.lost) for account in accounts),
        "n_that_kills_can_have_cost": sum(outcome.n_never_committed for outcome in outcomes),
        "n_duplicates": sum(account.duplicates for account in accounts),
        "n_strangers": sum(account.strangers for account in accounts),
        "n_missing_in_the_books": sum(account.missing for account in accounts),
        "slowest_start_s": round(starts[-1], 3) if starts else None,
        "median_start_s": round(starts[len(starts) // 2], 3) if starts else None,
        "wrong": [outcome.as_json() for outcome in outcomes if outcome.verdict != "ok"],
        "duration_s": round(duration_s),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": platform.platform(),
    }


def main() -> None:
    """Run what the options say, tell every trial that went wrong, and exit with 1 then."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--embedded", type=int, default=1000)
    parser.add_argument("--kafka", type=int, default=100)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--fault", choices=sorted(faults.EMBEDDED))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--busy", action="store_true", help="do not judge starts: the machine does other work too"
    )
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="clearway-trials-"))
    if options.fault is not None:
        shim = power_cut.build(folder)
        outcome = run_trial(options.fault, options.seed, folder=folder / "trial", shim=shim)
        print(json.dumps(outcome.as_json(), indent=2), f"\nkept in {folder}")
        sys.exit(outcome.verdict != "ok")
    result = {}
    for name, outcomes in (
        ("embedded", embedded(options.embedded, folder=folder, workers=options.workers)),
        ("kafka", on_kafka(options.kafka, folder=folder)),
    ):
        begun_s = time.monotonic()
        found = []
        for each in outcomes:
            outcome = _but_for_starts(each) if options.busy else each
            found.append(outcome)
            if outcome.verdict != "ok":
                print(f"{outcome.fault} seed {outcome.seed}: {outcome.verdict}", flush=True)
            if len(found) % 50 == 0:
                print(f"{name}: {len(found)} trials", flush=True)
        if found:
            result[name] = summary(found, time.monotonic() - begun_s)
    text = json.dumps(result, indent=2)
    print(text)
    if options.out is not None:
        options.out.write_text(text + "\n", encoding="utf-8")
    sys.exit(any(part["wrong"] for part in result.values()))


if __name__ == "__main__":
    main()
