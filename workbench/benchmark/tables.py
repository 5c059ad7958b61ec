"""The benchmark's results as tables, for the terminal and for docs/benchmarks.md."""

from typing import Any, NamedTuple

from rich.table import Table as RichTable

from workbench.benchmark.sides import converged_score, seconds_to_reach

NAMES = {
    "ours": "ours, from scratch",
    "reference": "reference network",
    "box": "ours, model in the box",
    "ridge": "ridge filter + Viterbi",
    "canny": "Canny + linking",
    "experts": "expert, from the other version's picks",
    "tuned": "ours, fine-tuned",
}
NONE = "–"


class Table(NamedTuple):
    """A table of text; the first column says what a row is about."""

    title: str
    columns: list[str]
    rows: list[list[str]]


def tables(content: dict[str, Any]) -> list[Table]:
    """The tables of a `benchmark.json`; only what was measured."""
    stages = content["stages"]
    sides = {
        name: stages[stage][name]
        for name, stage in _STAGE_OF.items()
        if "layers" in stages.get(stage, {}).get(name, {})
    }
    found = [_quality(sides), _lines(sides), _speed(sides)] if sides else []
    found += [_against_reference(sides)] if {"ours", "reference"} <= sides.keys() else []
    found += [_genuine(stages["genuine"]["groups"])] if "groups" in stages.get("genuine", {}) else []
    found += [_real(stages["real"]["sides"])] if "sides" in stages.get("real", {}) else []
    found += [_halving(stages["halving"])] if "half, plain loss" in stages.get("halving", {}) else []
    found += [_large(stages["large"])] if "layers" in stages.get("large", {}) else []
    found += [_times(stages)] if stages else []
    return found


_STAGE_OF = {"ours": "ours", "reference": "reference", "box": "box", "ridge": "classical", "canny": "classical"}


def _quality(sides: dict) -> Table:
    rows = []
    for name, side in sides.items():
        lines, two, diagonal = side["layers"], side["response"]["2px"], side["response"]["0.0075_diagonal"]
        rows.append(
            [NAMES[name], _number(side.get("training_seconds"), 0)]
            + [_number(lines[key], 3) for key in ("f1_2px", "precision_2px", "recall_2px")]
            + [_number(two[key], 3) for key in ("ods", "ois", "ap")]
            + [_number(diagonal[key], 3) for key in ("ods", "ois", "ap")]
        )
    columns = ["Unseen campaign", "training s", "F1 2 px", "precision", "recall", "ODS 2 px", "OIS", "AP"]
    return Table("Layers found", [*columns, "ODS 0.0075 diag.", "OIS", "AP"], rows)


def _lines(sides: dict) -> Table:
    rows = []
    for name, side in sides.items():
        lines = side["layers"]
        calibration = lines["calibration"] or {"layer": {"ece": None}, "frame": {"ece": None}}
        rows.append(
            [NAMES[name]]
            + [_number(lines[key], 2) for key in ("mae_px", "layer_mae_px", "thickness_mae_px")]
            + [_shares(lines["within"].get(kind)) for kind in ("surface", "layer")]
            + [_number(lines["vertices_per_layer"], 1)]
            + [_number(calibration[kind]["ece"], 3) for kind in ("layer", "frame")]
        )
    columns = ["Unseen campaign", "MAE px, matched points", "MAE px, matched layers", "thickness MAE px"]
    columns += ["surface within 2/3/5 px", "layers within 2/3/5 px", "vertices a layer", "ECE layer", "ECE frame"]
    return Table("Layers as drawn", columns, rows)


def _speed(sides: dict) -> Table:
    rows = []
    for name, side in sides.items():
        every, single = side["ms_per_frame"], side.get("ms_per_frame_one_thread", {})
        rows.append(
            [NAMES[name], str(side.get("parameters", NONE)), str(side["threads"])]
            + [_number(every.get(part), 1) for part in ("decode", "network", "vectorise", "total")]
            + [_number(single.get(part), 1) for part in ("network", "total")]
            + [_number(side.get("peak_memory_mb"), 0)]
        )
    columns = ["512 x 256, ms per frame", "parameters", "threads", "decode", "network", "vectorise", "total"]
    return Table("Speed", [*columns, "network, 1 thread", "total, 1 thread", "peak memory MB"], rows)


