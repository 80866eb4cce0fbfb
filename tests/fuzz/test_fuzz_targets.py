"""Broken bytes end in a parser's own outcomes: some here, far more by `make fuzz`."""

from __future__ import annotations

from random import Random

import pytest
from fuzz.mutation import broken
from fuzz.targets import FOUND, TARGETS, found

N_INPUTS = 150
N_DAMAGES = 10
"""Of the outbox, which `tests/faults/test_edge_outbox_damage.py` looks after."""


@pytest.mark.parametrize("name", TARGETS)
def test_good_bytes_are_taken_and_broken_ones_refused_or_counted(name):
    target = TARGETS[name]
    good = list(target.seeds())
    assert [data for data in good if not target.run(data)] == []
    chance = Random(name)
    for _ in range(N_DAMAGES if name == "outbox" else N_INPUTS):
        data = broken(good, chance)
        try:
            target.run(data)
        except Exception as error:
            error.add_note(f"bytes: {data!r}")
            raise


@pytest.mark.parametrize(
    ("name", "file"),
    [(name, file) for name in TARGETS for file in found(name)],
    ids=lambda part: part if isinstance(part, str) else part.name,
)
def test_what_broke_a_parser_once_breaks_it_no_more(name, file):
    TARGETS[name].run(file.read_bytes())


def test_every_finding_belongs_to_a_target():
    assert {folder.name for folder in FOUND.iterdir()} <= set(TARGETS)
