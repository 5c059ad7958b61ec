"""What the receiver adds: changes of its gain, and traces that the recorder loses."""

import numpy as np

from .campaigns import Campaign


def gain_db(campaign: Campaign, rng: np.random.Generator, traces: int) -> np.ndarray:
    """(traces,) receiver gain in dB: steps where the operator or the automatic control changed it."""
    gain = np.zeros(traces)
    for _ in range(rng.poisson(campaign.gain_steps)):
        gain[rng.integers(traces) :] += rng.choice([-1, 1]) * rng.uniform(1.5, 4)
    return gain


def dropped(campaign: Campaign, rng: np.random.Generator, traces: int) -> np.ndarray:
    """(traces,) True where the recorder lost a trace; they are lost in bursts of up to six."""
    lost = np.zeros(traces, bool)
    for start in rng.integers(0, traces, rng.poisson(campaign.dropped * traces / 3)):
        lost[start : start + rng.integers(1, 7)] = True
    return lost
