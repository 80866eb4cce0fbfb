"""`clearway gateway provision|site|fleet|watch`: the centre's side of the gateways."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clearway_cli.dag_settings import ALERTS_FILE
from clearway_cli.options import (
    DEFAULT_DATA_DIR,
    CityOption,
    DataDirOption,
    JsonOption,
    LakeOption,
)
from clearway_cli.output import console, say_json, say_table
from clearway_core.errors import UsageError

if TYPE_CHECKING:
    from clearway_fleet.looking import Look

ByOption = Annotated[
    str, typer.Option("--by", help="Who decides it: your name, as the register shows it.")
]


def register(group: typer.Typer) -> None:
    """Add the commands to `clearway gateway`."""
    for command in (provision, fleet, watch):
        group.command()(command)
    sites = typer.Typer(no_args_is_help=True, help="Which device serves which site, and its state.")
    sites.command("list")(list_sites)
    sites.command("set")(set_site)
    group.add_typer(sites, name="site")


def provision(
    sites_file: Annotated[
        Path, typer.Argument(metavar="SITES.CSV", help="A line for each site.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for what is written.")],
    by: ByOption,
    broker: Annotated[
        str | None, typer.Option("--broker", help="kafka://host:port that the gateways send to.")
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option("--ca-file", help="Certificate of the broker's authority; turns TLS on."),
    ] = None,
    time_zone: Annotated[
        str | None, typer.Option("--time-zone", help="IANA time zone; left out, the city's.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Write over settings that differ.")
    ] = False,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    city: CityOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prepare a device for each site of a list: settings, first start, labels, checklist.

    Keys and PINs are made on the devices; none is written here. A second run changes nothing that
    is the same, and refuses to write over what differs.
    """
    from clearway_cli.cities import find_city
    from clearway_cli.gateway_workshop import workshop
    from clearway_core.clock import SystemClock
    from clearway_core.lake import open_lake
    from clearway_fleet.device_settings import Central
    from clearway_fleet.provisioning import Order, provision

    found = find_city(city, data_dir)
    zone = time_zone or (None if found is None else found.time_zone.key)
    if zone is None:
        message = "no city pack says which time zone the devices are in: add --time-zone"
        raise UsageError(message)
    order = Order(
        site_file=sites_file,
        out=out,
        central=Central(time_zone=zone, broker=broker, with_ca=ca_file is not None),
        ca_file=ca_file,
        area_deg=None if found is None else found.service_area_deg,
        decided_by=by,
        replace=replace,
    )
    account = provision(open_lake(data_dir, lake), order, workshop(zone), SystemClock().now())
    if as_json:
        say_json(asdict(account))
        return
    say_table(
        f"{len(account.devices)} devices in {out}",
        {
            "files written": len(account.written),
            "files unchanged": account.unchanged,
            "new or changed in the register": len(account.registered),
        },
    )
    console.print(
        f"Next: print {out}/labels.html and {out}/checklist.html; copy each device's folder to its "
        "card as clearway.",
        highlight=False,
        soft_wrap=True,
    )


def list_sites(
    data_dir: DataDirOption = DEFAULT_DATA_DIR, lake: LakeOption = None, as_json: JsonOption = False
) -> None:
    """List every site with its device and state, and who decided it."""
    from clearway_core.lake import open_lake
    from clearway_fleet import jobs

    found = jobs.list_sites(open_lake(data_dir, lake))
    if as_json:
        say_json([asdict(site) for site in found])
        return
    if not found:
        console.print("No sites yet: clearway gateway provision SITES.CSV --out FOLDER")
    for site in found:
        console.print(
            f"[bold]{site.site}[/] {site.site_name}: {site.state} with "
            f"{site.gateway or 'no device'} since {site.valid_from_at:%Y-%m-%d %H:%M} UTC "
            f"({site.decided_by}: {site.reason})",
            highlight=False,
            soft_wrap=True,
        )


def set_site(
    site: Annotated[str, typer.Argument(help="Short name of the site.")],
    reason: Annotated[str, typer.Option("--reason", help="Why, in a few words.")],
    by: ByOption,
    state: Annotated[
        str | None,
        typer.Option("--state", help="planned, active, maintenance or decommissioned."),
    ] = None,
    gateway: Annotated[
        str | None, typer.Option("--gateway", help="The device that serves it from now on.")
    ] = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Decide a site's state, or swap its device; the site's series goes on."""
    from clearway_core.lake import open_lake
    from clearway_fleet import jobs

    done = jobs.set_site(
        open_lake(data_dir, lake),
        site,
        state=state,
        gateway=gateway,
        reason=reason,
        decided_by=by,
    )
    if as_json:
        say_json(asdict(done))
        return
    console.print(
        f"{done.site} ({done.site_name}) is {done.state} with {done.gateway or 'no device'} from "
        "now on.",
        highlight=False,
    )


def fleet(
    site: Annotated[
        str | None, typer.Option("--site", help="Only this site, with everything known of it.")
    ] = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how every gateway does, and what to repair where; exit code 1 if anything needs a hand.

    From the lake: what ingest has not read yet is not known here.
    """
    from clearway_cli.texts.fleet import fleet_table, repair_lines, site_rows
    from clearway_core.lake import open_lake
    from clearway_fleet import jobs

    seen = jobs.fleet(open_lake(data_dir, lake))
    statuses = [status for status in seen.statuses if site in {None, status.site}]
    if site is not None and not statuses:
        message = f"no site {site!r} is known, or it is decommissioned: clearway gateway site list"
        raise UsageError(message)
    if as_json:
        say_json(_as_json(seen, site))
    elif site is not None:
        say_table(f"{site}: {statuses[0].site_name}", site_rows(statuses[0], seen.at))
        console.print("\n".join(repair_lines(statuses, (), seen.at)), highlight=False)
    else:
        console.print(fleet_table(statuses, seen.at))
        lines = repair_lines(statuses, seen.elsewhere, seen.at)
        console.print("\n".join(lines), highlight=False, markup=False)
        if not seen.statuses:
            console.print("No sites yet: clearway gateway provision SITES.CSV --out FOLDER")
        if seen.unknown:
            console.print(f"Heard, but at no site: {', '.join(seen.unknown)}", highlight=False)
    if any(status.repairs for status in statuses) or (site is None and seen.elsewhere):
        raise typer.Exit(1)


def watch(
    settings: Annotated[
        Path | None,
        typer.Option("--settings", help="Who is told; left out, alerts.toml in the data folder."),
    ] = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look at the fleet once and tell people what they have not been told; run every 10 minutes.

    Exit code 1 if a message could not be sent; the next look tries again.
    """
    from clearway_core.lake import open_lake
    from clearway_fleet import jobs

    account = jobs.watch(open_lake(data_dir, lake), settings or data_dir / ALERTS_FILE)
    if as_json:
        say_json(asdict(account))
    else:
        say_table(
            "watch",
            {
                "sites watched": account.sites,
                "need a hand": account.findings,
                "alarms open": account.open_alarms,
                "sent": list(account.sent),
                "not sent": dict(account.failed) or None,
                "left to another watcher": account.beaten or None,
            },
        )
    if account.failed:
        raise typer.Exit(1)


def _as_json(seen: Look, site: str | None) -> dict[str, object]:
    return {
        "at": seen.at,
        "sites": [asdict(status) for status in seen.statuses if site in {None, status.site}],
        "elsewhere": [asdict(repair) for repair in seen.elsewhere],
        "unknown_gateways": list(seen.unknown),
    }
