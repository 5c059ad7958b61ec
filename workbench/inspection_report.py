"""The report of `firnline inspect` for a person: what was read, what was decided and how sure, and what to do."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from firnline.ice import metres_in_ice
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from firnline.documents.frame import FrameDocument
from firnline.documents.polarity import told_polarity
from firnline.radar.radar_frame import RadarFrame
from firnline.radar.time_units import gps_minus_utc
from workbench.inspection import Inspected, InspectedLayer, Inspection


def report(found: Inspected, picture: Path | None = None) -> RenderableType:
    """All that a scientist wants to know before the upload; `picture` is where the picture was written."""
    told = found.told
    colour = "green" if told.outcome == "accepted" else "red"
    parts: list[RenderableType] = [
        Text.from_markup(f"[bold]{escape(told.file)}[/bold]  [{colour}]{told.outcome}[/{colour}]"),
    ]
    if told.sentence:
        parts.append(Padding(Text(told.sentence, style="red"), (0, 0, 0, 2)))
    if found.frame is not None and found.document is not None:
        facts = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
        facts.add_column(style="dim", no_wrap=True)
        facts.add_column()
        for name, words in _facts(told, found.frame, found.document):
            facts.add_row(name, Text(words))
        if picture:
            facts.add_row("picture in", Text(str(picture)))
        parts.append(facts)
        if told.layers:
            parts.append(_layers(told.layers))
        parts += [Padding(Text(f"· {note}"), (0, 0, 0, 2)) for note in told.notes]
        parts += [Padding(Text(hint, style="cyan"), (0, 0, 0, 2)) for hint in _hints(found, picture)]
    return Group(*parts, "")


def _facts(told: Inspection, frame: RadarFrame, document: FrameDocument) -> Iterator[tuple[str, str]]:
    yield "read as", f"{told.format}, {told.traces:,} traces x {told.samples:,} samples"
    if told.dt_s is None or told.time_zero_s is None:
        yield "fast time", "not told: no travel times and no depths"
    else:
        window = document.samples * told.dt_s
        yield (
            "fast time",
            (
                f"{told.dt_s * 1e9:.4g} ns a sample from {told.time_zero_s * 1e6:.4g} µs on, {window * 1e6:.4g} µs in all "
                f"({metres_in_ice(window):,.0f} m of ice)"
            ),
        )
    if told.gps_time_first_s is None or told.gps_time_last_s is None:
        yield "clock", "not told"
    else:
        yield (
            "clock",
            (
                f"{_utc(told.gps_time_first_s)} to {_utc(told.gps_time_last_s)} UTC "
                f"(GPS {told.gps_time_first_s:.2f} to {told.gps_time_last_s:.2f} s)"
            ),
        )
    if told.latitude_min is not None and told.longitude_min is not None:
        yield (
            "positions",
            (
                f"latitude {told.latitude_min:.4f} to {told.latitude_max:.4f}, "
                f"longitude {told.longitude_min:.4f} to {told.longitude_max:.4f}"
            ),
        )
    else:
        yield "positions", "named in the file, but none can be" if told.positions_unknown else "not told"
    polarity = told_polarity(document.format, document.polarity, frame.polarity_confidence)
    yield "polarity", polarity.sentence if polarity else f"{told.polarity}, since its numbers are echo power"
    if told.missing_samples:
        yield "missing", f"{told.missing_samples:,} samples ({told.missing_samples / (told.traces * told.samples):.2%})"  # type: ignore[operator]
    yield "picture", _framing_in_words(told)


def _framing_in_words(told: Inspection) -> str:
    framing = told.framing
    if framing is None:
        return ""
    last_sample = framing.first_sample + framing.rows * framing.samples_per_row - 1
    last_trace = framing.first_trace + framing.columns * framing.traces_per_column - 1
    return (
        f"{framing.columns:,} columns x {framing.rows:,} rows: samples {framing.first_sample:g} to {last_sample:.0f}, "
        f"{_each(framing.samples_per_row, 'sample', 'row')}; traces {max(0, framing.first_trace):.0f} to "
        f"{last_trace:.0f}, {_each(framing.traces_per_column, 'trace', 'column')}"
    )


def _each(count: float, what: str, into: str) -> str:
    return f"each a {into} of its own" if count == 1 else f"{count:.2f} {what}s averaged into each {into}"


def _utc(gps_s: float) -> str:
    utc = gps_s - float(gps_minus_utc(np.array([gps_s]))[0])
    try:
        return f"{datetime.fromtimestamp(utc, UTC):%Y-%m-%d %H:%M:%S}"
    except (OverflowError, ValueError, OSError):
        return "an impossible date"


def _layers(layers: list[InspectedLayer]) -> RenderableType:
    listing = Table("layer", "label", "traces", "from trace", "to trace", "mean sample", box=None, padding=(0, 2, 0, 2))
    for number, layer in enumerate(layers):
        listing.add_row(
            str(number), layer.label, f"{layer.traces:,}", str(layer.first_trace), str(layer.last_trace),
            f"{layer.mean_sample:.1f}",
        )  # fmt: skip
    return listing


def _hints(found: Inspected, picture: Path | None) -> Iterator[str]:
    if found.frame is None or found.document is None:
        return
    told = told_polarity(found.document.format, found.document.polarity, found.frame.polarity_confidence)
    if told and not told.sure:
        yield "Look at the picture (--picture DIR): its strong echoes must be bright; else give --polarity here, too."
    elif picture is None:
        yield "--picture DIR writes the picture that the network would see."
