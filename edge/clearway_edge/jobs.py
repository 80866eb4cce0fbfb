"""The gateway's work as plain functions, called alike by commands, DAGs, the demo and tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from clearway_core.clock import Clock, SystemClock
from clearway_core.errors import ClearwayError, SettingsError, UsageError
from clearway_core.progress import Progress, silent
from clearway_core.stream.address import open_log
from clearway_edge.condition.service_manager import ManagerSocket
from clearway_edge.gateway_dir import gateway_dir
from clearway_edge.recordings.account import GatewayAccount, account_of
from clearway_edge.recordings.pacing import pace_of
from clearway_edge.recordings.replaying import PATIENCE_S, Replay
from clearway_edge.rows.profile import find_profile
from clearway_edge.rows.profile_reading import read_profile

if TYPE_CHECKING:
    from clearway_edge.settings.settings import GatewaySettings

DEFAULT_SOURCES = ("pmsx003", "nmea")
"""What a new gateway's settings begin with if nobody says what stands on the pole."""


def replay(  # noqa: PLR0913 -- the agreed interface of the replay job
    files: Sequence[Path],
    profile: str | Path,
    *,
    data_dir: Path,
    log_address: str | None,
    gateway: str = "replay",
    rows_per_s: float | None = None,
    speed: float | None = None,
    patience_s: float = PATIENCE_S,
    progress: Progress = silent,
    clock: Clock | None = None,
) -> GatewayAccount:
    """Send recorded files through a gateway and return what became of every record.

    Replaying a file again sends it again under the same identity, so that the lake gains nothing.

    Parameters
    ----------
    files
        Recorded files, in the order in which they are sent.
    profile
        Path or shipped name of their source profile.
    data_dir
        The installation's data folder.
    log_address
        ``kafka://host:port``, or None for the embedded log of the data folder.
    gateway
        Name under which the records travel.
    rows_per_s
        Records a second, at most; None means as fast as possible. [1/s]
    speed
        How many times faster than it happened; None means as fast as possible. [1]
    patience_s
        How long to wait for a log that takes nothing before the rest stays in the outbox. [s]
    progress
        Told the bytes that are read.
    clock
        For tests.

    Raises
    ------
    SettingsError
        If the profile has faults.
    UsageError
        If a file is missing or does not fit the profile.
    SourceUnavailable
        If another process runs this gateway.
    """
    clock = clock or SystemClock()
    missing = [str(file) for file in files if not Path(file).is_file()]
    if missing or not files:
        message = f"expected recorded files, got {', '.join(missing) or 'none'}: check the paths"
        raise UsageError(message)
    source = read_profile(find_profile(profile))
    folder = gateway_dir(data_dir, gateway)
    with folder.owned():
        sender = Replay(
            folder,
            gateway,
            open_log=partial(open_log, log_address, data_dir),
            clock=clock,
            patience_s=patience_s,
        )
        pace = pace_of(rows_per_s=rows_per_s, speed=speed, scratch=folder.sorting, clock=clock)
        accounts = sender.send([Path(f) for f in files], source, pace=pace, progress=progress)
    return account_of(accounts)


def run(
    settings_file: Path,
    *,
    log_address: str | None = None,
    clock: Clock | None = None,
    manager: ManagerSocket | None = None,
) -> None:
    """Run a gateway until SIGTERM or SIGINT; what it has read is on disk or delivered by then.

    Parameters
    ----------
    settings_file
        The gateway's settings.
    log_address
        Overrides ``log.address`` of the settings.
    clock
        For tests.
    manager
        Who started this process, see `clearway_edge.condition.service_manager`.

    Raises
    ------
    SettingsError
        If the settings have faults.
    SourceUnavailable
        If another process runs this gateway, or its outbox cannot be opened.
    """
    import signal
    import threading

    from clearway_edge.forwarding.log_opening import log_opener
    from clearway_edge.running import run_gateway
    from clearway_edge.settings.settings import read_settings

    clock = clock or SystemClock()
    settings = read_settings(settings_file)
    stop = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        _make_key(settings)
        run_gateway(
            settings,
            log_opener(settings, log_address),
            stop,
            clock=clock,
            manager=manager or ManagerSocket(),
        )
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _make_key(settings: GatewaySettings) -> None:
    """Make the key that the settings name, at the first start; readings never wait for it."""
    import logging

    key_file = None if settings.security is None else settings.security.key_file
    if key_file is None or key_file.exists():
        return
    log = logging.getLogger(__name__)
    try:
        from clearway_edge import enrolment

        made = enrolment.enrol(settings)
    except ClearwayError as error:
        log.warning("enrolment_failed", extra={"error": str(error)})
    else:
        log.info("enrolment_key_made", extra={"request": str(made.request_file)})


