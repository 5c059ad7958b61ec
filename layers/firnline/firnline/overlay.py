"""The echogram with its layers drawn on it."""

import numpy as np
from PIL import Image, ImageDraw

from firnline.layers import LayersDocument

SURFACE_COLOUR = (70, 190, 255)
BED_COLOUR = (255, 120, 60)
LAYER_COLOURS = ((255, 214, 70), (130, 230, 120), (255, 130, 190), (160, 160, 255))
"""Neighbouring internal layers take different colours, so that the eye can tell which line it follows."""


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
        if layer.label == "surface":
            colour = SURFACE_COLOUR
        elif layer.label == "bed":
            colour = BED_COLOUR
        else:
            colour = LAYER_COLOURS[internal % len(LAYER_COLOURS)]
            internal += 1
        draw.line([(vertex.x, vertex.y) for vertex in layer.vertices], fill=colour, width=width_px)
    return np.asarray(picture)
