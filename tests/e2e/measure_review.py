"""How much work a frame is on the review page: a scripted expert in Chromium, and how long frames of the page take.

`python -m tests.e2e.measure_review [--real FOLDER]` prints operations (clicks and keys) to 98 % of the picked traces within 2 px: from
an empty page on real frames with experts' picks, and from an empty page and from the proposal on simulated frames of a
campaign that the model has not seen. The expert sees the rubber band before each click, as a person does, and its hand
shakes by 0.8 px on the screen. A modifier that goes down counts as a key.
"""

import argparse
import hashlib
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from firnline.documents.echogram import to_grey
from firnline.documents.layers import ImageSize, Layer, LayersDocument, Source, Vertex, now
from firnline.documents.placement import on_picture
from firnline.radar import description
from firnline.radar.formats import read_frame
from tests.support.review_editor import CHROMIUM, ELEMENT, Editor
from workbench.expert_picks import read_picks
from workbench.pictures import review
from workbench.pictures.frames import UPLOADED, Ice, Traced, traced
from workbench.simulator import Genuine

REAL_FRAMES = ("focused__CLH_JKB2h_X20a", "focused__DVG_JKB2e_X13a", "focused__ICP2_JKB1a_F07T01a")
SNOW, SOUNDER = Genuine(oversampling=2.0, samples=10_000, along=2.0), Genuine(oversampling=3.0, samples=2400, along=2.0)
UNSEEN = [Ice("varied_snow_5100", 0, SNOW), Ice("varied_sounder_5100", 0, SOUNDER), Ice("varied_snow_5100", 2, SNOW)]
WITHIN_PX = 2.0
ENOUGH = 0.98
"""Share of the picked traces within `WITHIN_PX` at which the expert is done."""
HAND_PX = 0.8
"""Standard deviation of where the mouse goes, on the screen."""
FAR_PX, FEW = 6.0, 0.02
"""A way that the expert takes strays nowhere farther than that, and beyond `WITHIN_PX` on no larger share of its traces."""
AIM_PX = 1.8
"""By which snapping may move a click away from the layer before the expert holds Ctrl."""
WORTH_THE_SLIDER = 2
"""Wrong lines; more are deleted by their confidence, if no right one is as unsure."""
TRIES = 3
"""Rounds of looking for what is still wrong."""
WORTH_A_CLICK = 30
"""Traces; where the next click would bring fewer, the expert draws on by hand."""
SETTLED_LOOKS = 100
"""At the view, for which the browser may be late with a turn of the wheel."""
ZOOM_TURNS, ZOOM = 3, float(np.exp(200 * 0.0022))
"""Turns of the wheel before a stroke, which are told and are no operations, and how much larger each makes things."""
STROKE_TRACES, STROKE_STEP = 80, 1
"""Of one stroke, and between the places that the mouse tells of."""
BRUSHED_TRACES = 3 * STROKE_TRACES
"""Longer stretches are redrawn click by click: a key and two clicks at least, and a key back to the brush."""
CROSSED_STEP, CROSSED_ROWS = 2, 6.0
"""Traces between the places where the expert looks for lines to cross out, and rows by which that goes beyond the outermost."""
SHORTEST_STRETCH = 4
"""Traces of a wrong stretch that the expert mends; shorter ones do not matter to the share."""
FRAME_MS = 1000 / 60

LOOK = """async ([from, start, rows, ends, within, far, few]) => {
  const editor = document.querySelector('layer-editor');
  const off = (vertices, end) => {
    let [worst, wrong, all] = [0, 0, 0];
    let k = 0;
    for (let x = Math.ceil(Math.min(from.x, end)); x <= Math.max(from.x, end); x++) {
      while (k < vertices.length - 2 && vertices[k + 1].x < x) k++;
      const [a, b] = [vertices[k], vertices[k + 1]];
      const y = b ? a.y + (b.y - a.y) * (x - a.x) / (b.x - a.x) : a.y;
      const by = Math.abs(y - rows[x - start]);
      worst = Math.max(worst, by);
      all += 1;
      if (by > within) wrong += 1;
    }
    return worst <= far && wrong <= few * all;
  };
  const seen = [];
  for (const x of ends) {
    const raw = { x, y: rows[x - start] };
    const to = editor.snapped(raw);
    const wire = off(await editor.tracker.between(from, to), x);
    const aside = off(await editor.tracker.aside(from, to), x);
    const straight = off(from.x <= x ? [from, raw] : [raw, from], x);
    seen.push([wire, aside, straight, Math.abs(to.y - raw.y)]);
  }
  return seen;
}"""
"""Whether the ways from a place to each of some traces of a layer stay on it, along the ridge, as the lines beside it run and
straight, and what snapping to the crest would move the click by."""


