"""Colours that carry a meaning are told apart by people with each of the three colour blindnesses, shown by simulation.

What a dichromat sees is simulated after Machado, Oliveira & Fernandes (2009, IEEE TVCG 15, 1291-1298), with the matrices of
severity 1.0, on linear RGB. Differences are CIEDE2000.
"""

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from firnline import portal, review
from firnline.documents.overlay import BED_COLOUR, LAYER_COLOURS, SURFACE_COLOUR
from workbench.figures.style import STATUS_COLOUR
from workbench.pictures.drawing import COLOURS

PORTAL, REVIEW = (Path(package.__file__).parent for package in (portal, review))
LEAST = 10.0
"""Between two colours, CIEDE2000: seen at a glance, where about 1 is just noticeable side by side."""
LINE_OPACITY = 0.95
"""Of a line as the editor draws it, over the halo."""

VISIONS = {
    "usual": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
HALOS = {"black": 0.0, "white": 1.0}
"""Grey of what lies around and shines through a line; the editor's is dark, a figure's is paper."""


def colours_in(path, pattern):
    """{name: #rrggbb} of what a source says; a name twice, or none, would show nothing."""
    found = re.findall(pattern, path.read_text())
    assert len(found) == len(dict(found)) > 1
    return dict(found)


def of_labels_in_the_editor():
    [listed] = re.findall(r"const COLOURS = (\[.*?\]);", (PORTAL / "editor/editor.js").read_text())
    return dict(zip(("surface", "layer", "bed"), re.findall("#[0-9a-f]{6}", listed), strict=True))


def of_labels_in_aws_element():
    [listed] = re.findall(r'label-colors="(\[.*?\])"', (REVIEW / "task_ui.liquid.html").read_text())
    return dict(zip(("surface", "layer", "bed"), re.findall("#[0-9a-f]{6}", listed), strict=True))


SETS = {
    "labels in the editor": of_labels_in_the_editor(),
    "labels in AWS's element": of_labels_in_aws_element(),
    "labels in pictures": COLOURS,
    "lines in overlays": {
        name: "#{:02x}{:02x}{:02x}".format(*colour)
        for name, colour in {
            "surface": SURFACE_COLOUR,
            "bed": BED_COLOUR,
            **{f"layer {n}": one for n, one in enumerate(LAYER_COLOURS)},
        }.items()
    },
    "lines in the segment browser": colours_in(
        PORTAL / "editor/segment_browser.js", r'(\w+): \{ colour: "(#[0-9a-f]{6})"'
    ),
    "frames in the list of segments": colours_in(
        PORTAL / "segment_list.liquid.html", r"i\.([A-Z_]+) \{ background: (#[0-9a-f]{6})"
    ),
    "lines in figures": STATUS_COLOUR,
}


def linear(srgb):
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def encoded(rgb):
    return np.where(rgb <= 0.0031308, 12.92 * rgb, 1.055 * rgb ** (1 / 2.4) - 0.055)


def seen(colour, vision, halo):
    """CIELAB of a colour, `#rrggbb`, over a halo of that grey, as somebody sees it."""
    srgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    over = LINE_OPACITY * srgb + (1 - LINE_OPACITY) * halo
    return rgb2lab(encoded(np.clip(VISIONS[vision] @ linear(over), 0, 1)))


def apart(one, other, vision, halo):
    return float(deltaE_ciede2000(seen(one, vision, halo), seen(other, vision, halo)))


@pytest.mark.parametrize("halo", HALOS)
@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("which", SETS)
def test_no_two_colours_of_a_set_look_alike(which, vision, halo):
    found = {
        pair: apart(SETS[which][pair[0]], SETS[which][pair[1]], vision, HALOS[halo])
        for pair in combinations(SETS[which], 2)
    }
    assert {pair: round(by, 1) for pair, by in found.items() if by < LEAST} == {}


@pytest.mark.parametrize("vision", VISIONS)
def test_colours_stand_out_of_their_ground(vision):
    """Lines of the editor and of the segment browser out of the dark halo, those of figures out of the paper."""
    grounds = {
        "labels in the editor": ("#000000", 0.0),
        "lines in the segment browser": ("#000000", 0.0),
        "lines in figures": ("#ffffff", 1.0),
    }
    for which, (ground, halo) in grounds.items():
        for name, colour in SETS[which].items():
            assert apart(colour, ground, vision, halo) > 2 * LEAST, (which, name)


def test_the_simulation_knows_what_dichromats_confuse():
    """A red and the green of the same lightness to a protanope, and blue and green to a tritanope, come closer; greys stay."""
    assert apart("#d00000", "#484800", "protanopia", 0) < LEAST < apart("#d00000", "#484800", "usual", 0)
    assert apart("#0092a0", "#4c88c0", "tritanopia", 0) < LEAST < apart("#0092a0", "#4c88c0", "usual", 0)
    for vision in VISIONS:
        assert apart("#808080", "#808080", vision, 0) == 0
        assert seen("#808080", vision, 0)[1:] == pytest.approx([0, 0], abs=0.1)
