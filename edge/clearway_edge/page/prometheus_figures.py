"""The gateway's figures in the form that Prometheus reads; none of them names a vehicle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from clearway_core.errors import MissingDependency
from clearway_edge.condition.health import agent_version
from clearway_edge.condition.snapshot import Snapshot

try:
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
    from prometheus_client.registry import Collector
except ImportError as error:
    message = "figures for Prometheus need prometheus-client: install 'clearway[edge]'"
    raise MissingDependency(message) from error

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_STATES = ("connecting", "draining", "up to date", "refused")
_PREFIX = "clearway_gateway_"


def exposition(seen: Snapshot) -> bytes:
    """Return the figures of a moment as text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(seen))
    return generate_latest(registry)


class _Figures(Collector):
    def __init__(self, seen: Snapshot) -> None:
        self._seen = seen

    def collect(self) -> Iterable[Metric]:
        """Return every figure that is known; what is not known is left out, never 0."""
        yield from self._readings()
        yield from self._sources()
        yield from self._sending()
        yield from self._machine()

    def _readings(self) -> Iterator[Metric]:
        read = _counter("readings_read", "Readings read since the start.", "contract")
        delivered = _counter("readings_delivered", "Of these, taken by the log.", "contract")
        dropped = _counter(
            "readings_dropped", "Of these, given up, by reason.", "contract", "reason"
        )
        for contract, account in sorted(self._seen.accounts.items()):
            read.add_metric([contract], account.read)
            delivered.add_metric([contract], account.delivered)
            for reason, count in sorted(account.dropped.items()):
                dropped.add_metric([contract, reason], count)
        spooled = _gauge("spooled_readings", "Readings that wait in the outbox.", "contract")
        for contract, waiting in sorted(self._seen.spooled.items()):
            spooled.add_metric([contract], waiting)
        yield from (read, delivered, dropped, spooled)

    def _sources(self) -> Iterator[Metric]:
        labels = ("source", "kind")
        up = _gauge("source_up", "1 if the source can be read.", *labels)
        age = _gauge("source_last_reading_age_seconds", "Since its last reading.", *labels)
        count = _counter("source_readings", "Readings of the source since the start.", *labels)
        for name, state in sorted(self._seen.sources.items()):
            up.add_metric([name, state.kind], 0 if state.error else 1)
            count.add_metric([name, state.kind], state.n_readings)
            if state.last_reading_age_s is not None:
                age.add_metric([name, state.kind], state.last_reading_age_s)
        yield from (up, age, count)

    def _sending(self) -> Iterator[Metric]:
        seen = self._seen
        state = _gauge("forwarder_state", "1 for the state that it is in.", "state")
        for name in _STATES:
            state.add_metric([name], 1 if seen.forwarder_state.startswith(name) else 0)
        yield state
        yield _one(_counter("sent_bytes", "Payload that the log has taken."), seen.sent_bytes)
        yield from _known(
            ("spooled_bytes", "Payload that waits in the outbox.", seen.spooled_bytes),
            ("spooled_max_bytes", "What may wait at most.", seen.max_spooled_bytes),
            ("spooled_oldest_age_seconds", "Age of the oldest that waits.", _oldest_s(seen)),
        )
        yield _one(_counter("outbox_set_aside", "Damaged parts set aside."), seen.set_aside)
        yield _one(_counter("unclean_stops", "Starts after a crash."), seen.unclean_stops)

    def _machine(self) -> Iterator[Metric]:
        seen = self._seen
        about = _gauge("info", "Always 1.", "gateway", "site", "version")
        about.add_metric([seen.gateway, seen.site or "", agent_version()], 1)
        yield about
        expires = None if seen.certificate is None else seen.certificate.expires_at.timestamp()
        yield from _known(
            ("uptime_seconds", "Since the agent started.", seen.uptime_s),
            ("clock_synchronised", "1 if the clock is set.", int(seen.clock_synchronised)),
            ("clock_offset_seconds", "Clock minus reference clock.", seen.clock_offset_s),
            ("cpu_temperature_celsius", "Of the processor.", seen.cpu_temperature_c),
            ("resident_memory_bytes", "Memory of the agent.", seen.resident_bytes),
            ("disk_free_bytes", "Under the outbox.", seen.disk.free_bytes if seen.disk else None),
            ("certificate_expiry_timestamp_seconds", "When the certificate ends.", expires),
        )


def _oldest_s(seen: Snapshot) -> float:
    return 0.0 if seen.oldest_spooled_age_s is None else seen.oldest_spooled_age_s


def _counter(name: str, text: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(_PREFIX + name, text, labels=labels)


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(_PREFIX + name, text, labels=labels)


def _one(family: CounterMetricFamily, value: float) -> CounterMetricFamily:
    family.add_metric([], value)
    return family


def _known(*figures: tuple[str, str, float | None]) -> Iterator[Metric]:
    for name, text, value in figures:
        if value is not None:
            yield GaugeMetricFamily(_PREFIX + name, text, value=value)