@dataclass
class Expert:
    """A person who knows where the layers are, and works with mouse and keyboard only."""

    tab: Any
    seed: int = 0
    operations: Counter = field(default_factory=Counter)
    held: frozenset = frozenset()
    strokes: bool = True
    turns: int = 0

    def __post_init__(self) -> None:
        self.editor = Editor(self.tab)
        self.random = np.random.default_rng(self.seed)

    def key(self, key: str) -> None:
        self.tab.keyboard.press(key)
        self.operations["key"] += 1

    def hold(self, *keys: str) -> None:
        for key in self.held - set(keys):
            self.tab.keyboard.up(key)
        for key in set(keys) - self.held:
            self.tab.keyboard.down(key)
            self.operations["modifier"] += 1
        self.held = frozenset(keys)

    def click(self, x: float, y: float, *held: str) -> None:
        self.hold(*held)
        box = self.tab.locator(".stage").bounding_box()
        at = np.array(self.editor.at(x, y)) + self.random.normal(0, HAND_PX, 2)
        low, high = (box["x"] + 1, box["y"] + 1), (box["x"] + box["width"] - 1, box["y"] + box["height"] - 1)
        self.tab.mouse.move(*np.clip(at, low, high))
        self.tab.mouse.down()
        self.tab.mouse.up()
        self.operations["click"] += 1

    @property
    def count(self) -> int:
        return sum(self.operations.values())

    def label(self, label: str) -> None:
        labels = self.editor.get("editor.labels")
        if self.editor.get("editor.label") != label:
            self.key(str(labels.index(label) + 1))

    def draw(self, label: str, start: int, rows: np.ndarray) -> None:
        """A new line along `rows` from trace `start` on."""
        self.key("n")
        self.label(label)
        self.follow(start, rows)

    def follow(self, start: int, rows: np.ndarray, leftwards: bool = False) -> None:
        """Click along a layer, as far each time as the way that the page shows stays on it."""
        x, last = start, start + len(rows) - 1
        if leftwards:
            x, last = last, x
        if self.strokes and len(rows) <= WORTH_A_CLICK:
            self.stroke(start, rows, x, last)
            return
        self.click(x, rows[x - start])
        while x != last:
            to, way, snap = self.farthest(start, rows, x, last)
            if self.strokes and abs(to - x) < WORTH_A_CLICK and to != last:
                x = self.stroke(start, rows, x, last)
                continue
            x = to
            held = [way] * bool(way) + ["Control"] * (not snap)
            self.click(x, rows[x - start], *held)
            self.editor.get("1")
        self.hold()
        self.editor.get("1")

    def brush(self, start: int, rows: np.ndarray, leftwards: bool) -> None:
        """Draw over a stretch with the brush, from the end at which the line lies on its layer."""
        x, last = start, start + len(rows) - 1
        if leftwards:
            x, last = last, x
        while x != last:
            x = self.stroke(start, rows, x, last)

    def take_brush(self) -> None:
        if self.editor.get("editor.mode") != "brush":
            self.key("g")

    def cross_out(self, trace: float, low: float, high: float) -> None:
        """Draw down at a trace, from row `low` to row `high`."""
        for row in (low, high):
            self.tab.mouse.move(*(np.array(self.editor.at(trace, row)) + self.random.normal(0, HAND_PX, 2)))
            if row == low:
                self.tab.mouse.down()
        self.tab.mouse.up()
        self.operations["stroke"] += 1

    def clear(self, stretch: "Stretch") -> bool:
        """Whether a stroke of the brush there would be a new line with the label at hand: no line is near its ends."""
        first = stretch.first
        end = min(stretch.last, first + STROKE_TRACES)
        ends = [{"x": x, "y": float(stretch.rows[x - first])} for x in (first, end)]
        with self.zoomed(first, stretch.rows, first, end):
            near = self.tab.evaluate(f"(ends) => ends.some((end) => {ELEMENT}.lineFor(end))", ends)
        return not near and self.editor.get("editor.label") == stretch.label

    def end(self) -> None:
        """Put in what is being drawn; the key that begins the next one does so too."""
        self.key("Enter")
        self.editor.get("1")

    def stroke(self, start: int, rows: np.ndarray, x: int, last: int) -> int:
        """Draw on by hand, the button held, where neither way goes far; returns the trace at which it ends."""
        self.hold()
        way = 1 if last > x else -1
        end = x + way * min(abs(last - x), STROKE_TRACES)
        with self.zoomed(start, rows, x, end):
            first = x + way if self.editor.get("Boolean(editor.stroke.last)") else x
            for trace in [*range(first, end, way * STROKE_STEP), end]:
                at = np.array(self.editor.at(trace, rows[trace - start])) + self.random.normal(0, HAND_PX, 2)
                self.tab.mouse.move(*at)
                if trace == first:
                    self.tab.mouse.down()
            self.tab.mouse.up()
            self.operations["stroke"] += 1
            self.editor.get("1")
        return end

    @contextmanager
    def zoomed(self, start: int, rows: np.ndarray, x: int, end: int) -> Iterator[None]:
        """The view as near as it can be with a layer in sight from trace x to `end`: the hand shakes by fewer traces and rows."""
        way = 1 if end > x else -1
        # About the end that keeps both in sight.
        left = self.editor.at(x, 0)[0] < self.tab.viewport_size["width"] / 2
        about = x if left == (way > 0) else end
        spot = self.editor.at(about, rows[about - start])
        self.tab.mouse.move(*spot)
        turns = self.turns_in_sight(spot[1], rows[min(x, end) - start : max(x, end) - start + 1])
        self.turn(-200, turns)
        yield
        self.tab.mouse.move(*spot)  # zoomed out about where it was zoomed in, the view is what it was
        self.turn(200, turns)

    def turns_in_sight(self, spot: float, rows: np.ndarray) -> int:
        """How far rows of a layer may be zoomed about a place at `spot` pixels on the screen and stay on the stage."""
        box = self.tab.locator(".stage").bounding_box()
        ends = np.array([self.editor.at(0, row)[1] for row in (rows.min(), rows.max())])
        for turns in range(ZOOM_TURNS, 0, -1):
            y = spot + ZOOM**turns * (ends - spot)
            if y[0] > box["y"] + 1 and y[1] < box["y"] + box["height"] - 1:
                return turns
        return 0

    def turn(self, by: int, turns: int) -> None:
        for _ in range(turns):
            before = self.editor.get("editor.view.sx")
            self.tab.mouse.wheel(0, by)
            for _ in range(SETTLED_LOOKS):
                if self.editor.get("editor.view.sx") != before:
                    break
                self.tab.wait_for_timeout(5)
        self.turns += turns

    def farthest(self, start: int, rows: np.ndarray, x: int, last: int) -> tuple[int, str, bool]:
        """The farthest trace to click at, up to `last`: (trace, the key that is held, whether snapping to the crest helps)."""
        origin = self.editor.get("editor.stroke.last")
        way, room = (1 if last > x else -1), abs(last - x)
        steps = (3, 5, 8, 12, 18, 27, 40, 60, 90, 135, 200, 300, 450, 700, 1100)
        ends = [x + way * step for step in sorted({min(room, step) for step in steps})]
        seen = self.tab.evaluate(LOOK, [origin, start, rows.tolist(), ends, WITHIN_PX, FAR_PX, FEW])
        best = (ends[0], "Alt", False)
        for end, (wire, aside, straight, snapped) in zip(ends[1:], seen[1:], strict=True):
            snap = snapped <= AIM_PX
            if wire:
                best = (end, "", snap)
            elif aside:
                best = (end, "Shift", snap)
            elif straight:
                best = (end, "Alt", False)
        return best


