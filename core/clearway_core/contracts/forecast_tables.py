"""What is expected next: speeds per cell for the next hour, with intervals."""

from __future__ import annotations

from clearway_core.contracts.columns import instant, number, share, text, whole
from clearway_core.contracts.field import Contract, DataType, Field, Rule
from clearway_core.contracts.window_columns import (
    DISTINCT,
    PROVIDERS_RULE,
    WINDOW,
    WINDOW_KEY,
    WINDOW_PARTITION,
)

HORIZONS_MINUTES = (15, 30, 60)

FORECASTS = Contract(
    name="forecasts",
    version=1,
    description="Expected space-mean speed per cell for windows to come, with 90 % interval. "
    "window_start is that of the window that is forecast.",
    fields=(
        *WINDOW,
        whole(
            "horizon_minutes",
            "From the start of the newest observed window to window_start.",
            unit="min",
            minimum=HORIZONS_MINUTES[0],
            maximum=HORIZONS_MINUTES[-1],
        ),
        instant(
            "issued_at",
            "End of the newest window that was observed anywhere; nothing later was used.",
        ),
        instant(
            "evidence_start",
            "Start of the newest window in which this cell was observed, which the counts of "
            "vehicles and providers belong to.",
        ),
        number("forecast_kmh", "km/h", "Expected speed (the median).", minimum=0, maximum=160),
        number("interval_low_kmh", "km/h", "Lower end of the 90 % interval.", minimum=0),
        number("interval_high_kmh", "km/h", "Upper end of the 90 % interval.", minimum=0),
        number(
            "baseline_kmh",
            "km/h",
            "What the best baseline of that horizon expects.",
            minimum=0,
            maximum=160,
        ),
        Field(
            name="method",
            dtype=DataType.STRING,
            pattern=r"model|fallback:[a-z_]+",
            description="What made it: 'model', or the baseline in its place while the model "
            "drifts.",
        ),
        text("model_id", "Model with its card in the data folder's models/forecast."),
        *DISTINCT,
        share("top_vehicle_share", "Largest share of the evidence's time that one vehicle has."),
    ),
    key=(*WINDOW_KEY, "horizon_minutes"),
    partition_by=WINDOW_PARTITION,
    rules=(
        Rule(
            name="interval_below_forecast",
            left="interval_low_kmh",
            right="forecast_kmh",
            description="The interval holds the forecast.",
        ),
        Rule(
            name="forecast_below_interval",
            left="forecast_kmh",
            right="interval_high_kmh",
            description="The interval holds the forecast.",
        ),
        Rule(
            name="evidence_before_issue",
            left="evidence_start",
            right="issued_at",
            description="A forecast rests on what was observed before it was issued.",
        ),
        PROVIDERS_RULE,
    ),
    published=True,
)
