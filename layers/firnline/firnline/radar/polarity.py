"""Whether a picture draws strong echoes bright or dark.

Each piece of evidence below is positive where strong is bright, and changes its sign with the picture. What is known of
ice and noise decides, not where in the picture things lie. The weights are those of a logistic regression without
constant, fitted by `firnline polarity-fit` on pictures of simulated campaigns: right on 99.4 % of 672 pictures of
campaigns that were held out, and on 99.0 % of 800 of another, plainer simulation, some of which tell nothing.
"""

from dataclasses import astuple, dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d

from firnline.documents.polarity import Polarity

_COLUMNS, _PIECES = 512, 4
"""Columns of a wide picture that are looked at, and the pieces side by side in which they are taken."""
_ROWS = 800
"""A taller picture is averaged over rows until it has about as many."""
_ALONG = 9
_DEAD = 0.02
"""A column that varies less than this share of the picture is a trace that was not recorded."""
_ONSET_ROWS = 4
_BLOCK = 12
_CREST_ROWS, _CREST_SCALE = 12, 0.05
_TINY = 1e-9

_VOLTAGE = ((-0.55, 0.1, 0.12), (-0.7, 0.4, 0.3))
"""(correlation at the opposite swing at most, at its return at least, skewness at most): the clearer the swing, the less
symmetric a picture may be. Of 1,166 simulated pictures of power none meets either; real voltage meets the first."""
_MOST_LAGS = 40


@dataclass(frozen=True)
class Evidence:
    """Each about -1 to 1, positive where strong is bright.

    lines : layers are thin and stand out of what surrounds them: skewness of the residue over a running mean
    speckle, speckle_down : in decibels the power of noise and speckle has its long tail towards weak values (the
        logarithm of an exponential), which `workbench.polarity_fit` gives a negative weight: skewness of the residue
        over a mean along the track, and over one down the rows, where there are no lines
    deep : below the last echo there is noise: the mean against the lowest eighth
    trend : echoes weaken downwards: correlation of brightness with depth in the lower two thirds
    onset : an echo rises suddenly and decays slowly: skewness of the steps downwards
    first : the first strong step from above is the surface's
    coherence : where there is echo, neighbouring traces are alike: correlation of a block's brightness with its
        likeness along the track
    noise : of a block's brightness with its scatter along the track
    crest : a surface is brighter than what lies on either side of it, however steep: the mean over all traces around
        the largest step of each
    tails : strong samples are few: the mean row stands farther from the median on that side
    """

    lines: float
    speckle: float
    speckle_down: float
    deep: float
    trend: float
    onset: float
    first: float
    coherence: float
    noise: float
    crest: float
    tails: float


WEIGHTS = Evidence(
    lines=0.75, speckle=-1.23, speckle_down=-1.21, deep=0.66, trend=1.47, onset=1.81, first=0.80, coherence=2.10,
    noise=1.05, crest=1.70, tails=1.04,
)  # fmt: skip


def guess_polarity(grey: np.ndarray) -> tuple[Polarity, float]:
    """(polarity, confidence) of a picture (rows, columns), NaN where it has no data; confidence is 0.5 to 1.

    Pictures of signed voltage, which swings about a middle grey, have no polarity and stay as they are:
    "bright-strong". So does a picture without any contrast, at a confidence of 0.5.
    """
    picture = _prepared(grey)
    if picture is None:
        return "bright-strong", 0.5
    if _is_voltage(picture):
        return "bright-strong", 1.0
    score = float(np.dot(astuple(WEIGHTS), astuple(_evidence(picture))))
    return "dark-strong" if score < 0 else "bright-strong", float(1 / (1 + np.exp(-abs(score))))


def evidence_of(grey: np.ndarray) -> Evidence | None:
    """The evidence in a picture, as `guess_polarity` weighs it; None without contrast."""
    picture = _prepared(grey)
    return None if picture is None else _evidence(picture)


