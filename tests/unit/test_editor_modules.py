"""The editor's modules in Chromium: pure functions on arrays that a reader can check by eye."""

import json
from pathlib import Path

import pytest

from firnline.portal import scripts
from firnline.portal.scripts import joined, with_editor, without_editor
from firnline.review.task_template import WORKER_TEMPLATES, task_template
from tests.support.review_editor import CHROMIUM, needs_chromium

MODULES = Path(scripts.__file__).parent / "editor"
ORIGIN = "http://editor.test"
MOST_CHARACTERS = 128_000
"""Amazon A2I takes no longer worker template."""


@pytest.fixture(scope="module")
def page():
    from playwright.sync_api import sync_playwright

    def serve(route):
        name = route.request.url.removeprefix(f"{ORIGIN}/")
        body = (MODULES / name).read_text() if name.endswith(".js") else "<!doctype html>"
        route.fulfill(body=body, content_type="text/javascript" if name.endswith(".js") else "text/html")

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = browser.new_page()
        page.route(f"{ORIGIN}/**", serve)
        page.goto(f"{ORIGIN}/")
        yield page
        browser.close()


@pytest.fixture
def call(page):
    """Run an expression in which `m` is a module of the editor and `a` the arguments."""

    def run(module, expression, *arguments):
        return page.evaluate(
            f"async (a) => {{ const m = await import('/{module}.js'); return {expression}; }}", list(arguments)
        )

    return run


def vertices(*places):
    return [{"x": x, "y": y} for x, y in places]


def line(*places, label="layer", **more):
    return {"label": label, "vertices": vertices(*places), **more}


def places(found):
    return [(vertex["x"], vertex["y"]) for vertex in found]


@needs_chromium
class TestGeometry:
    def test_of_vertices_at_one_trace_the_last_stays(self, call):
        found = call("geometry", "m.alongTrack(a[0])", vertices((5, 1), (0, 0), (5, 9)))
        assert places(found) == [(0, 0), (5, 9)]

    def test_a_stretch_takes_the_place_of_what_it_covers(self, call):
        found = call("geometry", "m.mended(a[0], a[1])", vertices((0, 0), (4, 0), (9, 0)), vertices((3, 5), (6, 5)))
        assert places(found) == [(0, 0), (3, 5), (6, 5), (9, 0)]

    def test_a_stretch_behind_the_end_extends_the_line(self, call):
        found = call("geometry", "m.mended(a[0], a[1])", vertices((0, 0), (4, 0)), vertices((4, 0), (8, 2)))
        assert places(found) == [(0, 0), (4, 0), (8, 2)]

    @pytest.mark.parametrize(
        ("path", "through"),
        [
            ([(5, 0), (5, 9)], True),
            ([(5, 0), (5, 3)], False),
            ([(0, 2.5), (10, 4.5)], True),  # the line rises from 2 to 6, and is met between two places
            ([(12, 0), (12, 9)], False),
            ([(9, 0), (14, 60)], True),
            ([(9, 0), (14, 20)], False),  # past the end
            ([(4, 1), (6, 1), (6, 9)], True),
        ],
    )
    def test_a_path_goes_through_a_line(self, call, path, through):
        assert call("geometry", "m.goesThrough(a[0], a[1])", vertices(*path), line((0, 2), (10, 6))) is through

    @pytest.mark.parametrize(("x", "row"), [(-1, 2), (0, 2), (5, 4), (10, 6), (11, 6)])
    def test_the_row_at_a_trace(self, call, x, row):
        assert call("geometry", "m.rowAt(a[0], a[1])", vertices((0, 2), (10, 6)), x) == row

    def test_simplified_keeps_corners_and_what_a_person_set(self, call):
        drawn = vertices((0, 0), (1, 0.1), (2, 0), (3, 0), (4, 4), (5, 4))
        drawn[2]["set"] = True
        assert places(call("geometry", "m.simplified(a[0])", drawn)) == [(0, 0), (2, 0), (3, 0), (4, 4), (5, 4)]

    def test_lines_that_cross_twice_are_marked_where_they_do(self, call):
        level, bump = line((0, 10), (40, 10)), line((0, 5), (10, 5), (20, 15), (30, 5), (40, 5))
        found = call("geometry", "m.crossings(a)", level, bump)
        assert [(place["x"], place["y"]) for place in found] == [(15, 10), (25, 10)]

    def test_lines_that_touch_within_the_tolerance_do_not_cross(self, call):
        assert call("geometry", "m.crossings(a)", line((0, 10), (9, 10)), line((0, 12), (4, 9.6), (9, 12))) == []

    def test_parted_lines_keep_a_row_between_them_and_leave_the_rest_alone(self, call):
        upper, lower = call("geometry", "m.parted(a[0], a[1])", line((0, 0), (20, 0)), line((0, 9), (10, -1), (20, 9)))
        gaps = call(
            "geometry",
            "[0, 5, 9, 10, 11, 20].map((x) => m.rowAt(a[1].vertices, x) - m.rowAt(a[0].vertices, x))",
            upper,
            lower,
        )
        assert gaps == pytest.approx([9, 4, 1, 1, 1, 9], abs=0.15)
        assert call("geometry", "m.crossings(a)", upper, lower) == []

    def test_what_lies_in_a_box_is_erased(self, call):
        box = {"left": 4, "right": 6, "top": -1, "bottom": 1}
        found = call("geometry", "m.outsideBox(a[0], a[1])", vertices((0, 0), (10, 0)), box)
        assert [places(piece) for piece in found] == [[(0, 0), (4, 0)], [(6, 0), (10, 0)]]
        above = {"left": 4, "right": 6, "top": -9, "bottom": -1}
        assert len(call("geometry", "m.outsideBox(a[0], a[1])", vertices((0, 0), (10, 0)), above)) == 1

    def test_lines_in_a_row_are_joined_and_overlaps_dropped(self, call):
        one, other = vertices((0, 0), (5, 0)), vertices((4, 3), (9, 3))
        assert places(call("geometry", "m.joined(a[0], a[1])", other, one)) == [(0, 0), (5, 0), (9, 3)]

    def test_the_share_of_the_proposal_that_was_kept(self, call):
        proposal = [line((0, 0), (9, 0))]
        assert call("geometry", "m.keptShare(a[0], a[1])", proposal, [line((0, 0.4), (4, 0.4))]) == 0.5
        assert call("geometry", "m.keptShare([], a)", *proposal) == 1


