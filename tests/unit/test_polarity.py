"""Whether strong echoes are dark or bright in a picture: on pictures that no weight was fitted on."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from firnline.radar.pictures import read_picture
from firnline.radar.polarity import guess_polarity
from tests.support.ingest_files import picture
from workbench.polarity_fit import HELD_OUT, drawn_frame, plain_frame
from workbench.simulator import campaign_named, simulate_frame

SHARED = Path(__file__).parents[3] / "shared/data"


def _grey(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image.convert("L"), dtype=np.float32)


def _right(pictures: list[tuple[np.ndarray, bool]]) -> float:
    verdicts = [guess_polarity(grey.astype(np.float32))[0] == "dark-strong" for grey, _ in pictures]
    return float(np.mean([verdict == dark for verdict, (_, dark) in zip(verdicts, pictures, strict=True)]))


def test_pictures_of_campaigns_that_were_held_out() -> None:
    pictures = [drawn_frame(name, 5_000_000 + number) for number, name in enumerate(HELD_OUT[::4])]
    assert _right(pictures) >= 0.97  # of 42: one may be wrong


@pytest.mark.slow
def test_many_pictures_of_campaigns_that_were_held_out() -> None:
    drawn = [drawn_frame(name, 6_000_000 + 1000 * k + number) for k in range(3) for number, name in enumerate(HELD_OUT)]
    assert _right(drawn) >= 0.99
    # Some of these are without a line, or a step from even noise to even scatter, which nobody could tell either.
    assert _right([plain_frame(20_000 + seed) for seed in range(400)]) >= 0.98


@pytest.mark.parametrize("name", ["demo", "greenland_2012", "antarctica_coast_2009", "antarctica_interior_2011"])
@pytest.mark.parametrize("air_rows", [0, 40, 200])
def test_a_column_of_air_above_the_snow_decides_nothing(name: str, air_rows: int) -> None:
    power_db = np.nan_to_num(simulate_frame(campaign_named(name), 1, 2, traces=160).echogram_db, nan=-130)
    noise = np.random.default_rng(4).standard_gamma(3, (air_rows, 160)) / 3
    power_db = np.vstack([np.percentile(power_db, 3) + 10 * np.log10(noise), power_db])
    assert guess_polarity(power_db)[0] == "bright-strong"
    assert guess_polarity(-power_db)[0] == "dark-strong"


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", ["demo", "greenland_sounder_2012"])
def test_signed_voltage_stays_as_it_is(sign: int, name: str) -> None:
    power = np.power(
        10, np.nan_to_num(simulate_frame(campaign_named(name), 1, 1, traces=128).echogram_db, nan=-130) / 10
    )
    voltage = np.sqrt(power) * np.cos(2 * np.pi * np.arange(len(power))[:, None] / 6.3)
    grey = np.clip(128 + sign * 127 * voltage / np.percentile(np.abs(voltage), 98), 0, 255)
    assert guess_polarity(grey) == ("bright-strong", 1.0)


def test_nothing_tells_in_a_flat_picture() -> None:
    assert guess_polarity(np.full((50, 50), 7.0)) == ("bright-strong", 0.5)
    assert guess_polarity(np.full((50, 50), np.nan)) == ("bright-strong", 0.5)


def test_an_unsure_guess_says_so() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (100, 100)).astype(np.uint8)
    frame = read_picture(picture(noise))
    assert frame.polarity_confidence is not None
    assert frame.polarity_confidence < 0.9
    assert any("this polarity is a guess" in note for note in frame.transforms)


def test_the_verdict_turns_with_the_picture() -> None:
    for seed in range(6):
        grey = plain_frame(30_000 + seed)[0].astype(np.float32)
        one, other = guess_polarity(grey), guess_polarity(255 - grey)
        assert one[0] != other[0]
        assert one[1] == pytest.approx(other[1], abs=1e-3)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the folder shared/data is not on this machine")
class TestPicturesOnThisMachine:
    def test_the_polarity_folder(self) -> None:
        with (SHARED / "polarity/truth.csv").open() as table:
            truth = {row["file"]: row["polarity"] for row in csv.DictReader(table)}
        verdicts = {name: read_picture((SHARED / "polarity" / name).read_bytes()).polarity for name in truth}
        assert verdicts == truth

    def test_real_sounder_pictures_are_dark_where_strong(self) -> None:
        for file in (SHARED / "real/utig").glob("*.png"):
            frame = read_picture(file.read_bytes())
            assert (frame.polarity, frame.power_db.shape) == ("dark-strong", frame.file_shape), file.name
            assert guess_polarity(255 - _grey(file))[0] == "bright-strong", file.name

    @pytest.mark.parametrize("file", ["snow/*_grey.png", "snow/*_native_traces.png", "mcords_2010_patch.png"])
    def test_real_pictures_that_are_bright_where_strong(self, file: str) -> None:
        for found in (SHARED / "real").glob(file):
            frame = read_picture(found.read_bytes())
            assert (frame.polarity, frame.power_db.shape) == ("bright-strong", frame.file_shape), found.name
            assert guess_polarity(255 - _grey(found))[0] == "dark-strong", found.name

    def test_real_voltage_stays_as_it_is(self) -> None:
        for file in (SHARED / "real/unlabelled").glob("*.png"):
            for grey in (_grey(file), 255 - _grey(file)):
                assert guess_polarity(grey)[0] == "bright-strong", file.name