def enrol(settings_file: Path, *, certificate: Path | None = None) -> Mapping[str, object]:
    """Make the gateway's key and request, or put a signed certificate in place.

    Parameters
    ----------
    certificate
        What the CA sent back; None: make key and request, if they are not there yet.

    Raises
    ------
    SettingsError
        If the settings have faults.
    EnrolmentFailed
        If the certificate is not this gateway's; the one in place stays.
    """
    from clearway_edge import enrolment
    from clearway_edge.settings.settings import read_settings

    settings = read_settings(settings_file)
    if certificate is None:
        done = enrolment.enrol(settings)
    else:
        done = enrolment.install(settings, certificate, now=SystemClock().now())
    return {
        "gateway": done.gateway,
        "key_file": str(done.key_file),
        "request_file": str(done.request_file),
        "certificate_file": str(done.certificate_file),
        "public_key_sha256": done.public_key_sha256,
        "expires_at": None if done.expires_at is None else done.expires_at.isoformat(),
        "next_step": done.next_step,
    }


def check(settings_file: Path, *, clock: Clock | None = None) -> Mapping[str, object]:
    """Return what a gateway would do under its settings, and warnings; no connection is opened.

    Raises
    ------
    SettingsError
        With every fault of the settings.
    """
    from clearway_edge.settings.effective_settings import effective
    from clearway_edge.settings.settings import read_settings
    from clearway_edge.settings.settings_warnings import warnings_of

    settings = read_settings(settings_file)
    return {
        "gateway": settings.name,
        "folder": str(gateway_dir(settings.data_dir, settings.name).root),
        "warnings": warnings_of(settings, (clock or SystemClock()).now()),
        "settings": effective(settings),
        "settings_hash": settings.fingerprint,
    }


def init(
    settings_file: Path,
    *,
    name: str,
    time_zone: str,
    sources: Sequence[str] = DEFAULT_SOURCES,
    site: str | None = None,
    position_deg: tuple[float, float] | None = None,
) -> Path:
    """Write settings for a new gateway, with a sample of each source, and return the file.

    Parameters
    ----------
    sources
        Kinds, each as often as there are sensors of it.
    site, position_deg
        The place and its (lon, lat) [°].

    Raises
    ------
    UsageError
        If the file exists already, a kind is unknown, or what was given makes no valid settings;
        nothing is written then.
    """
    from clearway_edge.settings.sample_settings import sample_settings
    from clearway_edge.settings.settings import read_settings

    text = sample_settings(
        name=name, time_zone=time_zone, sources=sources, site=site, position_deg=position_deg
    )
    try:
        settings_file.parent.mkdir(parents=True, exist_ok=True)
        with settings_file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError as error:
        message = f"{settings_file} exists already: edit it, or give another path"
        raise UsageError(message) from error
    try:
        read_settings(settings_file)
    except SettingsError as error:
        settings_file.unlink()
        message = f"nothing was written, for it would say: {error}"
        raise UsageError(message) from error
    return settings_file


def status(data_dir: Path) -> list[Mapping[str, object]]:
    """Return the books of every gateway that has an outbox in the data folder.

    The outbox is read beside a running gateway and not changed. What the gateway last said about
    forwarder, clock and sources stands beside them.
    """
    from clearway_core.data_dir import DataDir
    from clearway_edge.condition.gateway_status import read_status
    from clearway_edge.condition.state_file import is_running, read_state
    from clearway_edge.gateway_dir import GatewayDir

    folders = [
        GatewayDir(file.parent)
        for file in sorted(DataDir(data_dir).gateways.glob("*/outbox.sqlite"))
    ]
    return [
        {
            **read_status(folder.outbox),
            "running": is_running(folder.lock),
            "said": read_state(folder.state),
        }
        for folder in folders
    ]
