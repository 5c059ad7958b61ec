"""How a radar samples the ice: at 256 rows a frame, or as finely and over as long a window as in genuine files."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

ROWS = 256
"""Rows of a frame at the scale in which campaigns are described."""
ABOVE, BELOW = 24, 192
"""Rows above and below these that hold echo in a genuine window. Beyond them no echo is left, only noise."""


@dataclass(frozen=True)
class Genuine:
    """Size and structure of a file as a lab has it.

    `oversampling`: samples of fast time for each row of a frame of 256 rows. `samples`: samples of the whole window, most
    of which is air above the ice or noise below it. `along`: columns for each independent trace, from overlapping
    apertures; speckle is correlated over as many. `repeat`: how often each column is written.
    """

    oversampling: float = 1.0
    samples: int = 10_000
    along: float = 1.0
    repeat: int = 1

    def __post_init__(self) -> None:
        if not 0.5 <= self.oversampling <= 8 or not 1 <= self.along <= 8 or not 1 <= self.repeat <= 16:
            raise ValueError(
                f"{self} cannot be simulated: oversampling is from 0.5 to 8, along from 1 to 8, repeat from 1 to 16"
            )
        if self.samples < ROWS * self.oversampling:
            raise ValueError(
                f"{self} cannot be simulated: the ice alone takes {ROWS * self.oversampling:.0f} samples of the window"
            )


@dataclass(frozen=True)
class Grid:
    """Samples and columns of a record of `traces` independent traces.

    Sample 0 of the stretch of `samples` that is filled with echo lies `above` samples above the frame's top; the
    stretch begins `opens` samples after the window of `window` samples does. `scale`: samples a row. `fine`: whether the
    radar samples this ice finely, so that it is the same ice as at 256 rows. Rows are in samples from the frame's top.
    """

    traces: int
    samples: int
    scale: float
    fine: bool = False
    above: int = 0
    opens: int = 0
    window: int = 0
    along: float = 1.0

    @classmethod
    def plain(cls, traces: int, samples: int) -> "Grid":
        """A frame of the campaign's own scale."""
        return cls(traces, samples, samples / ROWS, window=samples)

    @classmethod
    def genuine(cls, traces: int, genuine: Genuine, first: int) -> "Grid":
        """A window of `genuine` in which the frame's top lies at sample `first`."""
        scale = genuine.oversampling
        above = min(first, round(ABOVE * scale))
        below = min(genuine.samples - first, round((ROWS + BELOW) * scale))
        return cls(traces, above + below, scale, True, above, first - above, genuine.samples, genuine.along)

    @cached_property
    def row(self) -> np.ndarray:
        """(samples, 1), from the frame's top."""
        return np.arange(self.samples)[:, None] - self.above

    @cached_property
    def trace(self) -> np.ndarray:
        """(columns,) the trace that each column shows; fractional."""
        return (np.arange(round(self.traces * self.along)) + 0.5) / self.along - 0.5

    def held(self, per_trace: np.ndarray) -> np.ndarray:
        """(..., columns) of a value (..., traces) drawn for each trace: overlapping apertures see the same scatterers."""
        return per_trace[..., np.clip(np.rint(self.trace).astype(int), 0, self.traces - 1)]

    def column_of(self, trace: np.ndarray) -> np.ndarray:
        """The column that shows each whole trace best."""
        return np.clip(np.floor((trace + 0.5) * self.along).astype(int), 0, self.trace.size - 1)

    def sample_of(self, rows: np.ndarray) -> np.ndarray:
        """The whole sample of the stretch at or above each row."""
        return np.clip(rows + self.above, 0, self.samples - 1).astype(int)

    def in_window(self, power: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """(window, columns): the stretch's `power`, and `noise` (columns,) above and below it."""
        if self.window == self.samples:
            return power
        whole = np.repeat(np.asarray(noise, dtype=power.dtype)[None], self.window, axis=0)
        whole[self.opens : self.opens + self.samples] = power
        return whole
