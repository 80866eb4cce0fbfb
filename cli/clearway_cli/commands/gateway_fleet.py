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
from clearway_cli.output import say, say_json, say_table
from clearway_core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearway_fleet.device_settings import Device
    from clearway_fleet.looking import Look
    from clearway_fleet.provisioning import Workshop

SitesArgument = Annotated[
    Path, typer.Argument(metavar="SITES.CSV", help="A line for each site.", show_default=False)
]
OutOption = Annotated[
    Path, typer.Option("--out", metavar="FOLDER", help="Folder for what is written.")
]
BrokerOption = Annotated[
    str | None,
    typer.Option(
        "--broker", metavar="ADDRESS", help="kafka://host:port that the gateways send to."
    ),
]
CaFileOption = Annotated[
    Path | None,
    typer.Option(
        "--ca-file", metavar="FILE", help="Certificate of the broker's authority; turns TLS on."
    ),
]
TimeZoneOption = Annotated[
    str | None,
    typer.Option("--time-zone", metavar="ZONE", help="IANA time zone; left out, the city's."),
]
ReplaceOption = Annotated[
    bool, typer.Option("--replace", metavar="", help="Write over settings that differ.")
]
SiteArgument = Annotated[str, typer.Argument(metavar="SITE", help="Short name of the site.")]
SiteOption = Annotated[
    str | None,
    typer.Option("--site", metavar="SITE", help="Only this site, with everything known of it."),
]
StateOption = Annotated[
    str | None,
    typer.Option(
        "--state", metavar="STATE", help="planned, active, maintenance or decommissioned."
    ),
]
GatewayOption = Annotated[
    str | None,
    typer.Option("--gateway", metavar="NAME", help="The device that serves it from now on."),
]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, in a few words.")]
ByOption = Annotated[
    str,
    typer.Option(
        "--by", metavar="NAME", help="Who decides it: your name, as the register shows it."
    ),
]
AlertsOption = Annotated[
    Path | None,
    typer.Option(
        "--settings", metavar="FILE", help="Who is told; left out, alerts.toml in the data folder."
    ),
]

_NO_SITES = "No sites yet: clearway gateway provision SITES.CSV --out FOLDER --by NAME"


def register(group: typer.Typer) -> None:
    """Add the commands to `clearway gateway`."""
    for command in (provision, fleet, watch):
        group.command()(command)
    sites = typer.Typer(no_args_is_help=True, help="Which device serves which site, and its state.")
    sites.command("list")(list_sites)
    sites.command("set")(set_site)
    group.add_typer(sites, name="site")


def provision(
    sites_file: SitesArgument,
    *,
    out: OutOption,
    by: ByOption,
    broker: BrokerOption = None,
    ca_file: CaFileOption = None,
    time_zone: TimeZoneOption = None,
    replace: ReplaceOption = False,
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
    account = provision(open_lake(data_dir, lake), order, _workshop(zone), SystemClock().now())
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
    say(
        f"Next: print {out}/labels.html and {out}/checklist.html; copy each device's folder to its "
        "card as clearway."
    )


def _workshop(time_zone: str) -> Workshop:
    """Return how the gateway's own component writes and checks settings of these devices."""
    from clearway_edge.settings.sample_settings import sample_settings
    from clearway_edge.settings.settings import read_settings
    from clearway_edge.sources.kinds import KINDS
    from clearway_fleet.provisioning import Workshop

    def compose(device: Device, kinds: Sequence[str]) -> str:
        plan = device.plan
        return sample_settings(
            name=device.gateway,
            site=plan.site,
            time_zone=time_zone,
            sources=kinds,
            position_deg=(plan.lon_deg, plan.lat_deg),
        )

    return Workshop(kinds=frozenset(KINDS), compose=compose, check=read_settings)


def list_sites(
    *,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List every site with its device and state, and who decided it."""
    from clearway_core.lake import open_lake
    from clearway_fleet import jobs

    found = jobs.list_sites(open_lake(data_dir, lake))
    if as_json:
        say_json([asdict(site) for site in found])
        return
    if not found:
        say(_NO_SITES)
    for site in found:
        say(
            (site.site, "bold"),
            f" {site.site_name}: {site.state} with {site.gateway or 'no device'} since "
            f"{site.valid_from_at:%Y-%m-%d %H:%M} UTC ({site.decided_by}: {site.reason})",
        )


def set_site(
    site: SiteArgument,
    *,
    reason: ReasonOption,
    by: ByOption,
    state: StateOption = None,
    gateway: GatewayOption = None,
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
    say(
        f"{done.site} ({done.site_name}) is {done.state} with {done.gateway or 'no device'} from "
        "now on."
    )


def fleet(
    *,
    site: SiteOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how every gateway does, and what to repair where; exit code 1 if anything needs a hand.

    From the lake: what ingest has not read yet is not known here.
    """
    from clearway_cli.texts.fleet import repair_lines, say_fleet, site_rows
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
        say("\n".join(repair_lines(statuses, (), seen.at)))
    else:
        say_fleet(statuses, seen.at)
        say("\n".join(repair_lines(statuses, seen.elsewhere, seen.at)))
        if not seen.statuses:
            say(_NO_SITES)
        if seen.unknown:
            say(f"Heard, but at no site: {', '.join(seen.unknown)}")
    if any(status.repairs for status in statuses) or (site is None and seen.elsewhere):
        raise typer.Exit(1)


def watch(
    *,
    settings: AlertsOption = None,
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