@needs_chromium
class TestLiveWire:
    RIDGE = """(() => {
        const [width, height] = [60, 40];
        const grey = new Uint8Array(width * height).fill(20);
        for (let x = 0; x < width; x++) {
            const row = 20 + Math.round(6 * Math.sin(x / 10));
            for (const [d, value] of [[-1, 120], [0, 200], [1, 120]]) grey[(row + d) * width + x] = value;
        }
        return [grey, width, height];
    })()"""

    def test_the_line_follows_the_ridge_between_two_clicks(self, call):
        path = call("live_wire", f"m.ridgePath(...{self.RIDGE}, a[0], a[1])", {"x": 0, "y": 20}, {"x": 59, "y": 18})
        assert [place["x"] for place in path] == list(range(1, 59))
        off = call("live_wire", "a.map(({x, y}) => Math.abs(y - 20 - Math.round(6 * Math.sin(x / 10))))", *path)
        assert max(off) < 2
        assert sum(off) / len(off) < 0.5

    def test_a_click_beside_the_crest_goes_onto_it(self, call):
        crest = call("live_wire", f"m.crest(...{self.RIDGE}, a[0])", {"x": 0, "y": 22.4})
        assert (crest["x"], round(crest["y"])) == (0, 20)

    def test_a_click_far_from_any_crest_stays(self, call):
        assert call("live_wire", f"m.crest(...{self.RIDGE}, a[0])", {"x": 0, "y": 35})["y"] == pytest.approx(
            35, abs=0.6
        )

    def test_a_worker_and_the_page_find_the_same_way(self, call):
        ways = call(
            "tracker",
            f"""await (async () => {{
                const [one, other] = [new m.Tracker(...{self.RIDGE}), new m.Tracker(...{self.RIDGE})];
                other.goOnWithoutWorker();
                const ends = [{{ x: 50, y: 14 }}, {{ x: 2, y: 21 }}];
                return [Boolean(one.worker), await one.between(...ends), await other.between(...ends)];
            }})()""",
        )
        assert ways[0] is True
        assert ways[1] == ways[2]
        assert (ways[1][0]["x"], ways[1][-1]["x"]) == (2, 50)

    BESIDE = """[{ start: 0, rows: Array.from({ length: 60 }, (_, x) => 20 + Math.round(6 * Math.sin(x / 10))) }]"""

    def test_where_nothing_is_seen_the_line_runs_as_the_one_beside_it(self, call):
        blank = "new Uint8Array(60 * 80).fill(20), 60, 80"
        ends = [{"x": 0, "y": 36}, {"x": 59, "y": 34}]
        path = call("live_wire", f"m.ridgePath({blank}, a[0], a[1], {self.BESIDE})", *ends)
        off = call("live_wire", "a.map(({x, y}) => Math.abs(y - 36 - Math.round(6 * Math.sin(x / 10))))", *path)
        assert max(off) < 2
        alone = call("live_wire", f"m.ridgePath({blank}, a[0], a[1])", *ends)
        assert max(abs(place["y"] - 35) for place in alone) < 2

    LEVEL = ({"start": 4, "rows": [12, 12]}, {"start": 9, "rows": [15]})

    def test_pixels_on_a_line_and_far_from_the_guide_suit_another_line_less(self, call):
        found = call(
            "live_wire", "[...m.amongLines(new Float64Array(7).fill(1), [{ x: 5, top: 10 }], 7, a)]", *self.LEVEL
        )
        assert found == pytest.approx([0.97, 0.48, 0.49, 0.5, 0.99, 0.98, 0.97])

    def test_as_the_lines_beside_run_whichever_way_it_is_drawn(self, call):
        steps = f"""await (async () => {{
            const tracker = new m.Tracker(...{self.RIDGE});
            const straight = await tracker.aside(a[0], a[1]);
            tracker.others = () => [a[2]];
            return [straight, await tracker.aside(a[0], a[1]), await tracker.aside(a[1], a[0])];
        }})()"""
        bent = line((0, 5), (30, 11), (59, 5))
        straight, there, back = call("tracker", steps, {"x": 0, "y": 9}, {"x": 59, "y": 9}, bent)
        assert places(straight) == [(0, 9), (59, 9)]
        assert there == back
        assert 13.5 < max(place["y"] for place in there) < 15
        assert max(there, key=lambda place: place["y"])["x"] == pytest.approx(30, abs=1)


