"""What `firnline review --stats` shows: whether retraining saves time, and how well reviewers agree."""

from collections.abc import Iterable

from rich.table import Table as Listing

from firnline.review.trends import LATEST, Standing, Trend


def by_model(trends: Iterable[Trend]) -> Listing:
    """Medians of what corrections cost, by the model whose proposals were corrected, the newest first."""
    table = Listing("model", "frames", "seconds", "operations", "proposal kept", "agreement", box=None)
    for trend in trends:
        table.add_row(
            trend.model_version, str(trend.corrections), _number(trend.seconds), _number(trend.operations),
            _share(trend.kept), _share(trend.agreement),
        )  # fmt: skip
    return table


def by_reviewer(standings: Iterable[Standing]) -> Listing:
    """What each reviewer did, and how well it agrees with others and with gold frames."""
    table = Listing(
        "reviewer", "frames", "seconds", "agreement", f"of the last {LATEST}", "gold", "gold frames", box=None
    )
    for one in standings:
        table.add_row(
            one.by, str(one.corrections), _number(one.seconds), _share(one.agreement), _share(one.latest),
            _share(one.gold), str(one.gold_frames),
        )  # fmt: skip
    return table


def saving(trends: list[Trend]) -> str:
    """Whether the newest model's proposals cost less than those of the one before, as a sentence."""
    timed = [trend for trend in trends if trend.seconds is not None]
    if len(timed) < 2:
        return "One model's proposals have been corrected with their time so far: there is nothing to compare with yet."
    newest, before = timed[0], timed[1]
    change = (newest.seconds or 0.0) - (before.seconds or 0.0)
    told = "less" if change < 0 else "more"
    return (
        f"A frame of {newest.model_version} took {abs(change):.0f} s {told} than one of {before.model_version} "
        f"(medians of {newest.corrections} and {before.corrections} frames)."
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"
