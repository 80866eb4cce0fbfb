"""How well the next hour is forecast on a week of 207 loop detectors, beside plain forecasts.

    python benchmarks/forecast.py --data FOLDER [--out FILE.json]

FOLDER holds ``traffic/los_loop``. The last fifth is the test; nothing is shuffled.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from clearway_models.forecast.evaluation import HorizonScore, rolling_origin
from clearway_models.forecast.parameters import forecast_parameters

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from doubles import forecast_loops as loops

PUBLISHED = {
    "what": "METR-LA: 207 loops, four months, zeros masked, 70/10/20 split by time, mph",
    "differences": "Here one week, of which 4.5 days are learned from, 1.1 calibrate and 1.4 are "
    "the test; gaps were filled in the file and count; same detectors, same unit. Compare orders "
    "of magnitude only.",
    "mae_mph_15_30_60": {
        "unverified": {
            "historical average": [4.16, 4.16, 4.16],
            "ARIMA": [3.99, 5.15, 6.90],
            "FC-LSTM": [3.44, 3.77, 4.37],
            "DCRNN": [2.77, 3.15, 3.60],
            "Graph WaveNet": [2.69, 3.07, 3.53],
        }
    },
    "mae_rmse_mph": {
        "source": "Hindawi 2021, article 9134942; horizon not stated",
        "historical average": [7.50, 11.93],
        "VAR": [4.68, 8.37],
        "STGCN": [3.65, 7.46],
        "DCRNN": [3.17, 6.47],
        "Graph WaveNet": [3.04, 6.09],
    },
    "rmse_mph_15": {
        "source": "UCTB benchmark",
        "closeness mean": 7.150,
        "trend mean": 8.934,
        "ARIMA": 7.028,
        "GBRT": 6.371,
        "XGBoost": 6.443,
        "DCRNN": 6.440,
        "STGCN": 6.236,
    },
}


def in_mph(score: HorizonScore) -> dict[str, object]:
    """Return a score in the unit of the file and of what is published."""
    mph = 1 / loops.KMH_PER_MPH
    return {
        "horizon_minutes": score.horizon_minutes,
        "n": score.n,
        "mae_mph": {name: round(value * mph, 3) for name, value in score.mae_kmh.items()},
        "rmse_mph": {name: round(value * mph, 3) for name, value in score.rmse_kmh.items()},
        "beats_every_baseline": score.beats_baselines,
        "mape_pct": round(score.mape_pct, 2),
        "coverage": round(score.coverage, 4),
        "coverage_before_conformalising": round(score.raw_coverage, 4),
        "mean_width_mph": round(score.width_kmh * mph, 2),
        "interval_score_mph": round(score.interval_score_kmh * mph, 2),
        "pinball_mph": round(score.pinball_kmh * mph, 3),
        "skill_against_historical_average": round(score.skill, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    panel = loops.panel(options.data / "traffic" / "los_loop")
    begun = time.process_time()
    scores = rolling_origin(
        panel,
        test_start=loops.first_tested(panel.n_windows),
        horizons=loops.HORIZONS,
        parameters=forecast_parameters(),
    )
    result = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu_s": round(time.process_time() - begun, 1),
        "los_loop": [in_mph(score) for score in scores],
        "published": PUBLISHED,
    }
    text = json.dumps(result, indent=2)
    print(text)
    if options.out is not None:
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
