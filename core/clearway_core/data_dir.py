"""Where one installation keeps its things: a folder given by ``--data-dir``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DEFAULT = Path(".clearway")


@dataclass(frozen=True, slots=True)
class DataDir:
    """Paths below the data folder; nothing is created by asking for a path."""

    root: Path

    @property
    def log_file(self) -> Path:
        """The embedded log."""
        return self.root / "log.sqlite"

    @property
    def broker(self) -> Path:
        """Topics of a Kafka broker that `clearway broker run` started."""
        return self.root / "broker"

    @property
    def lake(self) -> Path:
        """The Delta tables."""
        return self.root / "lake"

    @property
    def gateways(self) -> Path:
        """One folder per gateway: outbox and pseudonym keys."""
        return self.root / "gateways"

    @property
    def models(self) -> Path:
        """Trained models with their cards."""
        return self.root / "models"

    @property
    def quality(self) -> Path:
        """Reports of the quality gates."""
        return self.root / "quality"

    @property
    def reports(self) -> Path:
        """Monthly reports, by kind and month; each revision is frozen."""
        return self.root / "reports"

    @property
    def city(self) -> Path:
        """The city pack that this installation works for, if one was chosen."""
        return self.root / "city"

    @property
    def airflow(self) -> Path:
        """Home of a local Airflow."""
        return self.root / "airflow"
