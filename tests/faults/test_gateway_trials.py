"""Real gateways that something breaks at a random moment: every reading is accounted for.

A small part of `make faults`, the same seeds each time.
"""

from __future__ import annotations

import os

import pytest
from trials import faults, power_cut
from trials.accounts import account_of, filled_lake
from trials.cohort import run_cohort
from trials.engine import verdict
from trials.run import embedded

from clearway_core.stream.address import open_log

pytestmark = pytest.mark.slow

TRIALS_A_FAULT = 2


@pytest.fixture(scope="module")
def tools(tmp_path_factory):
    """Skip with the reason where a fault cannot be done."""
    folder = tmp_path_factory.mktemp("tools")
    missing = [] if power_cut.build(folder) else ["a C compiler"]
    missing += [] if faults.faketime_library() else ["libfaketime"]
    if faults.mounted(folder / "disk"):
        faults.unmount(folder / "disk")
    else:
        missing.append("the right to mount a small disk")
    if missing and os.environ.get("CLEARWAY_REQUIRE_FAULTS") == "1":
        pytest.fail(f"the trials need {', '.join(missing)}")
    if missing:
        pytest.skip(f"the trials need {', '.join(missing)}")


@pytest.mark.usefixtures("tools")
def test_no_fault_loses_or_doubles_a_reading_unnoticed(tmp_path):
    outcomes = list(embedded(TRIALS_A_FAULT * len(faults.EMBEDDED), folder=tmp_path, workers=2))
    assert {outcome.fault for outcome in outcomes} == set(faults.EMBEDDED)
    assert sum(outcome.account.stored for outcome in outcomes) > 1000
    wrong = {(o.fault, o.seed): o.verdict for o in outcomes if o.verdict != "ok"}
    # How quick a start is, a machine that runs other tests beside cannot say.
    assert {key: text for key, text in wrong.items() if "a start took" not in text} == {}


@pytest.mark.kafka
@pytest.mark.usefixtures("tools")
def test_ten_gateways_on_a_failing_kafka_lose_and_double_nothing(tmp_path, broker_process):
    broker = broker_process()
    ended = run_cohort(broker, 0, folder=tmp_path / "cohort", shim=power_cut.build(tmp_path))
    log = open_log(broker.address, tmp_path)
    lake = filled_lake(tmp_path / "lake", log)
    log.close()
    verdicts = {
        each.gateway: verdict(
            account_of(lake, each.gateway, each.given),
            fault=each.fault,
            n_never_committed=each.n_never_committed,
            slowest_start_s=0.0,
        )
        for each in ended
    }
    assert set(verdicts.values()) == {"ok"}, verdicts
