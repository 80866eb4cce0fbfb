"""The centre's work as plain functions, called alike by commands, DAGs and tests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from clearway_core.clock import Clock, SystemClock
from clearway_core.errors import UsageError
from clearway_core.lake import Lake

if TYPE_CHECKING:
    from clearway_fleet.looking import Look
    from clearway_fleet.sites import Site
    from clearway_fleet.watching import WatchAccount


def list_sites(lake: Lake, *, clock: Clock | None = None) -> list[Site]:
    """Return every site as it is now, by name."""
    from clearway_fleet.sites import read_register

    return list(read_register(lake).at((clock or SystemClock()).now()).values())


def set_site(  # noqa: PLR0913 -- what a person decides, and who
    lake: Lake,
    site: str,
    *,
    state: str | None = None,
    gateway: str | None = None,
    reason: str,
    decided_by: str,
    clock: Clock | None = None,
) -> Site:
    """Write down a site's new state or device, and return the site.

    Raises
    ------
    UsageError
        If the site is not known, the device serves another one, or nothing would change.
    """
    from clearway_fleet.sites import Change, State, changed, read_register, write_sites

    known = [each.value for each in State]
    if state is not None and state not in known:
        message = f"expected a state of {', '.join(known)}, got {state!r}"
        raise UsageError(message)
    now = (clock or SystemClock()).now()
    register = read_register(lake)
    change = Change(
        state=None if state is None else State(state),
        gateway=gateway,
        reason=reason,
        decided_by=decided_by,
    )
    decided = changed(register.at(now), site, change, now)
    write_sites(lake, [decided], register)
    return decided


def fleet(lake: Lake, *, clock: Clock | None = None) -> Look:
    """Return every site with its device, and what needs a hand; nothing is written."""
    from clearway_fleet.looking import look

    return look(lake, (clock or SystemClock()).now())


def watch(lake: Lake, settings_file: Path, *, clock: Clock | None = None) -> WatchAccount:
    """Look at the fleet once, and tell people what they have not been told.

    Raises
    ------
    SettingsError
        With every fault of the settings.
    """
    from clearway_fleet.alert_settings import read_alert_settings
    from clearway_fleet.channels import channels_of
    from clearway_fleet.watching import watch_once

    settings = read_alert_settings(settings_file)
    return watch_once(lake, settings, channels_of(settings), clock or SystemClock())
