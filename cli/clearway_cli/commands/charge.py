"""`clearway charge`: from evidence to a proposal, a person's decision and its publication."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from clearway_cli.options import (
    DEFAULT_DATA_DIR,
    BuiltResolutionOption,
    CityOption,
    DataDirOption,
    JsonOption,
    LakeOption,
)
from clearway_cli.output import bar, say_json, say_table

ZoneOption = Annotated[
    Path,
    typer.Option(
        "--zone",
        metavar="FILE",
        help="The zone: GeoJSON (feature, collection or geometry), or H3 cells.",
    ),
]
ProposalArgument = Annotated[
    str, typer.Argument(metavar="ID", help="Id of the proposal, or enough of its first digits.")
]
AnyProposalArgument = Annotated[
    str | None, typer.Argument(metavar="ID", help="Id of a proposal; left out, all are listed.")
]
PersonOption = Annotated[
    str, typer.Option("--by", metavar="NAME", help="Name of the person who decides.")
]
NoteOption = Annotated[
    str | None, typer.Option("--note", metavar="TEXT", help="The reason, for the record.")
]


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    group = typer.Typer(no_args_is_help=True, help="Propose, explain, decide and publish a charge.")
    for command in (propose, show, explain, approve, reject, publish):
        group.command()(command)
    app.add_typer(group, name="charge")


def propose(
    *,
    zone: ZoneOption,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    city: CityOption = None,
    resolution: BuiltResolutionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Price a zone from what congestion and emissions cost others, and say what is missing.

    The answer is `propose`, or `hold: not enough evidence` with the list of what is missing; the
    prices of a hold are indicative and are never published.
    """
    from clearway_cli.cities import find_city
    from clearway_cli.texts.charge import say_proposal
    from clearway_core.lake import open_lake
    from clearway_models.jobs import propose_charge

    opened, pack = open_lake(data_dir, lake), find_city(city, data_dir)
    with bar("Charge proposal", quiet=as_json) as progress:
        proposal = propose_charge(
            opened, zone=zone, city=pack, resolution=resolution, progress=progress
        )
    if as_json:
        say_json(proposal)
    else:
        say_proposal(proposal)


def show(
    proposal_id: AnyProposalArgument = None,
    *,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one proposal, or list all of them with their state."""
    from clearway_cli.texts.charge import say_list, say_proposal
    from clearway_core.lake import open_lake
    from clearway_models.jobs import find_proposal, list_proposals

    opened = open_lake(data_dir, lake)
    if proposal_id is None:
        rows = list_proposals(opened)
        if as_json:
            say_json(rows)
        else:
            say_list(rows)
        return
    proposal = find_proposal(opened, proposal_id)
    if as_json:
        say_json(proposal)
    else:
        say_proposal(proposal)


def explain(
    proposal_id: ProposalArgument,
    *,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Explain a proposal: reasons of each price, evidence, parameters, limits and decisions."""
    from clearway_cli.texts.charge import say_explanation
    from clearway_core.lake import open_lake
    from clearway_models.jobs import decisions, find_proposal

    opened = open_lake(data_dir, lake)
    proposal = find_proposal(opened, proposal_id)
    taken = [asdict(d) for d in decisions(opened, str(proposal["proposal_id"]))]
    if as_json:
        say_json({**proposal, "decisions": taken})
    else:
        say_explanation(proposal, taken)


def approve(
    proposal_id: ProposalArgument,
    *,
    by: PersonOption,
    note: NoteOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Record that a person approves a proposal; of a hold, that they have taken note of it."""
    _decide(proposal_id, "approved", by, note=note, where=(data_dir, lake), as_json=as_json)


def reject(
    proposal_id: ProposalArgument,
    *,
    by: PersonOption,
    note: NoteOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Record that a person rejects a proposal."""
    _decide(proposal_id, "rejected", by, note=note, where=(data_dir, lake), as_json=as_json)


def publish(
    proposal_id: ProposalArgument,
    *,
    by: PersonOption,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check an approved proposal against all bounds once more, and publish it.

    Whether it is published or refused, the audit record says so. Ends with 1 on a refusal.
    """
    from clearway_core.lake import open_lake
    from clearway_models.jobs import publish as publish_proposal

    record = publish_proposal(open_lake(data_dir, lake), proposal_id, published_by=by)
    if as_json:
        say_json(asdict(record))
    else:
        say_table("Published", asdict(record))


def _decide(
    proposal_id: str,
    decision: str,
    by: str,
    *,
    note: str | None,
    where: tuple[Path, str | None],
    as_json: bool,
) -> None:
    from clearway_core.lake import open_lake
    from clearway_models.jobs import decide

    record = decide(open_lake(*where), proposal_id, decision=decision, decided_by=by, note=note)
    if as_json:
        say_json(asdict(record))
    else:
        say_table("Recorded", asdict(record))
