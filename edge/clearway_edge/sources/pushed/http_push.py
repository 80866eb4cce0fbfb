"""The endpoint that fleets push to: MDS 2.0.2 telemetry, and rows by a source profile.

A sender is told 200 when its readings are in the outbox, on the disk. A request that comes again
because its answer was lost is recognised by its bytes and stored once.
"""

from __future__ import annotations

import queue
import re
from dataclasses import dataclass
from pathlib import Path

import orjson

from clearway_core.clock import Clock
from clearway_core.contracts.wire import GPS_PING
from clearway_core.errors import SourceUnavailable, UsageError
from clearway_core.settings import Section
from clearway_edge.rows.chunk import Fault, RawChunk
from clearway_edge.rows.files import rows_of
from clearway_edge.rows.json_files import json_chunk
from clearway_edge.rows.profile import FileKind, SourceProfile
from clearway_edge.rows.unzip import GZIP_MAGIC
from clearway_edge.sources.kinds import Tools
from clearway_edge.sources.mapping import (
    RowMapping,
    belonging_to,
    profile_of,
)
from clearway_edge.sources.pushed.push_desk import READINGS, TELEMETRY, FleetDesk, Job, Sender
from clearway_edge.sources.pushed.push_memory import RequestMemory
from clearway_edge.sources.pushed.push_server import ListenSettings, PushServer, listen_settings
from clearway_edge.sources.source import Intake
from clearway_edge.sources.tokens import read_token
from clearway_edge.sources.vehicle import optional_class, optional_trip_ends

UNPARSABLE = "unparsable_request"
"""A body that is not what its content type says; counted as one record."""

MDS_PROFILE = "mds_telemetry"

_PORT = 8471
_MAX_BODY_KIB = 512
"""About 9,000 rows or 1,500 points of MDS, which take 20 MB while they are converted."""