@needs_chromium
class TestDrawing:
    def drawing(self, call, steps, *lines):
        return call("drawing", f"(() => {{ const d = new m.Drawing(a[0]); {steps} }})()", list(lines))

    def test_every_step_can_be_undone_and_done_again(self, call):
        ids = "d.lines.map((line) => line.id).join()"
        steps = f"""const seen = [];
            d.remove([0]); d.remove([1]); seen.push({ids}); d.undo(); d.undo(); seen.push({ids}); d.redo(); seen.push({ids});
            return [...seen, d.undo(), d.undo()];"""
        assert self.drawing(call, steps, line((0, 0), (9, 0)), line((0, 5), (9, 5))) == ["", "0,1", "1", True, False]

    def test_nudges_in_a_row_are_one_step(self, call):
        steps = """d.select([0]); for (let k = 1; k <= 5; k++) d.moveVertex(0, { x: 0, y: k }, "nudge");
            const there = d.line.vertices[0].y; d.undo(); return [there, d.lines[0].vertices[0].y, d.past.length];"""
        assert self.drawing(call, steps, line((0, 0), (9, 0))) == [5, 0, 0]

    def test_chosen_lines_are_joined_from_left_to_right(self, call):
        steps = "d.select([1, 0]); d.join(); return d.lines.map((line) => line.vertices.map((v) => v.x));"
        assert self.drawing(call, steps, line((6, 0), (9, 0)), line((0, 0), (4, 0))) == [[0, 4, 6, 9]]

    @pytest.mark.parametrize(
        ("stretch", "left"),
        [
            ([(3, 0), (7, 1)], [[0, 3, 7, 9]]),
            ([(3, 0), (5, 1)], [[0, 3, 5, 6, 9]]),
            ([(3, 0), (3.5, 1)], [[6, 9], [0, 4]]),
        ],
    )
    def test_a_stretch_between_two_lines_makes_them_one(self, call, stretch, left):
        """Unless the first goes on where the stretch has ended."""
        steps = f"""d.bridge([d.lines[0], d.lines[1]], {[{"x": x, "y": y} for x, y in stretch]});
            return d.lines.map((line) => line.vertices.map((v) => v.x));"""
        lines = line((6, 0), (9, 0)), line((0, 0), (4, 0))
        assert self.drawing(call, steps, *lines) == left
        labelled = lines[0], line((0, 0), (4, 0), label="bed")
        assert len(self.drawing(call, steps, *labelled)) == 2

    def test_erasing_takes_only_from_chosen_lines_if_there_are_any(self, call):
        steps = """d.select([1]); d.erase({ left: 3, right: 5, top: -9, bottom: 99 });
            return d.lines.map((line) => [line.vertices[0].x, line.vertices[line.vertices.length - 1].x]);"""
        assert self.drawing(call, steps, line((0, 0), (9, 0)), line((0, 5), (9, 5))) == [[0, 9], [0, 3], [5, 9]]

    def test_a_stored_drawing_goes_on_with_its_history(self, call):
        steps = """d.select([0]); d.moveVertex(0, { x: 0, y: 3 }); d.relabel("bed");
            const other = new m.Drawing(a[0]); other.state = structuredClone(d.state);
            const now = [other.lines[0].label, other.lines[0].vertices[0].set]; other.undo(); other.undo();
            return [...now, other.lines[0].label, other.changed];"""
        assert self.drawing(call, steps, line((0, 0), (9, 0))) == ["bed", True, "layer", False]

    def test_vertices_are_left_out_in_one_step_but_not_those_that_a_person_set(self, call):
        steps = """d.lines[1].vertices[2].set = true; const seen = [d.simplify(1), d.simplify(1)];
            const count = () => d.lines.map((line) => line.vertices.length);
            return [...seen, count(), d.undo(), count()];"""
        lines = [line(*((x, x % 2) for x in range(9)), (9, 5)), line(*((x, 20) for x in range(5)))]
        assert self.drawing(call, steps, *lines) == [True, False, [3, 3], True, [10, 5]]

    def test_start_over_can_be_undone(self, call):
        steps = "d.remove([0]); d.startOver(); const back = d.lines.length; d.undo(); return [back, d.lines.length];"
        assert self.drawing(call, steps, line((0, 0), (9, 0))) == [1, 0]


