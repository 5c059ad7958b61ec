"""The echogram inside a figure that was drawn with axes, labels and margins."""

import numpy as np

_LIGHT = 200.0
_SAME_GREY = 3.0
_BORDER_SHARE = 0.45
"""At least this share of a figure's outermost pixels is background, even if two of its sides have no margin."""
_FILLED = 0.5
_MARGIN_PURE = 0.8
"""At least this share of a figure's margins is background; labels fill less than the rest."""
_THINNEST = 2
_SIDES = 3
_SMALLEST_SHARE = 0.1
_SPINE = 4
"""Pixels within which an axis line of a figure lies beside the echogram."""
_LINE_CONTRAST = 40.0


def echogram_in_figure(grey: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the echogram in a picture (rows, columns); the whole picture where it has no margins.

    Margins are of one light grey, or without data (transparent), on at least three sides, apart from labels. The
    echogram is the largest block in which most pixels differ from that. The lines of its axes are cut with the margins.
    """
    whole = slice(0, grey.shape[0]), slice(0, grey.shape[1])
    background = _background(grey)
    if background is None:
        return whole
    drawn = ~background
    columns = _longest(drawn.mean(axis=0), drawn.mean(axis=0).max() * _FILLED)
    rows = _longest(drawn[:, columns].mean(axis=1), _FILLED)
    columns = _longest(drawn[rows].mean(axis=0), _FILLED)
    rows, columns = _by_spines(drawn, rows, columns)
    rows, columns = _without_lines(grey, rows, columns)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    margins = (rows.start, columns.start, grey.shape[0] - rows.stop, grey.shape[1] - columns.stop)
    inside = height * width
    outside = grey.size - inside
    if sum(margin >= _THINNEST for margin in margins) < _SIDES or inside < _SMALLEST_SHARE * grey.size or not outside:
        return whole
    pure = (background.sum() - background[rows, columns].sum()) / outside
    return (rows, columns) if pure > _MARGIN_PURE else whole


def _background(grey: np.ndarray) -> np.ndarray | None:
    """(rows, columns) bool, where the picture shows the colour of its border; None if that is neither light nor missing."""
    border = np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])
    missing = np.isnan(border)
    if missing.mean() >= _BORDER_SHARE:
        return np.asarray(np.isnan(grey))
    known = border[~missing]
    light, count = np.unique(known, return_counts=True)
    paper = light[np.argmax(count)]
    if paper < _LIGHT or paper < known.max() or (np.abs(border - paper) <= _SAME_GREY).mean() < _BORDER_SHARE:
        return None
    return np.asarray(np.abs(grey - paper) <= _SAME_GREY)


def _longest(share: np.ndarray, least: float) -> slice:
    """The longest run of `share` (n,) that is at least `least`, over gaps of up to two."""
    wanted = np.flatnonzero(share >= least)
    if not wanted.size:
        return slice(0, share.size)
    runs = np.split(wanted, np.flatnonzero(np.diff(wanted) > _SPINE) + 1)
    longest = max(runs, key=len)
    return slice(int(longest[0]), int(longest[-1]) + 1)


def _by_spines(drawn: np.ndarray, rows: slice, columns: slice) -> tuple[slice, slice]:
    """The block, extended to the lines of the axes: inside them an echogram may be as light as the paper.

    A line counts where there is one on either side: a tick mark makes a line longer, but hardly both of them.
    """
    upright = _between(drawn, rows, columns)
    return upright, _between(drawn.T, columns, upright)


def _between(drawn: np.ndarray, along: slice, across: slice) -> slice:
    """`along`, a run of rows, extended to what the lines at both ends of the columns `across` have in common."""
    ends = []
    for edge, inner in ((across.start - _SPINE, across.start + 2), (across.stop - 2, across.stop + _SPINE)):
        longest = along
        for column in range(max(0, edge), min(drawn.shape[1], inner)):
            run = _unbroken(drawn[:, column], along)
            if run.stop - run.start > longest.stop - longest.start:
                longest = run
        ends.append(longest)
    return slice(max(end.start for end in ends), min(end.stop for end in ends))


def _unbroken(line: np.ndarray, part: slice) -> slice:
    """The run of True in `line` (n,) that contains `part`; `part` itself where that is not all True."""
    if not line[part].all():
        return part
    before, after = np.flatnonzero(~line[: part.start]), np.flatnonzero(~line[part.stop :])
    start = int(before[-1]) + 1 if before.size else 0
    return slice(start, part.stop + int(after[0]) if after.size else line.size)


def _without_lines(grey: np.ndarray, rows: slice, columns: slice) -> tuple[slice, slice]:
    """The block without the lines of the axes: rows and columns that have one grey along their whole length, or a blend
    of it with what lies beside it."""
    for _ in range(_SPINE):
        block = grey[rows, columns]
        if min(block.shape) <= 2 * _SPINE:
            break
        top, bottom = (_is_line(block[edge], block[inner]) for edge, inner in ((0, 3), (-1, -4)))
        left, right = (_is_line(block[:, edge], block[:, inner]) for edge, inner in ((0, 3), (-1, -4)))
        if not (top or bottom or left or right):
            break
        rows = slice(rows.start + top, rows.stop - bottom)
        columns = slice(columns.start + left, columns.stop - right)
    return rows, columns


def _is_line(edge: np.ndarray, inner: np.ndarray) -> bool:
    """Whether an edge varies much less along itself than the echogram some pixels farther in, or differs in grey."""
    if np.isnan(edge).mean() > _FILLED:
        return True
    spread, usual = (
        np.nanpercentile(edge, 90) - np.nanpercentile(edge, 10),
        np.nanpercentile(inner, 90) - np.nanpercentile(inner, 10),
    )
    return bool(
        spread <= 0.25 * usual or abs(np.nanmedian(edge) - np.nanmedian(inner)) > max(_LINE_CONTRAST, 1.5 * usual)
    )
