"""How an echogram is sampled, measured from the echogram itself: columns a trace, samples a pulse, where the echo lies.

Nothing here trusts what a file says of itself; `picture` compares.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d

FEWEST_TRACES, FEWEST_SAMPLES = 24, 64
"""A smaller echogram tells too little of its sampling, and is taken as it is."""

_ENOUGH_TRACES = 1024
"""More traces than this add nothing to a measurement."""

TRAINED_WAVELENGTH = 9.4
"""Rows: middle wavelength of the coherent echo (`echo_wavelength`) in the frames that the network is trained on. Over
28 simulated campaigns its logarithm has a standard deviation of 0.23."""
TRAINED_SPECKLE = 1.7
"""Rows: half width of the autocorrelation of speckle along fast time in a record, limited to the pulse's band, of those
frames. Their own is narrower."""

_REPEATED = 0.1
"""Neighbouring columns that differ by less than this share of what columns differ by usually are one trace drawn
twice."""
_REPEATED_SHARE = 0.3
_FEWEST_EDGES = 4
_SAME_EDGE = 1e-3
"""Edges that lie nearer to each other than this share of a trace are one."""
_MOST_TRACES_APART = 32
_QUIET_ROWS, _QUIET_SHARE = 32, 0.25
_UNRELATED = 0.15
_ROUNDED, _WIDTH_ROUNDED, _WIDTH_TRIANGLE = 0.79, 1.4, 2.0
_SIGNIFICANT = 3.0
_LEAST_SHARED = 0.01
"""Share of an echogram's variance below which what neighbouring traces share may be chance."""
_MIDDLE = 0.5


def filled(power_db: np.ndarray) -> np.ndarray:
    """`power_db` (samples, traces) as float32 without its empty traces, missing samples at their trace's median."""
    finite = np.isfinite(power_db)
    kept = finite.mean(axis=0) > 0.5
    power_db, finite = np.asarray(power_db[:, kept], np.float32), finite[:, kept]
    if finite.all():
        return power_db
    with np.errstate(invalid="ignore"):
        return np.where(finite, power_db, np.nanmedian(power_db, axis=0)).astype(np.float32)


@dataclass(frozen=True)
class TraceGrid:
    """Independent traces among the columns of an echogram: each takes `width` columns, and one begins at the left edge
    of column `first`, which is at most 0."""

    width: float = 1.0
    first: float = 0.0
    repeated: bool = False


def trace_grid(power_db: np.ndarray) -> TraceGrid:
    """How many columns one independent trace takes in an echogram (samples, columns) without gaps.

    Columns that repeat exactly are counted. Columns that were interpolated, or whose apertures overlap, share their
    speckle: its correlation along the track falls to nothing within one trace. It is measured where the echo is the
    least like that of its neighbours, in noise, since layers are alike over far longer distances.
    """
    if power_db.shape[1] < FEWEST_TRACES or len(power_db) < FEWEST_SAMPLES:
        return TraceGrid()
    start = (power_db.shape[1] - _ENOUGH_TRACES) // 2 if power_db.shape[1] > _ENOUGH_TRACES else 0
    steps = np.diff(power_db[:, start : start + _ENOUGH_TRACES], axis=0)
    change = np.abs(np.diff(steps, axis=1)).mean(axis=0)
    repeated = change <= _REPEATED * np.percentile(change, 95)
    if repeated.mean() > _REPEATED_SHARE:
        return _repeats(np.flatnonzero(~repeated) + 1 + start)
    correlation = _quietest_correlation(steps)
    half = _half_width(correlation)
    # A trace drawn several times has a triangle for its correlation; interpolation rounds the triangle's top.
    rounded = np.interp(half / 2, np.arange(correlation.size), correlation) > _ROUNDED if half > 2 else False
    width = half * (_WIDTH_ROUNDED if rounded else _WIDTH_TRIANGLE)
    # Speckle is a triangle or narrower: what is still alike a whole trace on is structure, which tells no width.
    beyond = int(np.ceil(2 * half)) if np.isfinite(half) else correlation.size
    if beyond >= correlation.size or correlation[beyond] > _UNRELATED:
        return TraceGrid()
    return TraceGrid(max(1.0, float(width)))


