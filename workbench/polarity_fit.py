"""Fits the weights of `firnline.radar.polarity` on pictures of simulated campaigns, drawn as people draw them.

    firnline polarity-fit

prints the weights, and how often they are right on campaigns that they were not fitted on.
"""

import io
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, fields

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter1d, uniform_filter1d, zoom
from scipy.optimize import minimize

from firnline.documents.polarity import SURE_OF_POLARITY
from firnline.radar.polarity import Evidence, evidence_of
from workbench.simulator import campaign_named, campaigns, simulate_frame

_SHRINKAGE = 2.0
"""Strength of the ridge penalty on the weights."""
_LEAST_ROWS = 48

FITTED_ON = [f"varied_{kind}_{number:04d}" for kind in ("snow", "sounder") for number in range(120)]
HELD_OUT = [
    *campaigns,
    *(f"varied_{kind}_{number:04d}" for kind in ("snow", "sounder") for number in range(1000, 1080)),
]


def drawn_frame(campaign: str, seed: int) -> tuple[np.ndarray, bool]:
    """(rows, columns) uint8 picture of a simulated frame, and whether it is dark where echoes are strong.

    Chance decides how much air the frame has, and whether it ends in deep noise or within the layers. Chance also
    decides whether it is corrected for its decay, averaged, scaled, clipped, stretched, and stored as JPEG.
    """
    rng = np.random.default_rng(seed)
    setup = campaign_named(campaign)
    samples, traces = int(rng.choice([200, 256, 400, 640])), int(rng.choice([96, 160, 256, 400]))
    frame = simulate_frame(setup, int(rng.integers(0, 6)), int(rng.integers(1, 4)), traces=traces, samples=samples)
    power_db, surface = frame.echogram_db, frame.rows[0]
    highest, lowest = int(np.nanmin(surface)), int(np.nanmax(surface))
    noise_db = float(np.nanmedian(power_db[: highest - 8] if highest > 16 else power_db[-20:]))

    def noise(rows: int) -> np.ndarray:
        speckle = rng.standard_gamma(setup.looks, (rows, traces)) / setup.looks
        return noise_db + 10 * np.log10(uniform_filter1d(speckle, 3, axis=0) + 1e-6)

    kept = rng.choice(
        ["whole", "no air", "thin air", "more air", "deep", "layers", "top"], p=[0.25, 0.2, 0.1, 0.2, 0.1, 0.1, 0.05]
    )
    top, bottom = 0, samples
    if kept == "no air":
        top = lowest + int(rng.integers(3, 12))
    elif kept == "thin air":
        top = max(0, highest - int(rng.integers(1, 6)))
    elif kept == "layers":
        top = lowest + int(rng.integers(5, 20))
        bottom = min(samples, max(int(np.nanmax(frame.rows)), top + 60))
    elif kept == "top":
        bottom = min(samples, lowest + int(rng.integers(60, 120)))
    if bottom - top >= _LEAST_ROWS:
        power_db = power_db[top:bottom]
    if kept == "more air":
        power_db = np.vstack([noise(int(rng.uniform(0.1, 1.0) * len(power_db))), power_db])
    if kept == "deep" or rng.random() < 0.15:
        power_db = np.vstack([power_db, noise(int(rng.uniform(0.2, 1.5) * len(power_db)))])
    return _drawn(_processed(power_db, rng), rng)


def plain_frame(seed: int) -> tuple[np.ndarray, bool]:
    """As `drawn_frame`, but of a plain simulation: wavy layers in decaying scatter under one-look speckle, with lost
    traces and stripes of gain, with air or without."""
    rng = np.random.default_rng([77, seed])
    height, width = int(rng.choice([180, 260, 400, 512, 700])), int(rng.choice([120, 200, 256, 400]))
    along, row = np.arange(width) / width, np.arange(height)[:, None]
    wave = rng.uniform(-0.25, 0.25) * (along - 0.5)
    for harmonic in range(1, 5):
        wave = wave + rng.normal(0, 0.06) / harmonic * np.sin(2 * np.pi * (harmonic * along + rng.random()))
    wave = wave * height
    air = float(rng.choice([0.0, 0.0, 0.03, 0.08, 0.2, 0.45])) * rng.uniform(0.7, 1.3) * height
    surface = air + wave - (wave.min() if air else wave.max() + 5)
    scatter = rng.uniform(2, 25)
    decay = float(rng.choice([0, 0.2, 0.5, 1, 1.5])) * scatter / height
    depth, pulse = np.maximum(row - surface, 0), rng.uniform(0.7, 3)
    power = 1 + np.where(row >= surface, 10 ** ((scatter - decay * depth) / 10), 0)

    def line(rows: np.ndarray, strength_db: np.ndarray | float, tail: float) -> np.ndarray:
        below = np.maximum(row - rows, 0)
        echo = np.exp(-(((row - rows) / pulse) ** 2)) + np.where(below > 0, 0.15 * np.exp(-below / tail), 0)
        return 10 ** (np.asarray(strength_db) / 10) * echo

    if air:
        power += line(surface, scatter + rng.uniform(6, 25), 3 * pulse)
    rows = surface if air else surface + rng.uniform(0, 0.1) * height
    thickness = rng.uniform(0.02, 0.12) * height
    for _ in range(int(rng.integers(0 if air else 3, 16))):
        rows = rows + thickness * rng.lognormal(0, 0.4)
        fading = gaussian_filter1d(rng.normal(0, 1, width), width / 8) * np.sqrt(width / 8) * rng.uniform(0, 4)
        power += line(rows, scatter + rng.uniform(0, 14) - decay * (rows - surface) + fading, 2 * pulse)
    looks = float(rng.choice([1, 1, 1, 2, 4, 8]))
    power_db = 10 * np.log10(np.maximum(power * rng.standard_gamma(looks, power.shape) / looks, 1e-9))
    power_db += rng.normal(0, float(rng.choice([0, 0.3, 1])), width)
    for start in rng.integers(0, width, rng.poisson(1.5)):
        power_db[:, start : start + int(rng.integers(1, 4))] = np.nan
    return _drawn(power_db, rng)


