"""What is said of errors is what happens: against Monte Carlo, and against the truth of simulated frames."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import norm

from firnline.products.accumulation import AnnualLayers
from firnline.products.frame_product import Assumptions, FrameProduct, frame_product
from firnline.products.physics import WATER_DENSITY_KG_M3, Medium
from firnline.products.thickness import at_line, next_below
from firnline.products.uncertainty import (
    ONE_SIGMA,
    TWO_SIGMA,
    MediumError,
    Pair,
    Spread,
    depth_spread,
    disagreement,
    nearest_lines,
    of_confidence,
    of_person,
    of_repetition,
)
from tests.support.first_network import network
from tests.support.simulated_products import MODEL, Made, made

FIRN = Medium.herron_langway(350.0, 0.25, -30.0)
DRAWS = 200_000
SECONDS_A_ROW = 8e-10


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(14)


def test_a_bell_curve_has_the_usual_widths() -> None:
    normal = Spread.normal(np.array([2.0, np.nan]))
    assert normal.half_width(ONE_SIGMA)[0] == pytest.approx(2.0, rel=1e-4)
    assert normal.half_width(TWO_SIGMA)[0] == pytest.approx(2 * norm.ppf(0.975), rel=1e-6)
    assert np.isnan(normal.half_width(TWO_SIGMA)[1])


@pytest.mark.parametrize("share", [ONE_SIGMA, TWO_SIGMA])
def test_half_widths_hold_their_share(rng: np.random.Generator, share: float) -> None:
    spread = of_confidence(np.array([0.3, 0.9, 0.99])).less(
        of_confidence(np.array([0.8, np.nan, 0.95])).scaled(0.7), 0.0
    )
    within = (np.abs(spread.draw(rng, DRAWS)) <= spread.half_width(share)).mean(axis=0)
    np.testing.assert_allclose(within, share, atol=0.004)


def test_correlated_errors_cancel_in_a_difference(rng: np.random.Generator) -> None:
    common, own = rng.standard_normal(DRAWS), rng.standard_normal((2, DRAWS))
    one, two = (np.sqrt(0.45) * common + np.sqrt(0.55) * part for part in own)
    said = Spread.normal(1.0).less(Spread.normal(1.0), 0.45).standard_deviation
    assert float(said) == pytest.approx((two - one).std(), rel=0.01)


def shifted(medium: Medium, index: float, density: float) -> Callable[[np.ndarray], np.ndarray]:
    """Depths of two-way times in a medium whose index and density are off, by brute force on a fine grid."""
    depth = np.r_[np.linspace(0, 300, 30_001), 5000.0]
    rho = medium.density_at(depth)
    ice = max(917.0, medium.density_kg_m3[-1])
    off = rho + density * (ice - rho) / (ice - rho[0])
    n = 1 + 0.845e-3 * off + index
    time = np.concatenate([[0.0], np.cumsum((n[1:] + n[:-1]) / 2 * np.diff(depth))]) * 2 / 299_792_458.0
    mass = np.concatenate([[0.0], np.cumsum((off[1:] + off[:-1]) / 2 * np.diff(depth))])

    def found(times: np.ndarray) -> np.ndarray:
        above = np.minimum(times, 0.0) / time[1]  # the surface's density goes on above it
        return np.stack([np.interp(times, time, values) + above * values[1] for values in (depth, mass)])

    return found


def test_propagation_agrees_with_monte_carlo(rng: np.random.Generator) -> None:
    """Depth, thickness and water equivalent of two lines in firn: picks, index and density drawn 3,000 times."""
    error = MediumError(index=0.01, density_kg_m3=30.0)
    depths = np.array([6.0, 8.5])
    times = FIRN.two_way_time(depths)
    pick = of_person(1.0).scaled(SECONDS_A_ROW)
    drawn = []
    for _ in range(3_000):
        surface, upper, lower = pick.draw(rng, 3)
        of = shifted(FIRN, rng.normal(0, error.index), rng.normal(0, error.density_kg_m3))
        drawn.append(of(times + np.array([upper, lower]) - surface))
    z, mass = np.array(drawn).transpose(1, 2, 0)
    upper_m, lower_m = depths
    pair = Pair(np.array(upper_m), np.array(lower_m), pick, pick, pick)
    assert depth_spread(pick, pick, FIRN, error, np.array(lower_m)).standard_deviation == pytest.approx(
        z[1].std(), rel=0.05
    )
    assert pair.thickness(FIRN, error).standard_deviation == pytest.approx((z[1] - z[0]).std(), rel=0.05)
    water = (mass[1] - mass[0]) / WATER_DENSITY_KG_M3
    assert pair.water_equivalent(FIRN, error).standard_deviation == pytest.approx(water.std(), rel=0.05)


def test_the_density_of_ice_is_known() -> None:
    deep, error = np.array(2000.0), MediumError(density_kg_m3=30.0)
    of_firn = np.abs(error.of_depth(FIRN, deep))[1]
    assert 0.3 < of_firn < 2.0, "metres, of the firn alone"
    assert error.of_depth(Medium.constant(), deep)[1] == 0.0


def test_another_flight_shares_most_of_a_models_error() -> None:
    """Of a surface, a layer and a bed that the model is equally sure of."""
    confidence, labels = np.full((3, 1), 0.9), np.array(["surface", "layer", "bed"])
    again = of_repetition(confidence, labels, same_radar=True)
    assert (again.half_width(ONE_SIGMA)[:2] < 0.6 * of_confidence(confidence).half_width(ONE_SIGMA)[:2]).all()
    assert again.half_width(ONE_SIGMA)[0, 0] == pytest.approx(0.10, rel=1e-3), "rows, of the surface"
    elsewhere = of_repetition(confidence, labels, same_radar=False)
    np.testing.assert_allclose(elsewhere.half_width(TWO_SIGMA), 1.2 * again.half_width(TWO_SIGMA), rtol=1e-3)
    np.testing.assert_allclose(again.weight.sum(axis=0), 1.0)


def test_reviewers_who_differ_say_by_how_much(rng: np.random.Generator) -> None:
    truth = np.array([np.full(400, 20.0), np.full(400, 40.0)])
    drawn = [truth + rng.normal(0, 1.5, truth.shape) for _ in range(3)]
    matched = [nearest_lines(one[::-1], truth, 5.0).ravel() for one in drawn]
    assert disagreement(matched) == pytest.approx(1.5, rel=0.06)
    assert np.isnan(disagreement([np.full(3, 1.0), np.full(3, np.nan)]))
    assert np.isnan(nearest_lines(truth + 9.0, truth, 5.0)).all()


# ------------------------------------------------------------------------------------------------ simulated frames

FRAMES = [(name, segment) for name in ("varied_snow_0401", "varied_snow_0402", "varied_snow_0403", "varied_snow_0404",
          "varied_snow_0405", "varied_firn_0401", "varied_sounder_0401", "varied_sounder_0402") for segment in (0, 1)]  # fmt: skip
"""Campaigns that neither the errors of `of_confidence` were fitted to nor anything else was."""


@pytest.fixture(scope="module")
def predicted(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Made, FrameProduct]]:
    """What the model in the box says of the frames, in a medium that is a little off in each."""
    folder = tmp_path_factory.mktemp("model")
    track = network(folder)
    return [
        (frame, frame_product(track(frame), frame.frame, MODEL, ASSUMED)) for frame in (made(*one) for one in FRAMES)
    ]


ASSUMED = Assumptions(FIRN, MediumError(0.01, 30.0), annual=AnnualLayers.of(2012.25))


def followed(frame: Made, product: FrameProduct) -> np.ndarray:
    """(lines, traces) true samples of the line that each predicted one follows, within two rows on half of the traces that both
    have; NaN where it follows none."""
    truth = np.full(product.sample.shape, np.nan)
    reach = 2 * frame.frame.framing.samples_per_row
    with np.errstate(invalid="ignore"):
        for line, sample in enumerate(product.sample):
            near = (np.abs(frame.rows - sample) <= reach).sum(axis=1)
            best = int(near.argmax())
            if near[best] and near[best] >= 0.5 * (np.isfinite(frame.rows[best]) & np.isfinite(sample)).sum():
                truth[line] = frame.rows[best]
    return truth


def years_between(frame: Made, truth: np.ndarray, below: np.ndarray) -> np.ndarray:
    """(lines, traces) how many true layers the line below lies deeper; NaN where either follows none."""
    number = np.full(len(truth), np.nan)
    for line, samples in enumerate(truth):
        same = [np.array_equal(samples, row, equal_nan=True) for row in frame.rows]
        number[line] = same.index(True) if any(same) else np.nan
    return at_line(np.broadcast_to(number[:, None], truth.shape), below) - number[:, None]


def test_stated_uncertainty_covers_the_truth_of_simulated_frames(
    predicted: list[tuple[Made, FrameProduct]], rng: np.random.Generator
) -> None:
    """Depth, thickness and accumulation of the lines that follow a true one: 68 and 95 %, each within 5 points.

    The true medium is drawn for each frame 20 times, as `MediumError` says that it may be off. Accumulation is compared
    where the model missed no layer between two and took none for two: four of five pairs. With -s the figures are shown.
    """
    errors: dict[str, list[np.ndarray]] = {"depth": [], "thickness": [], "accumulation": []}
    widths: dict[str, list[tuple[np.ndarray, ...]]] = {name: [] for name in errors}
    pixels, metres, counted = [], [], []
    for frame, product in predicted:
        truth, below = followed(frame, product), next_below(product.depth_m)
        surface = frame.rows[frame.simulated.labels.index("surface")]
        times = (truth - surface) * product.frame.dt_s
        pair = np.isfinite(times) & np.isfinite(at_line(times, below))
        right = years_between(frame, truth, below) == 1
        counted.append(right[pair & np.isfinite(product.accumulation_m_we_a)])
        for _ in range(20):
            depth, mass = shifted(FIRN, rng.normal(0, 0.01), rng.normal(0, 30.0))(times)
            found = (
                ("depth", product.depth_m - depth, product.depth_interval, (product.labels != "surface")[:, None] & np.isfinite(times)),
                ("thickness", product.thickness_m - (at_line(depth, below) - depth), product.thickness_interval, pair),
                ("accumulation", product.accumulation_m_we_a - (at_line(mass, below) - mass) / WATER_DENSITY_KG_M3,
                 product.accumulation_interval, pair & right & (product.accumulation_years == 1)),
            )  # fmt: skip
            for name, error, interval, chosen in found:
                chosen = chosen & np.isfinite(error)
                errors[name].append(error[chosen])
                widths[name].append(tuple(width[chosen] for width in interval))
        metres.append(np.abs(product.thickness_m - (at_line(FIRN.depth(times), below) - FIRN.depth(times)))[pair])
        off = (at_line(product.sample, below) - product.sample) - (at_line(truth, below) - truth)
        pixels.append(np.abs(off[pair]) / product.frame.framing.samples_per_row)
    print("thickness MAE, px", round(float(np.concatenate(pixels).mean()), 3))
    print("thickness MAE, m", [round(float(np.mean(one)), 3) for one in metres])
    print("pairs of lines without a missed layer", round(float(np.concatenate(counted).mean()), 3))
    covered = {
        (name, share): float(
            (np.abs(np.concatenate(errors[name])) <= np.concatenate([one[place] for one in widths[name]])).mean()
        )
        for name in errors
        for place, share in enumerate((ONE_SIGMA, TWO_SIGMA))
    }
    print("covered", {f"{name} {share:.0%}": round(found, 3) for (name, share), found in covered.items()})
    assert np.concatenate(pixels).mean() < 1.5
    assert {key: found for key, found in covered.items() if abs(found - key[1]) > 0.05} == {}
