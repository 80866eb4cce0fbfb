"""What gateways' reports say that needs a hand: conditions on one device, without I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from clearway_fleet.causes import (
    BACKLOG_GROWING,
    CERTIFICATE_EXPIRES,
    CERTIFICATE_EXPIRES_SOON,
    CLOCK_WRONG,
    DISK_NEARLY_FULL,
    OUTBOX_SET_ASIDE,
    PROCESSOR_HOT,
    READINGS_LOST,
    SENSOR_SILENT,
    WRONG_SITE,
    causes,
)
from clearway_fleet.finding import Finding, bytes_words, duration_words
from clearway_fleet.reports import Heard, Report, SensorState
from clearway_fleet.thresholds import Thresholds

BY_DESIGN = frozenset({"trip_end"})
"""Reasons for which records are given up on purpose: nobody needs to do anything."""

_FRESH_S = 300.0
"""A report that took longer to the log tells of an outage that is over, not of now."""

_LONGEST_ERROR = 160


def losses_of(heard: Heard, limits: Thresholds) -> dict[str, int]:
    """Return what was given up since yesterday and should not have been, by reason.

    What the outbox gave up always counts; what could not be read only above a share, since a long
    cable damages a sentence now and then.
    """
    dropped = {r: n for r, n in heard.dropped.items() if n > 0 and r not in BY_DESIGN}
    sure = {r: n for r, n in dropped.items() if r.startswith("outbox_") or r == "message_too_large"}
    unreadable = {r: n for r, n in dropped.items() if r not in sure}
    enough = heard.n_read >= limits.losses_least
    if enough and sum(unreadable.values()) > limits.losses_share * heard.n_read:
        sure |= unreadable
    return dict(sorted(sure.items()))


def device_findings(
    site: str, heard: Heard, now: datetime, *, limits: Thresholds, silent: bool
) -> list[Finding]:
    """Return what a site's device says that needs a hand.

    Parameters
    ----------
    site
        The site.
    heard
        What is known of its device.
    now
        The moment of the look.
    limits
        From when on something needs a hand.
    silent
        Whether the device is not heard now: then what it said last may no longer hold, and raises
        no alarm.
    """
    if heard.latest is None:
        return []
    look = _Look(site=site, heard=heard, latest=heard.latest, now=now, limits=limits, silent=silent)
    return [
        *look.simple(),
        *look.backlog(),
        *look.sensors(),
        *look.losses(),
        *look.certificate(),
    ]


@dataclass(frozen=True, slots=True)
class _Condition:
    cause: str
    holds: Callable[[Report], bool]
    words: Callable[[Report], str]
    hold_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """One device at one moment."""

    site: str
    heard: Heard
    latest: Report
    now: datetime
    limits: Thresholds
    silent: bool

    @property
    def reports(self) -> Sequence[Report]:
        """Reports in the order of their arrival; the latest is the last."""
        return self.heard.recent or (self.latest,)

    def simple(self) -> Iterator[Finding]:
        """Return what a single report tells."""
        for condition in _conditions(self.site, self.limits):
            since_at = self._run_start(condition.holds)
            held = since_at is not None and (
                self.latest.received_at - since_at >= timedelta(seconds=condition.hold_s)
            )
            if held or self._held_lately(condition.holds):
                yield self._finding(
                    condition.cause,
                    since_at=since_at or self.latest.received_at,
                    detail=condition.words(self.latest),
                    active=held,
                )

    def backlog(self) -> Iterator[Finding]:
        """Return a backlog that does not get shorter although the device is heard.

        Only fresh reports count: after an outage the reports of the outage come in a burst, and
        the backlog gets shorter from then on.
        """
        limits = self.limits
        age_s = self.latest.oldest_spooled_age_s
        if age_s is None or age_s <= limits.backlog_age_s:
            return
        fresh = [report for report in self.reports if report.delay_s <= _FRESH_S]
        from_at = self.latest.received_at - timedelta(seconds=limits.backlog_watched_s)
        before = [report for report in fresh if report.received_at <= from_at]
        grows = bool(before) and self.latest.n_spooled >= before[-1].n_spooled
        yield self._finding(
            BACKLOG_GROWING,
            since_at=self.latest.received_at - timedelta(seconds=age_s),
            detail=f"{self.latest.n_spooled:,} records wait, the oldest for "
            f"{duration_words(age_s)}; {self.latest.forwarder_state or 'state not told'}",
            active=grows and self.latest.delay_s <= _FRESH_S,
        )

    def sensors(self) -> Iterator[Finding]:
        """Return sensors that give nothing."""
        longest_s = self.limits.sensor_silent_s
        for name, sensor in self.latest.sensors.items():
            if sensor.age_s is not None:
                silent_s = sensor.age_s
            else:
                start = self._run_start(lambda report, name=name: _never_read(report, name))  # type: ignore[misc]
                silent_s = (
                    0.0 if start is None else (self.latest.received_at - start).total_seconds()
                )
            lately = self._held_lately(
                lambda report, name=name: _is_quiet(report, name, longest_s)  # type: ignore[misc]
            )
            if silent_s > longest_s or lately:
                yield Finding(
                    cause=SENSOR_SILENT,
                    about=f"{self.site}/{name}",
                    since_at=self.latest.received_at - timedelta(seconds=silent_s),
                    detail=_sensor_words(sensor, silent_s),
                    active=silent_s > longest_s and not self.silent,
                    bring=causes()[SENSOR_SILENT].kinds.get(sensor.kind),
                )

    def losses(self) -> Iterator[Finding]:
        """Return what was given up since yesterday."""
        lost = losses_of(self.heard, self.limits)
        if lost:
            words = ", ".join(f"{reason} {count:,}" for reason, count in lost.items())
            yield self._finding(
                READINGS_LOST,
                since_at=self.latest.received_at,
                detail=f"within a day: {words}",
                active=True,
            )

    def certificate(self) -> Iterator[Finding]:
        """Return a certificate that ends; that is known of a silent device too."""
        ends_at = self.latest.certificate_expires_at
        limits = self.limits
        if ends_at is None or ends_at - self.now > timedelta(days=limits.certificate_first_d):
            return
        soon = ends_at - self.now <= timedelta(days=limits.certificate_last_d)
        detail = f"it {'ended' if ends_at <= self.now else 'ends'} on {ends_at:%Y-%m-%d}"
        # The later alarm stays until there is a new certificate, not only one a week longer.
        for cause, active in ((CERTIFICATE_EXPIRES_SOON, soon), (CERTIFICATE_EXPIRES, not soon)):
            if active or cause == CERTIFICATE_EXPIRES_SOON:
                yield Finding(
                    cause=cause,
                    about=self.site,
                    since_at=self.now,
                    detail=detail,
                    active=active,
                )

    def _finding(self, cause: str, *, since_at: datetime, detail: str, active: bool) -> Finding:
        return Finding(
            cause=cause,
            about=self.site,
            since_at=since_at,
            detail=detail,
            active=active and not self.silent,
        )

    def _run_start(self, holds: Callable[[Report], bool]) -> datetime | None:
        """Return since when a condition holds without a break, or None if it does not hold now."""
        start = None
        for report in reversed(self.reports):
            if not holds(report):
                break
            start = report.received_at
        return start

    def _held_lately(self, holds: Callable[[Report], bool]) -> bool:
        """Return whether it held within the calm period; of a silent device, when last heard."""
        if self.silent and holds(self.latest):
            return True
        since = self.now - timedelta(seconds=self.limits.calm_period_s)
        return any(holds(report) for report in self.reports if report.received_at > since)


def _conditions(site: str, limits: Thresholds) -> tuple[_Condition, ...]:
    return (
        _Condition(
            WRONG_SITE,
            lambda report: report.site not in {None, site},
            lambda report: f"its settings say {report.site}",
        ),
        _Condition(
            OUTBOX_SET_ASIDE,
            lambda report: bool(report.set_aside),
            lambda report: f"damaged parts: {report.set_aside or 0}",
        ),
        _Condition(
            CLOCK_WRONG,
            lambda report: (
                report.clock_synchronised is False
                or abs(report.skew_s or 0.0) > limits.clock_skew_s
            ),
            _clock_words,
            limits.clock_hold_s,
        ),
        _Condition(
            DISK_NEARLY_FULL,
            lambda report: (
                report.disk_free_bytes is not None
                and report.disk_free_bytes < limits.disk_free_bytes
            ),
            lambda report: f"{bytes_words(report.disk_free_bytes or 0)} free",
        ),
        _Condition(
            PROCESSOR_HOT,
            lambda report: (
                report.cpu_temperature_c is not None
                and report.cpu_temperature_c >= limits.temperature_processor_c
            ),
            lambda report: f"{report.cpu_temperature_c or 0:.0f} °C",
        ),
    )


def _clock_words(report: Report) -> str:
    if report.skew_s is not None:
        return f"{report.skew_s:+.1f} s off"
    return "not synchronised"


def _never_read(report: Report, name: str) -> bool:
    sensor = report.sensors.get(name)
    return sensor is not None and sensor.age_s is None


def _is_quiet(report: Report, name: str, longest_s: float) -> bool:
    sensor = report.sensors.get(name)
    return sensor is not None and (sensor.age_s is None or sensor.age_s > longest_s)


def _sensor_words(sensor: SensorState, silent_s: float) -> str:
    words = f"{sensor.kind}: no reading for {duration_words(silent_s)}"
    return f"{words}; {sensor.error[:_LONGEST_ERROR]}" if sensor.error else words


def worst_sensor(sensors: Mapping[str, SensorState]) -> float | None:
    """Return the largest age of a last reading, or None where none ever came [s]."""
    return max((s.age_s for s in sensors.values() if s.age_s is not None), default=None)