def shares(lines: list[dict], truth: LayersDocument) -> tuple[float, list[np.ndarray]]:
    """Share of the picked traces that a line of the same label has within `WITHIN_PX`, and which, a layer each."""
    width = truth.image.width
    drawn = [(line["label"], _rows([(v["x"], v["y"]) for v in line["vertices"]], width)) for line in lines]
    found = []
    for layer, rows in zip(truth.layers, truth.rows(), strict=True):
        near = [np.abs(own - rows) <= WITHIN_PX for label, own in drawn if label == layer.label]
        found.append(np.any(near, axis=0) if near else np.zeros(width, bool))
    picked = np.isfinite(truth.rows())
    return float((np.array(found) & picked).sum() / picked.sum()), found


def _rows(vertices: list[tuple[float, float]], width: int) -> np.ndarray:
    x, y = np.array(vertices).T
    traces = np.arange(width)
    return np.where((traces >= x[0] - 0.5) & (traces <= x[-1] + 0.5), np.interp(traces, x, y), np.nan)


def runs(mask: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(int)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def from_empty(expert: Expert, truth: LayersDocument) -> float:
    """Draw layers, the longest first, until enough is there."""
    stretches = [(layer.label, a, rows[a:b]) for layer, rows in zip(truth.layers, truth.rows(), strict=True)
                 for a, b in runs(np.isfinite(rows)) if b - a >= SHORTEST_STRETCH]  # fmt: skip
    missing = _missing(expert, truth)
    for label, start, rows in sorted(stretches, key=lambda item: -len(item[2])):
        if missing <= 0:
            break
        expert.draw(label, start, rows)
        missing -= len(rows)
    expert.end()
    return mend(expert, truth)


def _missing(expert: Expert, truth: LayersDocument) -> float:
    """Traces that have to come right before it is enough."""
    return (ENOUGH - shares(expert.editor.lines, truth)[0]) * float(np.isfinite(truth.rows()).sum())


def from_proposal(expert: Expert, truth: LayersDocument) -> float:
    """Delete what follows no layer, all at once, then mend what is left."""
    wrong = [index for index, line in enumerate(expert.editor.lines) if _follows_nothing(line, truth)]
    sure = expert.editor.get("editor.drawing.lines.map((line) => line.confidence)")
    right = [sure[index] for index in range(len(sure)) if index not in wrong]
    least = int(100 * min(right, default=1))
    unsure = [index for index in wrong if sure[index] < least / 100]
    if len(unsure) > WORTH_THE_SLIDER:
        expert.tab.locator("[data-least]").fill(str(least))
        expert.tab.click("[data-action=delete-below]")
        expert.operations["click"] += 2
        wrong = [index for index, line in enumerate(expert.editor.lines) if _follows_nothing(line, truth)]
    if wrong:
        expert.take_brush()
        expert.hold("Alt")
    while wrong:
        trace, low, high, crossed = most_crossed(expert.editor.lines, wrong)
        expert.cross_out(trace, low, high)
        wrong = [index for index, line in enumerate(expert.editor.lines) if _follows_nothing(line, truth)]
        assert crossed, "every wrong line can be crossed out"
    expert.hold()
    return mend(expert, truth)


def most_crossed(lines: list[dict], wrong: list[int]) -> tuple[int, float, float, int]:
    """Where a stroke down crosses most wrong lines, far from their ends, and no other: (trace, upper row, lower row, how many)."""
    width = 1 + max(round(line["vertices"][-1]["x"]) for line in lines)
    rows = np.array([_rows([(v["x"], v["y"]) for v in line["vertices"]], width) for line in lines])
    best, most = (0, 0.0, 0.0, 0), (0, 0)
    for trace in range(0, width, CROSSED_STEP):
        order = [k for k in np.argsort(rows[:, trace]) if np.isfinite(rows[k, trace])]
        for first in range(len(order)):
            last = first
            while last < len(order) and order[last] in wrong:
                last += 1
            inside = min((_from_ends(lines[k], trace) for k in order[first:last]), default=0)
            if (last - first, inside) > most:
                most = (last - first, inside)
                edges = [rows[order[first - 1], trace] if first else -np.inf, rows[order[first], trace],
                         rows[order[last - 1], trace], rows[order[last], trace] if last < len(order) else np.inf]  # fmt: skip
                low = max(edges[1] - CROSSED_ROWS, (edges[0] + edges[1]) / 2)
                high = min(edges[2] + CROSSED_ROWS, (edges[2] + edges[3]) / 2)
                best = (trace, low, high, last - first)
    return best


def _from_ends(line: dict, trace: int) -> int:
    """Traces from a place on a line to the nearer of its ends."""
    first, last = (round(line["vertices"][k]["x"]) for k in (0, -1))
    return min(trace - first, last - trace)


def mend(expert: Expert, truth: LayersDocument) -> float:
    """Redraw or add the longest wrong stretches until enough is right: long ones click by click, then short ones with the brush."""
    for _ in range(TRIES):
        missing = _missing(expert, truth)
        found = shares(expert.editor.lines, truth)[1]
        stretches = [
            stretch for number in range(len(truth.layers)) for stretch in wrong_stretches(truth, number, found[number])
        ]
        chosen = []
        for stretch in sorted(stretches, key=lambda one: -one.wrong):
            if missing <= 0:
                break
            missing -= stretch.wrong
            chosen.append(stretch)
        lines = expert.editor.lines
        begins = {
            stretch: [_mendable(lines, truth, stretch, x) for x in (stretch.first, stretch.last)] for stretch in chosen
        }
        for stretch in sorted(chosen, key=lambda one: len(one.rows) <= BRUSHED_TRACES):
            on_line = any(begins[stretch])
            leftwards = on_line and not begins[stretch][0]
            if expert.strokes and len(stretch.rows) <= BRUSHED_TRACES and (on_line or expert.clear(stretch)):
                expert.take_brush()
                expert.brush(stretch.first, stretch.rows, leftwards)
            elif on_line:
                expert.key("m")
                expert.follow(stretch.first, stretch.rows, leftwards)
            else:
                expert.draw(stretch.label, stretch.first, stretch.rows)
        if chosen:
            expert.end()
        if _missing(expert, truth) <= 0:
            break
    uncross(expert)
    return shares(expert.editor.lines, truth)[0]


@dataclass(frozen=True, eq=False)
class Stretch:
    """A part of a layer, from trace `first` to trace `last`, of which `wrong` traces are not as they should be."""

    number: int
    label: str
    first: int
    rows: np.ndarray
    wrong: int

    @property
    def last(self) -> int:
        return self.first + len(self.rows) - 1


def wrong_stretches(truth: LayersDocument, number: int, found: np.ndarray) -> list[Stretch]:
    """The wrong stretches of a layer; those that one stroke goes over are one."""
    rows = truth.rows()[number]
    picked = np.isfinite(rows)
    spans: list[tuple[int, int]] = []
    for a, b in runs(picked & ~found):
        if b - a < SHORTEST_STRETCH:
            continue
        begun = spans[-1][0] if spans else 0
        if spans and b - begun <= STROKE_TRACES and picked[begun:b].all():
            spans[-1] = (begun, b)
        else:
            spans.append((a, b))
    stretches = []
    for a, b in spans:
        own = np.flatnonzero(picked[max(0, a - 2) : b + 2]) + max(0, a - 2)
        first, last = int(own[0]), int(own[-1])
        wrong = int((picked & ~found)[a:b].sum())
        stretches.append(Stretch(number, truth.layers[number].label, first, rows[first : last + 1], wrong))
    return stretches


def uncross(expert: Expert) -> None:
    """Part the lines that cross, as the page asks before it sends them."""
    for _ in range(len(expert.editor.get("editor.crossed"))):
        if not expert.editor.get("editor.crossed.length"):
            break
        expert.key("k")
        expert.key("p")


def _follows_nothing(line: dict, truth: LayersDocument) -> bool:
    own = _rows([(v["x"], v["y"]) for v in line["vertices"]], truth.image.width)
    drawn = np.isfinite(own)
    with np.errstate(invalid="ignore"):
        near = np.any([np.abs(own - rows) <= WITHIN_PX for rows in truth.rows()], axis=0)
    return float(near[drawn].mean()) < 0.5


def _mendable(lines: list[dict], truth: LayersDocument, stretch: Stretch, trace: int) -> bool:
    """Whether a line follows the layer of a stretch at a trace, and follows no other layer in the stretch.

    A line that has hopped on to another layer is right there: redrawn, it would be missing.
    """
    rows = truth.rows()
    for line in lines:
        own = _rows([(v["x"], v["y"]) for v in line["vertices"]], truth.image.width)
        if line["label"] != stretch.label or not abs(own[trace] - rows[stretch.number, trace]) <= WITHIN_PX:
            continue
        others = np.delete(rows, stretch.number, axis=0)[:, stretch.first : stretch.last + 1]
        elsewhere = (np.abs(others - own[stretch.first : stretch.last + 1]) <= WITHIN_PX).any(axis=0)
        if elsewhere.sum() < SHORTEST_STRETCH:
            return True
    return False


@contextmanager
def page_of(frame: Traced) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with review.served(review.OneTask(frame)) as address, sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        tab = browser.new_page(viewport={"width": 1400, "height": 850})
        tab.goto(f"{address}/review/next")
        yield tab
        browser.close()


def measured(frame: Traced, empty: bool, strokes: bool, seed: int = 0) -> dict[str, Any]:
    proposal = frame.proposal.model_copy(update={"layers": []}) if empty else frame.proposal
    with page_of(Traced(frame.grey, frame.frame, proposal, frame.truth)) as tab:
        expert = Expert(tab, seed, strokes=strokes)
        started = time.perf_counter()
        at_first = shares(expert.editor.lines, frame.truth)[0]
        share = (from_empty if empty else from_proposal)(expert, frame.truth)
        return {
            "frame": frame.frame.frame_id, "size": f"{frame.frame.width} x {frame.frame.height}",
            "from": "empty" if empty else "proposal", "strokes": strokes, "share at first": round(at_first, 3), "share": round(share, 3),
            "operations": expert.count, "wheel": expert.turns, **dict(expert.operations), "layers": len(frame.truth.layers),
            "crossings": len(expert.editor.get("editor.crossed")), "script seconds": round(time.perf_counter() - started),
        }  # fmt: skip


def real_frames(folder: Path, stems: tuple[str, ...] = REAL_FRAMES) -> Iterator[Traced]:
    """Pictures as ingest makes them, with the expert's picks on them and an empty proposal."""
    for stem in stems:
        file = folder / f"{stem}.png"
        content = file.read_bytes()
        checksum = hashlib.sha256(content).hexdigest()
        source = description.Source("frames", file.name, None, UPLOADED, checksum)
        picture, frame = description.described(read_frame(content), f"utig/{stem}", checksum[:12], source)
        truth = on_picture(read_picks(folder / f"{stem}.picks.csv", file), frame)
        size = ImageSize(width=frame.width, height=frame.height)
        nothing = LayersDocument(
            frame_id=frame.frame_id, image=size, coverage="complete", confidence=0.5, layers=[],
            source=Source(kind="model", model_version="first", created=now()),
        )  # fmt: skip
        yield Traced(to_grey(picture.power_db), frame, nothing, truth)


def large_frame(side: int = 4000, count: int = 60) -> Traced:
    """A picture of 4,000 x 4,000 pixels with 60 lines that change their direction every few traces."""
    traces = np.arange(side)
    rows = np.array(
        [200 + 60 * k + 12 * np.sin(traces / (150 + 3 * k)) + 1.5 * np.sin(traces / 2.5) for k in range(count)]
    )
    grey = np.random.default_rng(0).normal(60, 18, (side, side))
    for row in np.rint(rows).astype(int):
        for offset, power in ((-1, 60), (0, 110), (1, 60)):
            grey[row + offset, traces] += power
    layers = [
        Layer(label="layer", confidence=0.9, vertices=[Vertex(x=x, y=row[x]) for x in [*range(0, side, 4), side - 1]])
        for row in rows
    ]
    size = ImageSize(width=side, height=side)
    document = LayersDocument(
        frame_id="large/large/0001", image=size, coverage="complete", confidence=0.5, layers=layers,
        source=Source(kind="model", model_version="first", created=now()),
    )  # fmt: skip
    frame = next(iter_frames(side))
    return Traced(np.clip(grey, 0, 255).astype(np.uint8), frame, document, document)


def iter_frames(side: int) -> Iterator[Any]:
    from firnline.documents.frame import FrameDocument

    yield FrameDocument.of_whole_file(
        side, side, frame_id="large/large/0001", revision="0" * 12, format="png", polarity="bright-strong",
        source_bucket="", source_key="", checksum_sha256="", created=now(), transforms=[],
    )  # fmt: skip


WATCH = """() => {
  const editor = document.querySelector('layer-editor');
  const seen = { work: [], frames: [] };
  const paint = editor.paint.bind(editor);
  editor.paint = (dirty) => { const t = performance.now(); paint(dirty); seen.work.push(performance.now() - t); };
  let before = performance.now();
  const tick = (t) => { seen.frames.push(t - before); before = t; requestAnimationFrame(tick); };
  requestAnimationFrame(tick);
  window.seen = seen;
}"""


def frame_times(frame: Traced) -> dict[str, dict[str, float]]:
    """Milliseconds (p50, p95) between frames, and of our own work in each, while a vertex is dragged and a line is drawn."""
    found = {}
    with page_of(frame) as tab:
        editor = Editor(tab)
        tab.evaluate(WATCH)
        tab.wait_for_timeout(1500)
        for scene, act in {"idle": _idle, "drag": _drag, "live-wire": _wire, "pan": _pan}.items():
            tab.evaluate("Object.assign(window.seen, { work: [], frames: [] })")
            act(tab, editor)
            seen = tab.evaluate("window.seen")
            found[scene] = {
                f"{name} p{p}": round(float(np.percentile(values, p)), 1)
                for name, values in seen.items() if values for p in (50, 95)
            }  # fmt: skip
            found[scene]["frames"] = len(seen["frames"])
    return found


def _sweep(tab: Any, start: tuple[float, float], reach: float, steps: int = 150) -> None:
    for k in range(steps):
        tab.mouse.move(start[0] + reach * k / steps, start[1] + 12 * np.sin(k / 9))
        tab.wait_for_timeout(12)


def _idle(tab: Any, _editor: Editor) -> None:
    tab.wait_for_timeout(2000)


def _drag(tab: Any, editor: Editor) -> None:
    editor.select(30)
    tab.wait_for_timeout(300)
    start = editor.at(*editor.vertex(30, len(editor.lines[30]["vertices"]) // 2))
    tab.evaluate("Object.assign(window.seen, { work: [], frames: [] })")
    tab.mouse.move(*start)
    tab.mouse.down()
    _sweep(tab, start, 4)
    tab.mouse.up()


def _wire(tab: Any, editor: Editor) -> None:
    editor.press("n")
    editor.click(400, 2000)
    tab.evaluate("Object.assign(window.seen, { work: [], frames: [] })")
    _sweep(tab, editor.at(450, 2000), 600)
    editor.press("Escape")


def _pan(tab: Any, editor: Editor) -> None:
    for _ in range(4):
        tab.mouse.wheel(0, -200)
    tab.wait_for_timeout(500)
    box = tab.locator(".stage").bounding_box()
    start = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tab.evaluate("Object.assign(window.seen, { work: [], frames: [] })")
    tab.mouse.move(*start)
    tab.mouse.down(button="middle")
    _sweep(tab, start, 200)
    tab.mouse.up(button="middle")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=Path, help="folder of <stem>.png with <stem>.picks.csv")
    parser.add_argument("--only", choices=["real", "simulated", "frames"])
    chosen = parser.parse_args()
    if chosen.real and chosen.only in (None, "real"):
        for frame in real_frames(chosen.real):
            for strokes in (False, True):
                print(json.dumps(measured(frame, empty=True, strokes=strokes)), flush=True)
    if chosen.only in (None, "simulated"):
        with tempfile.TemporaryDirectory() as work:
            frames = traced(UNSEEN, Path(work))
        for frame in frames:
            for empty in (True, False):
                print(json.dumps(measured(frame, empty, strokes=True)), flush=True)
    if chosen.only in (None, "frames"):
        print(json.dumps(frame_times(large_frame())), flush=True)


if __name__ == "__main__":
    main()