@needs_chromium
class TestAnswers:
    """What an arbiter is shown of two or three reviewers' lines."""

    SURFACE, HIGH, LOW = line((0, 10), (99, 10), label="surface"), line((0, 40), (99, 40)), line((0, 46), (99, 46))

    def differences(self, call, *answers):
        found = call("answers", "m.differences(a)", *answers)
        return [(place["label"], [len(lines) for lines in place["lines"]], place["y"]) for place in found]

    def test_lines_that_are_drawn_elsewhere_are_one_place_and_a_line_alone_is_another(self, call):
        alone = line((0, 80), (99, 80))
        found = self.differences(call, [self.SURFACE, self.HIGH, alone], [self.SURFACE, self.LOW])
        assert found == [("layer", [1, 1], 43), ("layer", [1, 0], 80)]

    def test_what_most_people_drew_alike_is_no_place(self, call):
        assert self.differences(call, [self.HIGH], [self.HIGH], [self.LOW]) == [("layer", [0, 0, 1], 46)]
        assert self.differences(call, [self.HIGH], [self.HIGH]) == []

    def test_a_layer_that_one_follows_much_farther_is_a_place_and_each_is_told_from_the_other(self, call):
        short = line((0, 40), (50, 40))
        [place] = call("answers", "m.differences(a)", [self.HIGH], [short])
        assert [(one["left"], one["right"]) for one in place["stretches"]] == [(51, 99)]
        asked = "[0, 1].map((who) => m.isAs(a[0], m.differences([a[0], a[1]])[0], who))"
        assert call("answers", asked, [self.HIGH], [short]) == [True, False]
        settled = self.differences(call, [self.HIGH, self.SURFACE], [short], [short])
        assert settled == [("surface", [1, 0, 0], 10)], "on the other a majority has decided"
        assert self.differences(call, [self.HIGH, self.SURFACE], [line((0, 40), (95, 40))]) == [("surface", [1, 0], 10)]

    def test_a_line_in_two_pieces_and_a_whole_one_are_one_place(self, call):
        pieces = [line((0, 46), (40, 46)), line((60, 46), (99, 46))]
        assert self.differences(call, [self.HIGH], pieces) == [("layer", [1, 2], 43)]

    def test_lines_that_lie_close_do_not_chain_layers_together(self, call):
        """Given layers 12 rows apart, which three people see 3 rows from each other, then each layer is a place of its own."""
        answers = [[line((0, 10 + 12 * k + off), (99, 10 + 12 * k + off)) for k in range(5)] for off in (0, 3, 6)]
        assert [lines for _, lines, _ in self.differences(call, *answers)] == 5 * [[1, 1, 1]]

    def test_the_label_alone_can_be_what_differs(self, call):
        bed = line((0, 40), (99, 40), label="bed")
        assert [lines for _, lines, _ in self.differences(call, [self.HIGH], [bed])] == [[1, 1]]

    def test_the_stretch_where_lines_part_is_marked(self, call):
        strays = line((0, 40), (40, 40), (50, 60), (80, 60), (90, 40), (99, 40))
        [place] = call("answers", "m.differences(a)", [self.HIGH], [strays])
        [stretch] = place["stretches"]
        assert (stretch["left"], stretch["right"]) == (42, 88)
        assert (stretch["top"], stretch["bottom"]) == (40, 60)
        assert place["x"] == 65

    def test_a_drawing_is_told_to_be_as_somebodys(self, call):
        place = "m.differences([a[0], a[1]])[0]"
        asked = f"[0, 1].map((who) => m.isAs(a[2], {place}, who))"
        one, none = [self.HIGH], [self.SURFACE]
        assert call("answers", asked, one, none, one) == [True, False]
        assert call("answers", asked, one, none, none) == [False, True]
        bent = [line((0, 41), (99, 41))]
        assert call("answers", asked, one, [self.LOW], bent) == [True, False]

    def test_people_of_one_name_are_numbered(self, call):
        named = [{"name": name} for name in ("ada", "reviewer", "reviewer")]
        assert call("answers", "m.namesOf(a)", *named) == ["ada", "reviewer 2", "reviewer 3"]

    def test_lines_are_exchanged_in_one_step_and_the_same_ones_not_at_all(self, call):
        steps = """(() => { const d = new m.Drawing(a[0]);
            const done = [d.exchange([d.lines[1]], a[1]), d.exchange([d.lines[1]], a[1])];
            return [...done, d.lines.map((line) => line.vertices[0].y), d.undo(), d.undo(), d.changed]; })()"""
        found = call("drawing", steps, [self.SURFACE, self.HIGH], [self.LOW])
        assert found == [True, False, [10, 46], True, False, False]


