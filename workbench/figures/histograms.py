"""How the values of frames are spread: thickness, accumulation, confidence, uncertainty."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from firnline.errors import Refused
from firnline.products.frame_product import FrameProduct, Status
from workbench.figures.style import STATUS_COLOUR, Width, caption, new_figure, note, styled

QUANTITIES = {
    "ice_thickness": "Ice thickness (m)",
    "depth": "Depth of layers (m)",
    "thickness": "Thickness of layers (m)",
    "accumulation": "Accumulation (m w.e. a$^{-1}$)",
    "sigma": "Depth uncertainty, 68 % (m)",
    "confidence": "Confidence of lines",
}
_BINS = 40
_FINE = 4096
_LOW, _HIGH = 1e-4, 1e4
"""Of the fine bins that values are counted in until their range is known: from a tenth of a millimetre to ten kilometres."""
_SHOWN = (0.5, 99.5)


@dataclass
class Counts:
    """How often each value occurs, by quantity and status, in fine logarithmic bins: so much memory and no more."""

    counts: dict[str, dict[Status, np.ndarray]] = field(default_factory=dict)
    frames: int = 0

    def add(self, product: FrameProduct) -> Self:
        layers = product.labels == "layer"
        values: Mapping[str, np.ndarray] = {
            "ice_thickness": product.ice_thickness_m, "depth": product.depth_m[layers], "thickness": product.thickness_m[layers],
            "accumulation": product.accumulation_m_we_a, "sigma": product.depth_interval.sigma[product.labels != "surface"],
            "confidence": product.confidence[product.labels != "surface"],
        }  # fmt: skip
        self.frames += 1
        for name, each in values.items():
            known = each[np.isfinite(each) & (each > 0)]
            if known.size:
                found, _ = np.histogram(np.log(np.clip(known, _LOW, _HIGH)), _edges())
                of_status = self.counts.setdefault(name, {})
                status = product.provenance.status
                of_status[status] = of_status.get(status, np.zeros(_FINE, int)) + found
        return self


def _edges() -> np.ndarray:
    return np.linspace(np.log(_LOW), np.log(_HIGH), _FINE + 1)


def histograms(counts: Counts, statement: str, width: Width = "page") -> Figure:
    """A panel for each quantity that is known, by status."""
    names = [name for name in QUANTITIES if name in counts.counts]
    if not names:
        raise Refused("No frame tells depths, so there are no histograms: choose other frames, or say --ground.")
    columns = {1: 1, 2: 2, 4: 2}.get(len(names), 3)
    rows = -(-len(names) // columns)
    figure = new_figure(width, 1.9 * rows + 0.3)
    with styled():
        panels = np.atleast_1d(figure.subplots(rows, columns, squeeze=False)).ravel()
        for panel in panels[len(names) :]:
            panel.set_axis_off()
        centres = np.exp((_edges()[:-1] + _edges()[1:]) / 2)
        for panel, name, letter in zip(panels, names, "abcdef", strict=False):
            of_status = counts.counts[name]
            total = np.sum(list(of_status.values()), axis=0)
            share = 100 * np.cumsum(total) / total.sum()
            low, high = (float(centres[int(np.searchsorted(share, each))]) for each in _SHOWN)
            edges = np.linspace(low, max(high, low * 1.01), _BINS + 1)
            base = np.zeros(_BINS)
            for status, found in of_status.items():
                heights = np.diff(np.interp(edges, np.exp(_edges()), np.append(0, np.cumsum(found))))
                panel.bar(edges[:-1], heights, np.diff(edges), base, align="edge", color=STATUS_COLOUR[status])
                base += heights
            median = float(centres[int(np.searchsorted(share, 50.0))])
            panel.axvline(median, color="black", lw=0.8, ls=(0, (3, 2)))
            panel.set_title(letter, loc="left", fontweight="bold")
            note(panel, f"median {median:.3g}", "upper right")
            panel.set_xlabel(QUANTITIES[name])
            panel.margins(y=0.22)
            panel.spines[["top", "right"]].set_visible(False)
            panel.yaxis.set_major_formatter(FuncFormatter(_short))
        for panel in panels[::columns]:
            panel.set_ylabel("Picks")
        statuses = {status for of_status in counts.counts.values() for status in of_status}
        if len(statuses) > 1:
            handles = [Patch(color=colour, label=name) for name, colour in STATUS_COLOUR.items() if name in statuses]
            figure.legend(handles=handles, loc="outside upper right", frameon=False, ncols=4)
        only = "" if len(statuses) > 1 else f" All layers are {next(iter(statuses))}."
        caption(figure, f"{counts.frames} frames.{only} {statement}")
    return figure


def _short(count: float, _: int) -> str:
    return f"{count / 1000:g}k" if count >= 1000 else f"{count:g}"