def _processed(power_db: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    known = np.isfinite(power_db)
    filled = np.where(known, power_db, np.nanmedian(power_db))
    chance = rng.random()
    if chance < 0.15:
        filled = filled - filled.mean(axis=1, keepdims=True) * rng.uniform(0.3, 1)
    elif chance < 0.3:
        filled = filled - filled.mean(axis=0, keepdims=True)
    if rng.random() < 0.2:
        filled = 10 * np.log10(
            np.maximum(uniform_filter1d(10 ** (filled / 10), int(rng.integers(2, 6)), axis=1), 1e-30)
        )
    return np.where(known, filled, np.nan)


def _drawn(power_db: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, bool]:
    low, high = np.nanpercentile(
        power_db, [rng.choice([0, 0.5, 2, 5, 10, 20]), rng.choice([95, 98, 99, 99.7, 99.95, 100])]
    )
    grey = np.clip((np.nan_to_num(power_db, nan=low) - low) / max(high - low, 1e-3), 0, 1)
    if rng.random() < 0.25:
        grey = grey ** rng.uniform(0.5, 1.8)
    if rng.random() < 0.25:
        grey = zoom(grey, (rng.uniform(0.5, 2), rng.uniform(0.5, 2)), order=int(rng.choice([0, 1])))
    if rng.random() < 0.15:
        grey = np.repeat(grey, int(rng.integers(2, 8)), axis=1)
    while min(grey.shape) < _LEAST_ROWS:
        grey = grey.repeat(2, axis=0).repeat(2, axis=1)
    pixels = np.clip(np.rint(255 * grey), 0, 255).astype(np.uint8)
    dark = bool(rng.random() < 0.5)
    if dark:
        pixels = 255 - pixels
    if rng.random() < 0.35:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=int(rng.integers(25, 95)))
        pixels = np.asarray(Image.open(file))
    return pixels, dark


def fit(signed: np.ndarray) -> Evidence:
    """Weights of a logistic regression on (pictures, pieces of evidence), each row times -1 if its picture is dark where
    strong. There is no constant, since the evidence changes its sign with the picture."""

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margin = signed @ weights
        slope = -(signed / (1 + np.exp(margin))[:, None]).sum(axis=0) + 2 * _SHRINKAGE * weights
        return float(np.logaddexp(0, -margin).sum() + _SHRINKAGE * weights @ weights), slope

    found = minimize(loss, np.zeros(signed.shape[1]), jac=True, method="L-BFGS-B").x
    return Evidence(*(float(weight) for weight in found))


def _signed(job: tuple[str, int]) -> np.ndarray:
    """The evidence in the picture of a job, (campaign, seed) or ("plain", seed), times -1 if it is dark where strong."""
    name, seed = job
    picture, dark = plain_frame(seed) if name == "plain" else drawn_frame(name, seed)
    evidence = evidence_of(picture.astype(np.float32))
    if evidence is None:
        return np.zeros(len(fields(Evidence)))
    return (-1 if dark else 1) * np.array(astuple(evidence))


def fitted(workers: int) -> Iterator[str]:
    """Fit the weights; a line with them, and a line for each set of pictures on how often they are right."""
    jobs = {
        "fitted on": [(name, 7919 * k + 13 * number) for k in range(4) for number, name in enumerate(FITTED_ON)]
        + [("plain", seed) for seed in range(900)],
        "campaigns held out": [
            (name, 1_000_000 + 7919 * k + number) for k in range(4) for number, name in enumerate(HELD_OUT)
        ],
        "plain, held out": [("plain", 10_000 + seed) for seed in range(400)],
    }
    with ProcessPoolExecutor(workers) as pool:
        signed = {name: np.array(list(pool.map(_signed, wanted, chunksize=8))) for name, wanted in jobs.items()}
    weights = fit(signed["fitted on"])
    yield ", ".join(f"{name}={weight:.2f}" for name, weight in vars(weights).items())
    for name, rows in signed.items():
        margin = rows @ np.array(astuple(weights))
        unsure = np.mean(np.abs(margin) < np.log(SURE_OF_POLARITY / (1 - SURE_OF_POLARITY)))
        yield (
            f"{name}: {np.mean(margin > 0):.2%} of {margin.size} right; "
            f"{unsure:.1%} below a confidence of {SURE_OF_POLARITY}"
        )
