"""What every proposal says about itself, so that nobody reads more into it."""

from __future__ import annotations

LIMITS = (
    "Speeds come from a sample of vehicles; they are a congestion proxy, not a count.",
    (
        "Delay is counted from the pace of quiet hours, or from the free-flow speed where that is "
        "slower. Both come from the same vehicles, so a fault they share stays in the difference."
    ),
    (
        "The price of a kilometre is what it costs others: delay (congestion) and damage by NOx "
        "and fine particles (environment). The two are shown apart, because one may be justified "
        "where the other is not. CO2 is left out: fuel duty bears on it."
    ),
    (
        "Delay usually outweighs emissions by far. A flat charge per day on old vehicles is an "
        "instrument to renew a fleet, and cannot be derived from damage per kilometre."
    ),
    (
        "The response of traffic is taken from other cities by an elasticity; it is an assumption, "
        "not a finding. Changes of departure time and of destination are inside it."
    ),
    (
        "Traffic that drives around the zone is not modelled: 1 to 10 % of what is removed may "
        "reappear there."
    ),
    (
        "Emissions are of warm engines by mean speed: no cold starts, no resuspension, no "
        "chemistry. A change of concentrations will mostly be too small for low-cost sensors."
    ),
    "Effects are for the first months. Fleet renewal and land use are not in them.",
)