def _prepared(grey: np.ndarray) -> np.ndarray | None:
    """A part of the picture that is quick to look at: median 0, unit spread, without missing rows and columns."""
    width = grey.shape[1]
    if width > _COLUMNS:
        piece = _COLUMNS // _PIECES
        starts = np.linspace(0, width - piece, _PIECES).astype(int)
        grey = np.hstack([grey[:, start : start + piece] for start in starts])
    part = np.asarray(grey, dtype=np.float32)
    finite = np.isfinite(part)
    if not finite.any():
        return None
    known_rows = finite.mean(axis=1) > 0.5
    if known_rows.sum() >= 2 * _BLOCK:
        part, finite = part[known_rows], finite[known_rows]
    part = np.where(finite, part, np.median(part[finite]))
    fold = -(-len(part) // _ROWS)
    if fold > 1:
        part = part[: len(part) // fold * fold].reshape(len(part) // fold, fold, -1).mean(axis=1)
    alive = part.std(axis=0) > _DEAD * part.std()
    if alive.sum() >= 2 * _BLOCK:
        part = part[:, alive]
    low, middle, high = np.percentile(part, [3, 50, 97])
    spread = max(high - low, 0.05 * float(part.max() - part.min()))
    return None if spread < _TINY else (part - middle) / spread


def _evidence(picture: np.ndarray) -> Evidence:
    height, width = picture.shape
    smooth = uniform_filter1d(picture, min(_ALONG, width), axis=1)
    coarse = smooth - uniform_filter1d(smooth, max(9, height // 10) | 1, axis=0)
    fine = np.abs(smooth - uniform_filter1d(smooth, max(7, height // 30) | 1, axis=0))
    quiet = fine < np.percentile(fine, 60)
    step = smooth[_ONSET_ROWS:] - smooth[:-_ONSET_ROWS]
    weak, middle, strong = np.percentile(smooth, [1, 50, 99])
    down = smooth.mean(axis=1)[height // 3 :]
    deep = picture.mean() - np.median(picture[-max(2, height // 8) :])
    coherence, noise = _by_blocks(picture)
    return Evidence(
        lines=float(np.tanh(_skewness(coarse) / 2)),
        speckle=float(np.tanh(_skewness((picture - smooth)[quiet]))),
        speckle_down=float(np.tanh(_skewness((picture - uniform_filter1d(picture, 5, axis=0))[quiet]))),
        deep=float(np.tanh(deep / (picture.std() + _TINY))),
        trend=-_correlation(np.arange(down.size), down),
        onset=float(np.tanh(_skewness(step) / 2)),
        first=_first_step(step),
        coherence=coherence,
        noise=noise,
        crest=_crest(picture),
        tails=float((strong + weak - 2 * middle) / (strong - weak + _TINY)),
    )


def _first_step(step: np.ndarray) -> float:
    """Mean sign of the first step of each column, from above, that is among the picture's largest."""
    large = np.abs(step) >= 0.6 * np.percentile(np.abs(step), 99.5)
    first = step[np.argmax(large, axis=0), np.arange(step.shape[1])]
    return float(np.sign(first).mean())


def _crest(picture: np.ndarray) -> float:
    """How far the mean profile across the largest step of each column overshoots both of its sides, or undershoots."""
    local = uniform_filter1d(uniform_filter1d(picture, 3, axis=0), 3, axis=1)
    height, width = local.shape
    if height <= 4 * _CREST_ROWS:
        return 0.0
    inner = local[_CREST_ROWS - _ONSET_ROWS // 2 : height - _CREST_ROWS + _ONSET_ROWS // 2]
    at = np.argmax(np.abs(inner[_ONSET_ROWS:] - inner[:-_ONSET_ROWS]), axis=0) + _CREST_ROWS
    profile = local[at + np.arange(-_CREST_ROWS, _CREST_ROWS)[:, None], np.arange(width)].mean(axis=1)
    before, after = profile[: _CREST_ROWS // 2].mean(), profile[-_CREST_ROWS // 2 :].mean()
    middle = profile[_CREST_ROWS // 2 : -_CREST_ROWS // 2]
    over, under = middle.max() - max(before, after), min(before, after) - middle.min()
    return float(np.tanh((over - under) / (over + under + _CREST_SCALE))) if over + under > 0 else 0.0


def _by_blocks(picture: np.ndarray) -> tuple[float, float]:
    height, width = (side // _BLOCK * _BLOCK for side in picture.shape)
    if not height or not width:
        return 0.0, 0.0
    blocks = picture[:height, :width].reshape(height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK).swapaxes(1, 2)
    rows = blocks.mean(axis=3, keepdims=True)
    brightness = rows.mean(axis=(2, 3)).ravel()
    along = (blocks - rows).var(axis=(2, 3)).ravel()
    layered = rows.var(axis=(2, 3)).ravel() * _BLOCK
    return (
        _correlation(brightness, np.log((layered + 1e-5) / (along + 1e-5))),
        _correlation(brightness, np.log(along + 1e-4)),
    )


def _is_voltage(picture: np.ndarray) -> bool:
    """Signed voltage swings down the rows: an echo is followed by its opposite and then by itself again. Over the whole
    picture, light and dark are equally common."""
    height = len(picture)
    swing = picture - uniform_filter1d(picture, max(9, height // 8) | 1, axis=0)
    power = float((swing**2).mean())
    if power < _TINY:
        return False
    lags = range(1, max(2, min(_MOST_LAGS, height // 4)))
    likeness = np.array([(swing[lag:] * swing[:-lag]).mean() / power for lag in lags])
    opposite = int(np.argmin(likeness))
    weak, middle, strong = np.percentile(picture, [2, 50, 98])
    low, centre, high = np.percentile(swing, [2, 50, 98])
    skewness = max(
        abs(strong + weak - 2 * middle) / max(strong - weak, _TINY),
        abs(high + low - 2 * centre) / max(high - low, _TINY),
    )
    return any(
        likeness[opposite] < most_alike and likeness[opposite:].max() > least_return and skewness < most_skewed
        for most_alike, least_return, most_skewed in _VOLTAGE
    )


def _skewness(values: np.ndarray) -> float:
    deviation = values.std() if values.size else 0.0
    return 0.0 if deviation < _TINY else float(np.mean(((values - values.mean()) / deviation) ** 3))


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    if one.size < 2 or one.std() < _TINY or other.std() < _TINY:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])
