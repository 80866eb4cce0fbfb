"""What the command line, the DAGs and the demo call: emissions, proposals, decisions, calibration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from clearway_core.city import City
from clearway_core.clock import Clock, SystemClock
from clearway_core.errors import InsufficientData, UsageError
from clearway_core.lake import Lake
from clearway_core.progress import Progress, silent