@needs_chromium
class TestViewAndPicture:
    def test_labels_of_an_axis_are_round(self, call):
        unit = {"name": "µs", "zero": 1.5, "scale": 0.01}
        found = call("axes", "m.ticks(a[0], 0, 100, 2)", unit)
        assert [tick["text"] for tick in found] == ["1.5", "2.0", "2.5"]
        assert [tick["pixel"] for tick in found] == pytest.approx([0, 50, 100])

    def test_units_are_offered_only_where_they_are_known(self, call):
        names = "Object.values(m.units(a[0])).map((axis) => axis.map(({ name }) => name))"
        assert call("axes", names, {"trace_spacing_m": None, "sample_interval_s": None}) == [["trace"], ["sample"]]
        known = {"trace_spacing_m": 15, "sample_interval_s": 1e-8, "first_sample_s": 0, "metres_per_sample": 0.8}
        assert call("axes", names, known) == [["trace", "km"], ["sample", "µs", "m"]]

    def test_a_halved_picture_holds_means_of_neighbours(self, call):
        halved = "(({ grey, width, height }) => [[...grey], width, height])(m.halved({ grey: a[0], width: 3, height: 1 }, true))"
        assert call("picture", halved, [10, 20, 30]) == [[15, 30], 2, 1]

    def test_inverted_greys_and_gain_with_depth(self, call):
        curve = "[...m.toneCurve({ brightness: 1, gamma: 1, gain: 1, invert: a[0] }, a[1])]"
        assert call("picture", curve, False, 0)[100] == 100
        assert call("picture", curve, False, 1)[100] == 200
        assert call("picture", curve, True, 0)[100] == 155

    def test_what_is_zoomed_stays_under_the_pointer(self, call):
        steps = """(() => { const v = new m.View(100, 50); v.resize(200, 100); const at = { x: 60, y: 20 };
            const before = v.toPixel(at); v.zoom(3, 2, at); return [before, v.toPixel(at)]; })()"""
        before, after = call("view", steps)
        assert (after["x"], after["y"]) == pytest.approx((before["x"], before["y"]))

    def test_the_view_follows_a_place_out_of_sight(self, call):
        steps = """(() => { const v = new m.View(100, 50); v.resize(200, 100); v.scale(10, 10); v.follow({ x: 90, y: 40 });
            const { left, right, top, bottom } = v.sight; return [left < 90 && 90 < right, top < 40 && 40 < bottom]; })()"""
        assert call("view", steps) == [True, True]