def _against_reference(sides: dict) -> Table:
    ours, reference = sides["ours"], sides["reference"]
    target = converged_score(reference["history"])
    reached = [None if target is None else seconds_to_reach(side["history"], target) for side in (ours, reference)]
    f1 = [side["layers"]["f1_2px"] for side in (ours, reference)]
    network = [side["ms_per_frame"]["network"] for side in (ours, reference)]
    rows = [
        ["F1 2 px", *[_number(value, 3) for value in f1], f"{f1[0] - f1[1]:+.3f}"],
        [f"training s to F1 {_number(target, 3)}", *[_number(value, 0) for value in reached], _ratio(*reached)],
        ["network, ms per frame", *[_number(value, 1) for value in network], _ratio(*network)],
    ]
    return Table("Against the reference", ["", "ours", "reference", "difference or ratio"], rows)


def _genuine(groups: dict) -> Table:
    rows = []
    for name, group in groups.items():
        ours, plain = group["genuine"], group["plain"]
        f1 = [side["f1_2px"] for side in (ours, plain)]
        rows.append(
            [name, str(ours["frames"])]
            + [*[_number(value, 3) for value in f1], NONE if f1[0] is None else f"{f1[0] - f1[1]:+.3f}"]
            + [_number(side["recall_2px"], 3) for side in (ours, plain)]
            + [_share(side["surface_within_3px"]) for side in (ours, plain)]
            + [_share(side["bed_within_5px"]) for side in (ours, plain)]
            + [str(side["false_beds"]) for side in (ours, plain)]
        )
    columns = ["Genuine frames, and the same ice at 256 x 512", "frames", "F1 2 px", "256 x 512", "difference"]
    columns += ["recall 2 px", "256 x 512", "surface within 3 px", "256 x 512", "bed within 5 px", "256 x 512"]
    return Table("Genuine frames", [*columns, "beds where there is none", "256 x 512"], rows)


def _real(sides: dict) -> Table:
    rows = [
        [
            NAMES[name],
            *[
                _shares(shares)
                for shares in (lines["within"].get("surface"), lines["within"]["bed"], lines["bed_under_ice"])
            ],
            _number(lines["ice_thickness_mae_px"], 1),
        ]
        for name, lines in sides.items()
    ]
    columns = ["utig, transects left out", "surface within 2/3/5 px", "bed within 2/3/5 px"]
    columns += ["bed under 6 px of ice or more", "ice thickness MAE px"]
    return Table("Real frames", columns, rows)


def _halving(stage: dict) -> Table:
    whole = stage["whole"]["layers"]["f1_2px"]
    rows = []
    for name in ("whole", "half, marked partial", "half, plain loss"):
        f1 = stage[name]["layers"]["f1_2px"]
        rows.append([name, _number(stage[name]["training_seconds"], 0), _number(f1, 3), f"{f1 - whole:+.3f}"])
    return Table("Half of the layers' annotation", ["annotation", "training s", "F1 2 px", "against whole"], rows)


def _large(stage: dict) -> Table:
    row = [f"{stage['traces']} x {stage['rows']}", _number(stage["peak_memory_mb"], 0)]
    return Table(
        "A large frame",
        ["traces x rows", "peak memory MB", "s"],
        [[*row, _number(stage["ms_per_frame"]["total"] / 1e3, 1)]],
    )


def _times(stages: dict) -> Table:
    return Table(
        "Stages", ["stage", "s"], [[name, _number(stage["stage_seconds"], 0)] for name, stage in stages.items()]
    )


def _shares(within: dict[str, float] | None) -> str:
    return " / ".join(f"{100 * share:.1f} %" for share in within.values()) if within else NONE


def _share(share: float | None) -> str:
    return NONE if share is None else f"{100 * share:.1f} %"


def _ratio(ours: float | None, theirs: float | None) -> str:
    return f"{ours / theirs:.3f}" if ours is not None and theirs else NONE


def _number(value: float | None, digits: int) -> str:
    return NONE if value is None else f"{value:.{digits}f}"


def for_terminal(table: Table) -> RichTable:
    rich = RichTable(title=table.title)
    for number, column in enumerate(table.columns):
        rich.add_column(column, justify="right" if number else "left")
    for row in table.rows:
        rich.add_row(*row)
    return rich


def markdown(content: dict[str, Any]) -> str:
    """All tables as Markdown, headed by how they came about."""
    machine = content["machine"]
    parts = [
        f"`{content['command']}`, {content['date']}, {machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory_gb']} GB; seed {content['seed']}."
    ]
    for table in tables(content):
        rule = ["---", *["---:"] * (len(table.columns) - 1)]
        lines = [f"| {' | '.join(cells)} |" for cells in (table.columns, rule, *table.rows)]
        parts += [f"### {table.title}", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"
