"""The echogram with its layers drawn on it."""

import numpy as np
from PIL import Image, ImageDraw

from firnline.documents.layers import Layer, LayersDocument

SURFACE_COLOUR = (70, 190, 255)
BED_COLOUR = (255, 120, 60)
LAYER_COLOURS = ((255, 214, 70), (168, 85, 247))
"""Neighbouring internal layers take different colours, so that the eye can tell which line it follows. There are no more than
people with each of the three colour blindnesses tell from surface and bed, too."""


def draw_layers(grey: np.ndarray, document: LayersDocument, width_px: int = 1) -> np.ndarray:
    """Draw a layers document on its echogram.

    Parameters
    ----------
    grey : (rows, columns) uint8 echogram
    width_px : line width

    Returns
    -------
    (rows, columns, 3) uint8 picture
    """
    picture = Image.fromarray(grey).convert("RGB")
    draw = ImageDraw.Draw(picture)
    internal = 0
    for layer in document.layers:
        draw.line([(v.x, v.y) for v in layer.vertices], fill=colour_of(layer, internal), width=width_px)
        internal += layer.label == "layer"
    return np.asarray(picture)


def colour_of(layer: Layer, internal: int) -> tuple[int, int, int]:
    """The colour of a layer; an internal one's goes by its number, from above, among those."""
    if layer.label == "surface":
        return SURFACE_COLOUR
    return BED_COLOUR if layer.label == "bed" else LAYER_COLOURS[internal % len(LAYER_COLOURS)]