@pytest.mark.parametrize("chosen", WORKER_TEMPLATES)
def test_the_template_of_a2i_is_short_enough_and_asks_no_other_host(chosen):
    template = with_editor(task_template(chosen))
    assert len(template) < MOST_CHARACTERS
    hosts = {part.split("/")[0] for part in template.split("https://")[1:]}
    assert hosts == {"assets.crowd.aws"}
    assert "{{" not in joined("layer_editor")
    assert "{%" not in joined("layer_editor")
    assert "</script" not in joined("layer_editor")
    assert without_editor(template) == without_editor(
        template.replace("<script data-layer-editor>", "<script data-layer-editor>x")
    )


def test_the_editor_travels_with_its_template_and_only_with_it():
    assert "customElements.define" in with_editor(task_template("layer-editor"))
    assert "customElements" not in with_editor(task_template("crowd-polyline"))
    assert "customElements" not in without_editor(with_editor(task_template("layer-editor")))


def test_joined_modules_have_no_comments_left_and_are_always_the_same():
    script = joined("elements")
    assert "import " not in script
    assert not any(text.startswith(("//", "/**", " ")) for text in script.splitlines())
    assert "\n\n" not in script
    assert "; // " not in script
    assert json.dumps(script) == json.dumps(joined.__wrapped__("elements"))


COAST = {"unit_km": 0.5, "reach_km": 100, "rings": [[0, 0, 20, 0, 0, 20, 1, 0, -21, 0, 0, -20], [100, 100, 2, 0, 0, 2]]}


@needs_chromium
class TestCoast:
    def test_corners_are_counted_from_the_one_before(self, call):
        rings = call("coast", "m.coastsOf(a[0]).rings", COAST)
        assert (rings[0]["x"], rings[0]["y"]) == ([0, 10, 10, 10.5, 0, 0], [0, 0, 10, 10, 10, 0])
        assert [rings[1][side] for side in ("west", "east", "south", "north")] == [50, 51, 50, 51]

    def test_land_is_drawn_where_it_is_seen_and_no_finer(self, call):
        box = {"west": -5, "east": 20, "south": -5, "north": 20}
        assert call("coast", "m.landIn(m.coastsOf(a[0]), a[1], (x, y) => [x, -y])", COAST, box) == (
            "M0.0 0.0L10.0 0.0L10.0 -10.0L0.0 -10.0L0.0 0.0Z"
        )
        assert call("coast", "m.landIn(m.coastsOf(a[0]), a[1], (x, y) => [x, -y])", COAST, box | {"west": 11}) == ""

    def test_beyond_its_reach_no_coast_is_known(self, call):
        box = {"west": -5, "east": 60, "south": -5, "north": 70}
        assert call("coast", "m.reaches(m.coastsOf(a[0]), a[1])", COAST, box)
        assert not call("coast", "m.reaches(m.coastsOf(a[0]), a[1])", COAST, box | {"west": -80})