def _repeats(edges: np.ndarray) -> TraceGrid:
    """The even grid that best explains where drawn traces change: `edges` (n,) are left edges of columns."""
    # Where drawing blended two traces into a column between them, two changes follow each other: they are one.
    edges = edges[np.diff(edges, prepend=-2) > 1].astype(float)
    if edges.size < _FEWEST_EDGES:
        return TraceGrid()
    # Two neighbouring traces may look the same, so an edge may be missing: every step is as many traces as fit.
    steps = np.maximum(1, np.rint(np.diff(edges) / np.median(np.diff(edges))))
    width, first = (float(value) for value in np.polyfit(np.concatenate([[0], np.cumsum(steps)]), edges, 1))
    # A grid that begins at the left edge but for rounding has no trace beyond it.
    return TraceGrid(width, min(0.0, first - width * np.ceil(first / width - _SAME_EDGE)), repeated=True)


def _quietest_correlation(steps: np.ndarray) -> np.ndarray:
    """Correlation along the track, by lag in columns, of the quarter of rows whose columns have the least in common.

    `steps` (samples, columns) are differences along fast time, which speckle dominates.
    """
    lags = range(min(_MOST_TRACES_APART, steps.shape[1] // 2))
    blocks = np.array_split(steps, max(1, len(steps) // _QUIET_ROWS))
    power = np.array([np.mean(block**2) for block in blocks])
    alike = np.array(
        [
            [np.mean(block[:, : block.shape[1] - lag] * block[:, lag:]) for lag in lags]
            for block, strong in zip(blocks, power, strict=True)
            if strong > 0
        ]
    )
    if not alike.size:
        return np.ones(1)
    alike /= alike[:, :1]
    quiet = np.argsort(alike[:, 1:].mean(axis=1))[: max(1, int(_QUIET_SHARE * len(alike)))]
    return np.asarray(alike[quiet].mean(axis=0))


def _half_width(correlation: np.ndarray) -> float:
    """Lag at which a correlation falls to a half, by linear interpolation; NaN if it never does."""
    below = np.flatnonzero(correlation < 0.5)
    if not below.size or below[0] == 0:
        return float("nan")
    lag = int(below[0])
    return lag - 1 + float((correlation[lag - 1] - 0.5) / (correlation[lag - 1] - correlation[lag]))


@dataclass(frozen=True)
class Extent:
    """Samples `top` up to, but not including, `bottom`, between which there is echo somewhere along the track."""

    top: int
    bottom: int


_EXTENT_ROW_BLOCKS, _EXTENT_TRACE_BLOCKS = 1250, 32
_FLOOR_SHARE = 0.2
_ABOVE_FLOOR = 0.15
_CLEARLY = 5.0
_LOOKS_A_BLOCK = 100.0
"""Independent samples of a block: its mean then has an error of a tenth of the speckle's spread."""
_WIDEST = 4
_QUIETEST_OF = 16
_MOST_SAMPLES_ALIKE, _MOST_COLUMNS_ALIKE = 40, 8
_STILL_ALIKE = 0.1


def echo_extent(power_db: np.ndarray) -> Extent:
    """Where an echogram (samples, traces) holds more than noise. Every sample with echo lies inside; NaN is no echo.

    Means over blocks are compared with the noise floor of the same traces, the quietest fifth of their blocks, so that
    a step of the receiver's gain is no echo. A block counts as echo if it exceeds the floor by five standard errors and
    by a share of the speckle's spread. How many of its samples are independent is measured, since a record that is
    sampled finely, or whose apertures overlap, has far fewer of them. Noise that grows with depth counts as echo:
    it is better to keep too much.
    """
    samples, traces = power_db.shape
    spread, alike = _noise(power_db)
    wide = max(1, traces // _EXTENT_TRACE_BLOCKS)
    short = max(1, samples // _EXTENT_ROW_BLOCKS)
    tall = min(round(_LOOKS_A_BLOCK * alike / wide), samples // _QUIETEST_OF)
    blocks = {(short, wide), (max(short, tall), wide), (max(short, tall), max(1, traces // _WIDEST))}
    found = [_echo_between(power_db, *size, spread, alike) for size in blocks]
    top, bottom = min(extent.top for extent in found), max(extent.bottom for extent in found)
    return Extent(top, bottom) if bottom > top else Extent(0, samples)


def _echo_between(power_db: np.ndarray, tall: int, wide: int, spread: float, alike: float) -> Extent:
    """The extent of the echo in blocks of `tall` samples and `wide` traces, in noise of standard deviation `spread` of which
    `alike` samples stand for one; empty if there is none.
    """
    samples, traces = power_db.shape
    row_edges = np.arange(0, samples, tall)
    lowest, highest = samples, 0
    for left in range(0, traces - wide + 1, wide):
        part = np.asarray(power_db[:, left : left + wide if left + 2 * wide <= traces else traces], np.float32)
        finite = np.isfinite(part)
        count = np.add.reduceat(finite.sum(axis=1), row_edges).astype(float)
        total = np.add.reduceat(np.where(finite, part, 0).sum(axis=1, dtype=float), row_edges)
        usable = count > 0.5 * np.median(count)
        if usable.sum() < 4:
            continue
        mean = total[usable] / count[usable]
        error = spread * np.sqrt(min(1.0, alike / np.median(count[usable])))
        # In noise alone, the quietest fifth of blocks lies 1.4 errors below the median.
        floor = float(np.mean(np.sort(mean)[: max(2, int(_FLOOR_SHARE * mean.size))])) + 1.4 * error
        echo = row_edges[usable][mean > floor + max(_CLEARLY * error, _ABOVE_FLOOR * spread)]
        if echo.size:
            lowest, highest = min(lowest, int(echo[0])), max(highest, int(echo[-1]) + tall)
    return Extent(lowest, min(highest, samples))


def _noise(power_db: np.ndarray) -> tuple[float, float]:
    """Standard deviation of the noise of an echogram (samples, traces), and how many neighbouring samples stand for one
    independent one, in the quietest sixteenth of its samples.
    """
    samples, traces = power_db.shape
    start = max(0, (traces - _ENOUGH_TRACES) // 2)
    part = power_db[:, start : start + _ENOUGH_TRACES]
    tall = max(FEWEST_SAMPLES // 2, samples // _QUIETEST_OF)
    tops = range(0, max(1, samples - tall + 1), tall)
    with np.errstate(invalid="ignore"):
        level = [
            np.nanmean(part[top : top + tall]) if np.isfinite(part[top : top + tall]).any() else np.inf for top in tops
        ]
    quiet = filled(part[tops[int(np.argmin(level))] :][:tall])
    if quiet.shape[1] < 2 or len(quiet) < 2:
        return 1.0, 1.0
    quiet = quiet - quiet.mean(axis=0)
    quiet -= quiet.mean(axis=1, keepdims=True)
    power = float(np.mean(quiet**2))
    if power <= 0:
        return 1.0, 1.0
    down = _alike(quiet, power, _MOST_SAMPLES_ALIKE)
    return float(np.sqrt(power)), down * _alike(quiet.T, power, _MOST_COLUMNS_ALIKE)


def _alike(noise: np.ndarray, power: float, most: int) -> float:
    """Sum over the correlations of `noise` with itself, shifted along its first axis, up to where they vanish; at most `most`."""
    total = 1.0
    for lag in range(1, min(len(noise) // 2, most)):
        correlation = float(np.mean(noise[lag:] * noise[:-lag])) / power
        if correlation < _STILL_ALIKE:
            break
        total += 2 * correlation
    return min(total, float(most))


def echo_wavelength(power_db: np.ndarray) -> float:
    """Middle wavelength, in samples, of the echo that neighbouring traces share; NaN if they share none.

    `power_db` (samples, traces) without gaps, each trace independent. The cross spectrum of neighbouring traces holds
    the layers and the surface and not the speckle, however finely it is sampled. It is weighted with the square of
    the wave number, as in a derivative, so that slow trends with depth count little. Half of it lies below the
    middle wavelength.
    """
    samples, traces = power_db.shape
    if samples < FEWEST_SAMPLES or traces < FEWEST_TRACES:
        return float("nan")
    start = max(0, (traces - _ENOUGH_TRACES) // 2)
    image = power_db[:, start : start + _ENOUGH_TRACES]
    image = image - image.mean(axis=1, keepdims=True)
    image = (image - image.mean(axis=0)) * np.hanning(samples).astype(np.float32)[:, None]
    spectrum = np.fft.rfft(image, axis=0)
    shared = (spectrum[:, :-1] * np.conj(spectrum[:, 1:])).real
    window = max(3, samples // 64)
    error = np.sqrt(uniform_filter1d(shared.var(axis=1), window) / (shared.shape[1] * window))
    shared = uniform_filter1d(shared.mean(axis=1), window)
    shared = np.where(shared > _SIGNIFICANT * error, shared, 0.0)
    if shared.sum() <= _LEAST_SHARED * np.mean(np.abs(spectrum) ** 2, axis=1).sum():
        return float("nan")
    wave_number = np.arange(shared.size) / samples
    weight = np.cumsum(shared * wave_number**2)
    if weight[-1] <= 0:
        return float("nan")
    return float(1 / wave_number[np.searchsorted(weight, _MIDDLE * weight[-1])])


def speckle_width(power_db: np.ndarray) -> float:
    """Half width, in samples, of the autocorrelation of speckle along fast time; NaN where it cannot be measured.

    Taken from the differences of neighbouring independent traces, which share the layers and not the speckle, in the
    rows that differ from each other the most like noise. `power_db` as for `echo_wavelength`.
    """
    if power_db.shape[0] < FEWEST_SAMPLES or power_db.shape[1] < FEWEST_TRACES:
        return float("nan")
    start = max(0, (power_db.shape[1] - _ENOUGH_TRACES) // 2)
    part = power_db[:, start : start + _ENOUGH_TRACES]
    difference = part[:, 1:] - part[:, :-1]
    difference = difference - difference.mean(axis=0)
    size = len(difference)
    spectrum = (np.abs(np.fft.rfft(difference, 2 * size, axis=0)) ** 2).mean(axis=1)
    correlation = np.fft.irfft(spectrum)[: size // 2]
    return _half_width(correlation / correlation[0]) if correlation[0] > 0 else float("nan")


_LEFT_ALONE = 1.25
"""An echo up to this many times as wide as the middle of what the network knows is left as it is."""
_FINELY_SAMPLED, _MAY_BE_PULSE = 1.3, 0.8
_NARROWER, _WIDER = 1.6, 1.25


def samples_per_row(power_db: np.ndarray) -> tuple[float, str]:
    """Samples to average into one row, so that the echo has the width that the network is trained for; and why.

    `power_db` (samples, traces) without gaps, cut to its echo, each trace independent. In a record that is limited to
    the pulse's band speckle is as wide as the pulse. Both speckle and layers count where speckle
    does not contradict the layers, or is so wide that only the sampling can be the reason. The wavelength of the layers
    then moves the result by a bounded factor, since ice with few layers has long wavelengths at any sampling. Narrower
    speckle tells nothing: a record of wide layers may have been processed since.
    """
    by_layers = echo_wavelength(power_db) / TRAINED_WAVELENGTH
    by_speckle = speckle_width(power_db) / TRAINED_SPECKLE
    layers = f"its layers are {by_layers:.2f} times as wide"
    speckle = f"its speckle is {by_speckle:.2f} times as wide"
    if not np.isfinite(by_layers) and not by_speckle >= _FINELY_SAMPLED:
        return 1.0, "neighbouring traces share no echo that would tell its scale"
    if not np.isfinite(by_layers):
        factor, why = by_speckle, speckle
    elif by_speckle >= _FINELY_SAMPLED or by_speckle >= max(_MAY_BE_PULSE, by_layers / _NARROWER):
        factor = float(by_speckle * np.sqrt(np.clip(by_layers / by_speckle, 1 / _NARROWER, _WIDER)))
        why = f"{layers} and {speckle}"
    else:
        factor, why = by_layers, layers
    return (factor if factor >= _LEFT_ALONE else 1.0), f"{why} as in the frames that the network is trained on"
