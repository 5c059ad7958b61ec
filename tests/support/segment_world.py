"""A flight segment of simulated frames in a world of moto's, brought to their statuses by the services that do so."""

from typing import Any

from complete_review.completion import ReviewCompleter
from firnline.documents.echogram import to_grey
from firnline.events import LayersPredicted
from firnline.portal.table_store import TableStore
from firnline.review.human_loop import LoopEvent
from firnline.review.policy import Policy
from firnline.review.providers import Portal
from firnline.store.loops import Loops
from start_review.review import ReviewStarter
from tests.support.review_world import ENVIRONMENT, MODEL, REVISION, World, answer
from tests.support.simulated_products import Made, made
from workbench.simulator import Genuine

CAMPAIGN, SEGMENT = "varied_sounder_5100", "20110401_03"
_SURE, _UNSURE = 0.95, 0.6


def add_frame(world: World, number: int, genuine: Genuine | None = None, campaign: str = CAMPAIGN, **more: Any) -> Made:
    """Register frame `number` of the segment with its true layers as the model's prediction; `more` is of `predicted_frame`."""
    simulated = made(campaign, 0, number, "mat5" if "sounder" in campaign else "nc", genuine)
    frame_id = frame_named(number, campaign)
    world.predicted_frame(
        frame_id,
        grey=to_grey(simulated.picture.power_db),
        layers=list(simulated.truth.layers),
        frame=simulated.frame.model_copy(update={"frame_id": frame_id, "revision": REVISION}),
        **more,
    )
    return simulated


def frame_named(number: int, campaign: str = CAMPAIGN) -> str:
    return f"{campaign}/{SEGMENT}/{SEGMENT}_{number:03d}"


def decide(world: World, number: int, campaign: str = CAMPAIGN) -> None:
    """Let start_review decide: a frame that the model is sure of is accepted, another is in review."""
    starter = ReviewStarter(
        world.register, world.bucket, Portal(world.table, world.bucket), "portal", Policy(0.9, 0), 0
    )
    starter.handle(LayersPredicted(frame_id=frame_named(number, campaign), revision=REVISION, model_version=MODEL))


def accept(world: World, number: int, genuine: Genuine | None = None, campaign: str = CAMPAIGN) -> Made:
    simulated = add_frame(world, number, genuine, campaign, confidence=_SURE)
    decide(world, number, campaign)
    return simulated


def ask(world: World, number: int, genuine: Genuine | None = None, campaign: str = CAMPAIGN) -> str:
    """A frame in review; returns its task's name."""
    add_frame(world, number, genuine, campaign, confidence=_UNSURE)
    decide(world, number, campaign)
    row = world.register.get(frame_named(number, campaign))
    assert row is not None
    assert row.status == "IN_REVIEW"
    return row.review


def correct(world: World, number: int, genuine: Genuine | None = None, campaign: str = CAMPAIGN) -> None:
    """A frame whose true layers a reviewer has sent, and complete_review has counted."""
    name = ask(world, number, genuine, campaign)
    document = made(campaign, 0, number, "mat5" if "sounder" in campaign else "nc", genuine).truth
    lines = [layer.model_dump(include={"label", "vertices"}) for layer in document.layers]
    drawn = answer(*lines, width=document.image.width, height=document.image.height, all_layers_drawn={"on": True})
    world.events()
    TableStore(world.table, world.bucket, world.bus).submit(name, drawn, "ada", 40.0)
    [event] = world.events("SageMaker A2I HumanLoop Status Change")
    completer = ReviewCompleter(
        world.register, world.corrections, world.bucket, world.bus, None, ENVIRONMENT["STACK_NAME"], 100,
        loops=Loops(world.table), portal=Portal(world.table, world.bucket),
    )  # fmt: skip
    assert completer.handle(LoopEvent.model_validate(event)) == "corrected"