_LISTS = (("data", "telemetry"), ("telemetry",), ("data",))
"""Where an MDS message has its list of telemetry, beside a bare list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderSettings:
    """A sender.

    Parameters
    ----------
    token_file
        Holds its token.
    path
        Where it pushes to.
    profile
        How its rows are read, its provider included.
    """

    provider: str
    token_file: Path
    path: str
    profile: SourceProfile


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpPushSettings:
    """Where the endpoint listens, and to whom.

    Parameters
    ----------
    name
        The source's: what it remembers lies under it.
    """

    name: str
    listen: ListenSettings
    senders: tuple[SenderSettings, ...]


def settings_of(section: Section, folder: Path) -> HttpPushSettings:
    """Read the keys of a ``[[source]]`` of this kind."""
    listen = listen_settings(section, folder, port=_PORT, max_body_kib=_MAX_BODY_KIB)
    if not listen.is_local and listen.certificate_file is None:
        section.fault(
            "host",
            f"on {listen.host} tokens would travel in the clear: give certificate_file and "
            "key_file, or listen on 127.0.0.1 behind a proxy that speaks TLS",
        )
    tables = section.sections("sender")
    if not tables:
        section.fault("sender", "missing; expected at least one [[source.sender]] table")
    senders = [_sender(table, folder) for table in tables]
    return HttpPushSettings(
        name=section.text("name", "http_push"),
        listen=listen,
        senders=tuple(sender for sender in senders if sender is not None),
    )


def _sender(section: Section, folder: Path) -> SenderSettings | None:
    provider = section.matching("provider", GPS_PING.field("provider").pattern)
    token_file = folder / section.text("token_file")
    kinds = (FileKind.CSV, FileKind.JSONL, FileKind.JSON)
    path = READINGS if "profile" in section else TELEMETRY
    profile = profile_of(section, folder, kinds=kinds, default=MDS_PROFILE)
    vehicle_class = optional_class(section)
    trip_ends = optional_trip_ends(section)
    section.finish()
    if profile is None:
        return None
    return SenderSettings(
        provider=provider,
        token_file=token_file,
        path=path,
        profile=belonging_to(profile, provider, vehicle_class=vehicle_class, trip_ends=trip_ends),
    )


def open_source(settings: HttpPushSettings, tools: Tools) -> HttpPushSource:
    """Return the endpoint; it listens once it is first read."""
    beside = re.sub(r"[^\w.-]", "_", settings.name)
    state_dir = None if tools.state_dir is None else tools.state_dir / beside
    return HttpPushSource(settings, state_dir, clock=tools.clock)


class HttpPushSource:
    """Readings that fleets push.

    Parameters
    ----------
    settings
        Where it listens, and to whom.
    state_dir
        Where it remembers which requests are stored; None: until the process ends.
    clock
        Tells when it forgets them.
    """

    def __init__(
        self, settings: HttpPushSettings, state_dir: Path | None, *, clock: Clock | None = None
    ) -> None:
        self._settings = settings
        self._memory = RequestMemory(state_dir, clock=clock)
        self._desk: FleetDesk | None = None
        self._server: PushServer | None = None

    @property
    def port(self) -> int | None:
        """Port on which it listens, or None while it does not."""
        return None if self._server is None else self._server.port

    def read(self, timeout_s: float) -> Intake:
        """Return the readings of one request."""
        desk = self._listening()
        try:
            job = desk.jobs.get(timeout=max(timeout_s, 0.001))
        except queue.Empty:
            self._memory.forget_old()
            return Intake()
        intake = Intake(settle=job.settle)
        try:
            self._convert(job)
            intake.readings = job.mapped.readings
            intake.dropped = job.mapped.dropped
        except Exception:
            job.done.set()  # its sender must not wait for a reader that has failed
            raise
        job.accepted = len(intake.readings)
        job.body = b""
        job.mapped.readings = []
        if job.repeated:
            job.settle(stored=True)
            return Intake()
        return intake

    def close(self) -> None:
        """Listen no more; what nobody has read is answered with "come again"."""
        if self._server is not None:
            self._server.close()
            self._server = None
        while self._desk is not None:
            try:
                self._desk.jobs.get_nowait().done.set()
            except queue.Empty:
                return

    def _listening(self) -> FleetDesk:
        if self._desk is None:
            senders = [
                Sender(
                    provider=sender.provider,
                    token=read_token(sender.token_file),
                    path=sender.path,
                    mapping=RowMapping(sender.profile),
                )
                for sender in self._settings.senders
            ]
            if len({sender.token.reveal() for sender in senders}) < len(senders):
                message = "two senders have the same token: make one for each of them"
                raise SourceUnavailable(message)
            self._desk = FleetDesk(senders, self._memory)
        if self._server is None:
            self._server = PushServer(self._settings.listen, self._desk)
        return self._desk

    @staticmethod
    def _convert(job: Job) -> None:
        profile = job.sender.mapping.profile
        try:
            if job.sender.path == TELEMETRY:
                chunks = [_telemetry(job.body, profile)]
            elif job.body.startswith(GZIP_MAGIC):
                # A megabyte may unpack to a gigabyte.
                chunks = [_unusable(profile, "Expected a body that is not packed.")]
            else:
                chunks = list(rows_of(job.body, profile, place="request"))
        except UsageError:
            columns = ", ".join(profile.source_columns)
            remedy = f"Expected {profile.format.kind} with {columns}, each named once."
            chunks = [_unusable(profile, remedy)]
        job.mapped = job.sender.mapping.readings(chunks)


def _telemetry(body: bytes, profile: SourceProfile) -> RawChunk:
    """Return the telemetry of an MDS message; what it has beside that, trips too, stays behind."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _unusable(profile, "Expected a JSON document.")
    found = document
    for path in _LISTS:
        below = document
        for key in path:
            below = below.get(key) if isinstance(below, dict) else None
        if isinstance(below, list):
            found = below
            break
    if not isinstance(found, list):
        return _unusable(profile, "Expected a list of telemetry, or one under `telemetry`.")
    return json_chunk(list(enumerate(found, 1)), profile, place="telemetry")


def _unusable(profile: SourceProfile, remedy: str) -> RawChunk:
    fault = Fault(
        reason=UNPARSABLE, where="request", column="", found="something else", remedy=remedy
    )
    columns: dict[str, list[object]] = {name: [] for name in profile.source_columns}
    return RawChunk(seq=[], lines=[], columns=columns, faults=[fault], place="request")
