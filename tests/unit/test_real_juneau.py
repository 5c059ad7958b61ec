"""A glacier's radargram with its expert's bed picks (Juneau Icefield, ImpDAR): depths as the file's own author has them."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat

from firnline.documents.upload_key import revision_of
from firnline.products.frame_product import FrameProduct, Provenance, frame_product
from firnline.radar.annotations import document_of
from firnline.radar.description import Source, described
from firnline.radar.formats import read_here
from firnline.radar.radar_frame import Picks
from tests.support.first_network import network
from tests.support.simulated_products import MODEL, WHEN, Made
from workbench import exporting

AUTHORS = exporting.Physics(index=1.7647, firn_correction=0.77, firn_depth=30.0)
"""What the file's `nmo_depth` says: 169.88 m/us, and 0.77 m more for the snow at the top."""
WITHIN_M = 0.01


@pytest.fixture(scope="module")
def file(real_data: Path) -> Path:
    found = real_data / "juneau" / "jif2021line_0_mig_picked.mat"
    if not found.exists():
        pytest.skip(f"there is no {found}")
    return found


@pytest.fixture(scope="module")
def frame(file: Path) -> Made:
    content = file.read_bytes()
    radar = read_here(content)
    source = Source("uploads", f"juneau/line_0/{file.name}", None, WHEN, "0" * 64)
    picture, told = described(radar, f"juneau/line_0/{file.stem}", revision_of(content), source)
    assert radar.picks is not None
    on_picture = told.framing.lines_on_picture(radar.picks.rows)
    return Made(None, picture, told, document_of(Picks(radar.picks.labels, on_picture), told, WHEN), radar.picks.rows)  # type: ignore[arg-type]


def bed_of(product: FrameProduct, values: np.ndarray) -> np.ndarray:
    return np.asarray(values[product.labels.tolist().index("bed")])


def test_the_bed_lies_as_deep_as_the_files_author_has_it(file: Path, frame: Made) -> None:
    """The antenna lay on the ice. The file tells a depth for each sample; picks are samples."""
    content = loadmat(file, squeeze_me=True)
    picked = content["picks"]["samp2"].item().astype(float)
    depth = np.interp(picked, np.arange(content["nmo_depth"].size), content["nmo_depth"])
    product = frame_product(
        frame.truth, frame.frame, Provenance("imported", WHEN), exporting.assumptions(AUTHORS, ground=True)
    )
    ours = bed_of(product, product.depth_m)
    assert np.isfinite(ours).sum() == np.isfinite(depth).sum() == 457
    np.testing.assert_allclose(ours, depth, atol=WITHIN_M)
    np.testing.assert_allclose(product.ice_thickness_m, ours)
    usual = frame_product(
        frame.truth, frame.frame, Provenance("imported", WHEN), exporting.assumptions(exporting.Physics(), ground=True)
    )
    apart = np.abs(bed_of(usual, usual.depth_m) - depth)
    assert np.nanmax(apart / bed_of(usual, usual.depth_interval.wide)) < 3, (
        "the usual index is off by its error, not more"
    )


def test_where_the_bed_shows_as_a_line_the_model_draws_it_where_the_expert_has_it(frame: Made, tmp_path: Path) -> None:
    """The model in the box knows no such radar, and takes the bed for a surface; there is one above it already. Left and right of
    that line its map shows nothing: docs/benchmarks.md.
    """
    document = network(tmp_path)(frame)
    product = frame_product(document, frame.frame, MODEL, exporting.assumptions(AUTHORS, ground=True))
    apart = np.abs(bed_of(product, product.sample) - frame.rows[0]) / frame.frame.framing.samples_per_row
    drawn = np.isfinite(apart)
    print(f"bed drawn in {drawn.sum()} of 459 traces, {np.mean(apart[drawn] <= 5):.0%} of them within 5 rows")
    assert drawn[125:225].all()
    assert np.mean(apart[drawn] <= 5) > 0.75
    assert np.mean(apart[drawn] <= 8) > 0.85
