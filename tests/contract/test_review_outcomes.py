"""What answers and uploads make of reviews beside one person's correction, each function run on what the one before wrote."""

import json
from typing import Any

import pytest
from rich.console import Console

from complete_review import app
from firnline.documents.layers import LayersDocument
from firnline.documents.polarity import polarity_of_row
from firnline.limits import MAX_ANSWER_BYTES, MAX_OUTPUT_BYTES
from firnline.portal.store import View
from firnline.portal.table_store import TableStore
from firnline.review.gold import is_truth
from firnline.review.withdrawal import WITHDRAWN
from firnline.store import keys
from firnline.store.frame_register import FrameRegister
from firnline.store.line_status import line_statuses
from firnline.store.loops import Loops
from firnline.store.rows import FrameRow, LoopRow, ReviewRow
from start_review import app as start_review
from tests.support.functions import HEIGHT, WIDTH, Functions, echoes, functions_on_moto
from tests.support.ingest_files import picture
from tests.support.review_world import Context, answer, loop_event, polyline, sqs_event, start_functions_anew
from tests.support.template import functions_that_take
from tests.support.uploads_bucket import FRAME_ID, FRAMES
from workbench.frame_status import listing

SIZE = {"width": WIDTH, "height": HEIGHT}
SURFACE = polyline("surface", (0, 11), (WIDTH - 1, 13))
BED = polyline("bed", (0, 48), (WIDTH - 1, 52))
EFFORT = {"seconds": 41.5, "operations": {"click": 7, "live_wire": 2}, "vertices_moved": 3, "proposal_kept": 0.75}
POLARITY_WRONG = {"verdict": {"kind": "polarity_wrong"}}
ENDED = "SageMaker A2I HumanLoop Status Change"


def frame(functions: Functions, frame_id: str = FRAME_ID) -> FrameRow:
    row = functions.world.register.get(frame_id)
    assert row is not None
    return row


def review(functions: Functions, loop: str, frame_id: str = FRAME_ID) -> ReviewRow:
    row = functions.world.register.review(frame_id, loop)
    assert row is not None
    return row


def task(functions: Functions, loop: str) -> LoopRow:
    row = Loops(functions.world.table).get(loop)
    assert row is not None
    return row


def status_of(functions: Functions) -> str:
    """What `firnline status` says of the frame."""
    console = Console(width=250)
    with console.capture() as captured:
        console.print(listing([frame(functions)], 10))
    return captured.get()


def drawn(*lines: dict[str, Any], **more: Any) -> dict[str, Any]:
    return answer(*lines, **SIZE, **more)


# ------------------------------------------------------------------------------------------------ verdicts and effort


def test_a_wrong_polarity_is_read_anew_the_other_way_round(functions: Functions) -> None:
    loop = functions.review()
    before = frame(functions)
    assert before.polarity == "bright-strong"
    functions.deliver(functions.submit(loop, {**drawn(), **POLARITY_WRONG}, by="ada"))
    decided = functions.the_event("PolarityDecided")
    assert "It is read anew as dark-strong." in status_of(functions)
    assert decided["detail"] == {
        "frame_id": FRAME_ID, "revision": before.revision, "polarity": "dark-strong", "decided_by": "ada",
    }  # fmt: skip
    assert functions_that_take(decided) == {"ingest_frame"}
    assert review(functions, loop).verdict == "A reviewer said that the polarity is wrong."
    functions.deliver(decided)
    after = frame(functions)
    assert (after.status, after.polarity, after.polarity_by) == ("READY", "dark-strong", "ada")
    assert after.revision != before.revision
    told = polarity_of_row(after)
    assert told is not None
    assert told.short == "dark-strong, by ada"
    assert "dark-strong, by ada" in status_of(functions)
    ready = functions.the_event("FrameReady")
    assert ready["detail"]["revision"] == after.revision
    functions.deliver(decided)  # once more
    assert functions.world.events() == []
    assert frame(functions) == after
    functions.deliver(ready)
    functions.deliver(functions.the_event("LayersPredicted"))
    assert frame(functions).status == "IN_REVIEW"
    assert functions.world.corrections.counts().total == 0


def test_a_decided_polarity_stays_with_the_file_and_yields_to_a_later_upload(functions: Functions) -> None:
    upload = functions.uploads.put(f"{FRAME_ID}.png", picture(echoes()))
    functions.uploads.deliver(upload)
    functions.deliver(functions.the_event("FrameReady"))
    functions.deliver(functions.the_event("LayersPredicted"))
    loop = frame(functions).review
    functions.deliver(functions.submit(loop, {"verdict": json.dumps({"kind": "polarity_wrong"})}))
    functions.deliver(functions.the_event("PolarityDecided"))
    turned = frame(functions)
    functions.uploads.deliver(upload)  # the same message of S3's, late
    functions.uploads.deliver(functions.uploads.put(f"{FRAME_ID}.png", picture(echoes())))  # the same file once more
    assert (frame(functions).revision, frame(functions).polarity) == (turned.revision, "dark-strong")
    told = functions.uploads.put(f"{FRAME_ID}.png", picture(echoes()), {"polarity": "bright-strong"})
    functions.uploads.deliver(told)
    assert (frame(functions).polarity, frame(functions).polarity_by) == ("bright-strong", "")


def test_an_unusable_frame_closes_with_its_reason_and_teaches_nothing(functions: Functions) -> None:
    loop = functions.review()
    verdict = {"verdict": {"kind": "unusable", "reason": "nothing but noise"}}
    ended = functions.submit(loop, verdict)
    for _ in range(2):
        functions.deliver(ended)
    row = frame(functions)
    assert (row.status, row.reason) == ("REJECTED", "A reviewer called the frame unusable: nothing but noise.")
    assert row.reason in status_of(functions)
    assert review(functions, loop).state == "COMPLETED"
    assert functions.world.corrections.counts().total == 0


def test_effort_stands_beside_the_correction_and_a_faulty_one_costs_nothing(functions: Functions) -> None:
    for frame_id, effort in (("c/s/a", EFFORT), ("c/s/b", json.dumps(EFFORT)), ("c/s/c", {"seconds": "no"})):
        functions.correct(frame_id, drawn(SURFACE, effort=effort))
    work = {row.frame_id: row.work[0] for row in functions.world.corrections.all()}
    for frame_id in ("c/s/a", "c/s/b"):
        told = work[frame_id].model_dump(exclude={"by", "agreement"})
        assert told == EFFORT
    assert (work["c/s/c"].seconds, work["c/s/c"].operations) == (12.5, {})


# ------------------------------------------------------------------------------------------------ a new upload


def upload_anew(functions: Functions, *, other: bool = True) -> None:
    """Upload another picture in place of the frame's, or once more the first one; its events stay in the queue."""
    grey = echoes()
    grey[5, 5] += other
    functions.uploads.deliver(functions.uploads.put(f"{FRAME_ID}.png", picture(grey)))


def test_a_new_upload_withdraws_the_open_task_of_the_old_one(functions: Functions) -> None:
    loop = functions.review()
    other = echoes()
    other[5, 5] += 1
    newer = functions.uploads.put(f"{FRAME_ID}.png", picture(other))
    functions.uploads.deliver(newer)
    assert (task(functions, loop).state, review(functions, loop).state) == ("WITHDRAWN", "WITHDRAWN")
    assert "uploaded anew" in task(functions, loop).withdrawn_because
    store = TableStore(functions.world.table, functions.world.bucket, functions.world.bus)
    assert (store.overview(View()).waiting, store.open_tasks(View(), 10)) == (0, [])
    functions.uploads.deliver(newer)
    functions.deliver(functions.world.events("FrameReady")[0])
    functions.deliver(functions.the_event("LayersPredicted"))
    assert [listed.name for listed in store.open_tasks(View(), 10)] == [frame(functions).review] != [loop]


def test_the_first_file_uploaded_once_more_has_its_task_again(functions: Functions) -> None:
    loop = functions.review()
    upload_anew(functions)
    upload_anew(functions, other=False)
    functions.deliver(functions.world.events("FrameReady")[-1])
    functions.deliver(functions.the_event("LayersPredicted"))
    assert (task(functions, loop).state, review(functions, loop).state) == ("OPEN", "STARTED")
    functions.deliver(functions.submit(loop, drawn(SURFACE)))
    assert frame(functions).status == "CORRECTED"


UNUSABLE = {"verdict": {"kind": "unusable", "reason": "nothing but noise"}}


@pytest.mark.parametrize(
    ("said", "status", "reason"),
    [
        (drawn(SURFACE), "CORRECTED", ""),
        (UNUSABLE, "REJECTED", "A reviewer called the frame unusable: nothing but noise."),
    ],
)
def test_what_was_said_of_a_file_counts_again_when_it_is_uploaded_once_more(
    functions: Functions, said: dict[str, Any], status: str, reason: str
) -> None:
    loop = functions.review()
    revision = frame(functions).revision
    functions.deliver(functions.submit(loop, said))
    upload_anew(functions)
    upload_anew(functions, other=False)
    functions.deliver(functions.world.events("FrameReady")[-1])
    assert (frame(functions).status, frame(functions).revision) == ("PREDICTED", revision)
    predicted = functions.the_event("LayersPredicted")
    for _ in range(2):
        functions.deliver(predicted)
    row = frame(functions)
    assert (row.status, row.reason or row.review_reason) == (status, reason)
    store = TableStore(functions.world.table, functions.world.bucket, functions.world.bus)
    assert (row.review, store.open_tasks(View(), 10)) == (loop, [])
    assert line_statuses(row) == {"CORRECTED": ["reviewed"], "REJECTED": []}[status]


CAME_BACK = "A reviewer said that the polarity is wrong. Since then it was turned back, or uploaded once more."


def predict_what_waits(functions: Functions) -> dict[str, Any]:
    """Bring the frame as it is now before a reviewer, twice; returns the event LayersPredicted."""
    functions.deliver(functions.world.events("FrameReady")[-1])
    predicted = functions.the_event("LayersPredicted")
    for _ in range(2):
        functions.deliver(predicted)
    return predicted


@pytest.mark.parametrize(("given", "revisions"), [(None, 3), ("bright-strong", 2)])
def test_a_frame_that_reviewers_turn_back_and_forth_is_asked_about_each_time(
    functions: Functions, given: str | None, revisions: int
) -> None:
    """A polarity that is given or decided is part of the revision, one that is guessed is not."""
    metadata = {"polarity": given} if given else {}
    functions.uploads.deliver(functions.uploads.put(f"{FRAME_ID}.png", picture(echoes()), metadata))
    predicted = predict_what_waits(functions)
    store = TableStore(functions.world.table, functions.world.bucket, functions.world.bus)
    loops, seen = [], []
    for by in ("ada", "bob", "cy", "dee"):
        row = frame(functions)
        assert row.status == "IN_REVIEW"
        assert [listed.name for listed in store.open_tasks(View(), 10)] == [row.review]
        loops.append(row.review)
        seen.append(row.revision)
        functions.deliver(functions.submit(row.review, {**drawn(), **POLARITY_WRONG}, by=by))
        functions.deliver(predicted)  # of the upload's prediction once more
        functions.deliver(functions.the_event("PolarityDecided"))
        functions.deliver(predicted)
        predict_what_waits(functions)
    assert (len(set(loops)), len(set(seen))) == (4, revisions)
    came_back = [number >= revisions for number in range(4)]
    assert [CAME_BACK in task(functions, loop).reason for loop in loops] == came_back
    # Whoever draws it ends it
    last = frame(functions).review
    functions.deliver(functions.submit(last, drawn(SURFACE), by="eve"))
    assert (frame(functions).status, frame(functions).review) == ("CORRECTED", last)
    assert functions.world.corrections.counts().total == 1
    assert store.open_tasks(View(), 10) == []


def test_a_file_whose_polarity_was_wrong_is_asked_about_when_it_is_uploaded_once_more(functions: Functions) -> None:
    loop = functions.review()
    functions.deliver(functions.submit(loop, {**drawn(), **POLARITY_WRONG}))
    functions.deliver(functions.the_event("PolarityDecided"))
    upload_anew(functions)
    upload_anew(functions, other=False)
    predict_what_waits(functions)
    row = frame(functions)
    assert row.status == "IN_REVIEW"
    assert row.review != loop
    store = TableStore(functions.world.table, functions.world.bucket, functions.world.bus)
    assert [listed.name for listed in store.open_tasks(View(), 10)] == [row.review]
    assert task(functions, row.review).reason.endswith(CAME_BACK)


def test_a_frame_that_could_not_be_turned_is_not_asked_about_by_another_delivery(functions: Functions) -> None:
    """Given a reviewer who calls the polarity wrong, of a file that somebody has deleted meanwhile."""
    predicted = functions.predict()
    functions.deliver(predicted)
    functions.deliver(functions.submit(frame(functions).review, {**drawn(), **POLARITY_WRONG}))
    client, key = functions.world.bucket.client, f"{FRAME_ID}.png"
    version = client.head_object(Bucket=FRAMES, Key=key).get("VersionId")
    client.delete_object(Bucket=FRAMES, Key=key, **({"VersionId": version} if version else {}))
    functions.deliver(functions.the_event("PolarityDecided"))
    before = frame(functions)
    assert before.status == "PREDICTED"
    assert "the uploaded file is gone: upload it again, with --polarity." in before.review_reason
    functions.deliver(predicted)
    assert frame(functions) == before
    store = TableStore(functions.world.table, functions.world.bucket, functions.world.bus)
    assert store.open_tasks(View(), 10) == []


def test_why_a_review_failed_is_told_again_when_its_file_is_uploaded_once_more() -> None:
    with functions_on_moto(REVIEW_PROVIDER="a2i") as functions:
        functions.deliver(loop_event(functions.review(), status="Failed"))
        told = "The review ended without an answer (Failed)."
        assert frame(functions).review_reason == told
        upload_anew(functions)
        upload_anew(functions, other=False)
        predict_what_waits(functions)
        assert (frame(functions).status, frame(functions).review_reason) == ("PREDICTED", told)
        assert told in status_of(functions)


def test_a_loop_that_a2i_stopped_has_another_one_after_it_when_its_file_is_uploaded_once_more() -> None:
    with functions_on_moto(REVIEW_PROVIDER="a2i") as functions:
        loops = [functions.review()]
        for _ in range(2):
            upload_anew(functions)
            upload_anew(functions, other=False)
            predict_what_waits(functions)
            row = frame(functions)
            assert row.status == "IN_REVIEW"
            loops.append(row.review)
        assert len(set(loops)) == 3
        assert functions.stop_human_loop == loops[:2]
        assert [review(functions, loop).state for loop in loops] == ["WITHDRAWN", "WITHDRAWN", "STARTED"]
        asked = [started["HumanLoopName"] for started in functions.start_human_loop]
        assert list(dict.fromkeys(asked)) == loops


def test_a_correction_counts_again_although_a_delivery_died_before_it_did(
    functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = functions.correct(FRAME_ID, drawn(SURFACE))
    upload_anew(functions)
    upload_anew(functions, other=False)
    functions.deliver(functions.world.events("FrameReady")[-1])
    predicted = functions.the_event("LayersPredicted")

    def dies(*_: Any) -> bool:
        raise ConnectionError("the process died here")

    with monkeypatch.context() as dying:
        dying.setattr(FrameRegister, "corrected", dies)
        answered = start_review.handler(sqs_event(predicted), Context())
    assert answered == {"batchItemFailures": [{"itemIdentifier": "0"}]}
    functions.deliver(predicted)
    assert (frame(functions).status, frame(functions).review) == ("CORRECTED", loop)
    assert functions.world.corrections.counts().total == 1


def test_a_review_that_starts_while_its_frame_is_uploaded_anew_ends_at_once(
    functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ingest looks for reviews before this one is noted."""
    event = functions.predict()
    from firnline.review.providers import Portal

    start = Portal.start

    def overtaken(self: Portal, loop_name: str, content: dict[str, Any], gold: str = "") -> None:
        other = echoes()
        other[5, 5] += 1
        withdraw = "firnline.review.withdrawal.Withdrawal.of_earlier_revisions"
        with pytest.MonkeyPatch.context() as early:
            early.setattr(withdraw, lambda self, frame_id, revision: 0)
            functions.uploads.deliver(functions.uploads.put(f"{FRAME_ID}.png", picture(other)))
        start(self, loop_name, content, gold)

    monkeypatch.setattr(Portal, "start", overtaken)
    functions.deliver(event)
    [row] = functions.world.table.query(f"FRAME#{FRAME_ID}", "REVIEW#")
    assert row["state"] == "WITHDRAWN"
    assert task(functions, row["loop_name"]).state == "WITHDRAWN"


def test_a_new_upload_stops_the_loop_of_a2i() -> None:
    with functions_on_moto(REVIEW_PROVIDER="a2i") as functions:
        loop = functions.review()
        other = echoes()
        other[5, 5] += 1
        functions.uploads.deliver(functions.uploads.put(f"{FRAME_ID}.png", picture(other)))
        assert functions.stop_human_loop == [loop]
        assert review(functions, loop).state == "WITHDRAWN"


# ------------------------------------------------------------------------------------------------ several reviewers


def correction(functions: Functions, loop: str, frame_id: str = FRAME_ID) -> LayersDocument:
    key = f"{keys.correction_prefix(frame_id, loop)}layers.json"
    return LayersDocument.model_validate_json(functions.world.bucket.read(key, 10**6))


def test_two_who_agree_make_one_correction_of_their_means() -> None:
    with functions_on_moto(REVIEWERS_PER_TASK="2") as functions:
        loop = functions.review()
        functions.answer_as("ada", loop, drawn(polyline("surface", (0, 11), (WIDTH - 1, 11))))
        assert functions.world.events(ENDED) == []
        functions.deliver(functions.submit(loop, drawn(polyline("surface", (0, 12), (WIDTH - 1, 12))), by="ben"))
        [layer] = correction(functions, loop).layers
        assert {vertex.y for vertex in layer.vertices} == {11.5}
        stored = functions.world.corrections.get(loop)
        assert stored is not None
        assert (stored.agreement, stored.answers, stored.arbitrated) == (1.0, 2, False)
        assert [(work.by, work.agreement) for work in stored.work] == [("ada", 1.0), ("ben", 1.0)]


def test_where_two_disagree_an_arbiter_decides() -> None:
    with functions_on_moto(REVIEWERS_PER_TASK="2", GOLD_SHARE="1") as functions:
        loop = functions.review()
        functions.answer_as("ada", loop, drawn(SURFACE, BED))
        ended = functions.submit(loop, drawn(SURFACE), by="ben")
        for _ in range(2):
            functions.deliver(ended)
        row = task(functions, loop)
        assert (row.state, row.for_arbiter, row.wanted) == ("OPEN", True, 3)
        assert row.reason == "ada and ben drew this frame. They disagree on 1 line. Decide between them."
        shown = json.loads(functions.world.bucket.read(row.input_key, 10**7))
        assert [line["label"] for line in shown["a2i_json"]["polylines"]] == ["surface", "bed"]
        told = [(given["name"], len(given["polylines"]), given["complete"]) for given in shown["answers_json"]]
        assert told == [("ada", 2, True), ("ben", 1, True)]
        assert "annotation_json" not in shown, "what came with the upload, of which there is none here"
        assert functions.world.corrections.counts().total == 0
        assert frame(functions).status == "IN_REVIEW"

        decided = functions.submit(loop, drawn(SURFACE, BED), by="cy")
        for _ in range(2):
            functions.deliver(decided)
        functions.deliver(ended)  # the first event once more: it leads to the same output
        stored = functions.world.corrections.get(loop)
        assert stored is not None
        assert (stored.arbitrated, stored.layers) == (True, 2)
        agreed = {work.by: work.agreement for work in stored.work}
        assert agreed == {"ada": 1.0, "ben": pytest.approx(2 / 3), "cy": None}
        assert functions.world.corrections.counts().total == 1
        assert frame(functions).status == "CORRECTED"

        # What an arbiter decided is a truth that others are compared with.
        another = functions.review("c/s/another")
        functions.answer_as("ada", another, drawn(SURFACE))
        functions.deliver(functions.submit(another, drawn(SURFACE), by="ben"))
        store = TableStore(functions.world.table, functions.world.bucket, functions.world.bus)
        [listed] = store.open_tasks(View(), 10)
        assert (listed.frame_id, listed.wanted) == (FRAME_ID, 1)
        before = functions.world.corrections.counts()
        compared = functions.submit(listed.name, drawn(SURFACE, effort=EFFORT), by="dee")
        for _ in range(2):
            functions.deliver(compared)
        [gold] = functions.world.corrections.golds()
        assert (gold.truth, gold.work.by, gold.work.seconds) == (loop, "dee", 41.5)
        assert gold.work.agreement == pytest.approx(2 / 3)
        assert functions.world.corrections.counts() == before
        assert store.open_tasks(View(), 10) == []


def disagree(functions: Functions, loop: str) -> dict[str, Any]:
    """Two reviewers answer differently; returns the event that says so."""
    functions.answer_as("ada", loop, drawn(SURFACE, BED))
    return functions.submit(loop, drawn(SURFACE), by="ben")


def test_a_dispute_that_comes_after_a_new_upload_asks_no_arbiter_until_the_first_file_counts_again() -> None:
    with functions_on_moto(REVIEWERS_PER_TASK="2") as functions:
        loop = functions.review()
        ended = disagree(functions, loop)
        upload_anew(functions)
        for _ in range(2):
            functions.deliver(ended)
        row = task(functions, loop)
        assert (row.state, row.for_arbiter, review(functions, loop).state) == ("COMPLETED", False, "WITHDRAWN")
        upload_anew(functions, other=False)
        functions.deliver(functions.world.events("FrameReady")[-1])
        functions.deliver(functions.the_event("LayersPredicted"))
        store = TableStore(functions.world.table, functions.world.bucket, functions.world.bus)
        store.overview(View())  # somebody looks at the list of tasks
        functions.deliver(functions.the_event(ENDED))
        assert (task(functions, loop).state, task(functions, loop).for_arbiter) == ("OPEN", True)
        functions.deliver(functions.submit(loop, drawn(SURFACE), by="cy"))
        assert (frame(functions).status, frame(functions).review) == ("CORRECTED", loop)


@pytest.mark.parametrize("dies", [False, True])
def test_an_arbiters_task_that_opens_while_its_frame_is_uploaded_anew_ends_at_once(
    dies: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ingest looks for open tasks before this one is open again; the process may die right after it opened it."""
    with functions_on_moto(REVIEWERS_PER_TASK="2") as functions:
        loop = functions.review()
        ended = disagree(functions, loop)
        ask = Loops.ask_arbiter

        def overtaken(self: Loops, loop_name: str, input_key: str, reason: str) -> bool:
            upload_anew(functions)
            asked = ask(self, loop_name, input_key, reason)
            assert asked
            if dies:
                raise ConnectionError("the process died here")
            return asked

        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(Loops, "ask_arbiter", overtaken)
            app.handler(sqs_event(ended), Context())
        assert task(functions, loop).state == ("OPEN" if dies else "WITHDRAWN")
        functions.deliver(ended)  # once more
        row = task(functions, loop)
        assert (row.state, row.withdrawn_because, review(functions, loop).state) == (
            "WITHDRAWN",
            WITHDRAWN,
            "WITHDRAWN",
        )


def test_a_truth_of_a2i_whose_task_the_page_never_had_is_no_gold_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a stack that had two workers of A2I draw each frame, and that people now review on Firnline's page."""
    with functions_on_moto(REVIEW_PROVIDER="a2i", GOLD_SHARE="1", RETRAIN_EVERY="2") as functions:
        truth = functions.review("c/s/a2i")
        given = json.loads(functions.start_human_loop[0]["HumanLoopInput"]["InputContent"])
        functions.deliver(functions.world.answered(truth, drawn(SURFACE), drawn(SURFACE), inputContent=given))
        stored = functions.world.corrections.get(truth)
        assert stored is not None
        assert is_truth(stored)
        monkeypatch.setenv("REVIEW_PROVIDER", "portal")
        start_functions_anew()
        functions.correct(FRAME_ID, drawn(SURFACE))
        assert functions.the_event("CorrectionBatchClaimed")["detail"] == {"batch": 1}
        assert list(Loops(functions.world.table).of_state("OPEN")) == []


def test_a_fault_in_giving_gold_out_does_not_hold_up_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    with functions_on_moto(REVIEWERS_PER_TASK="2", GOLD_SHARE="1", RETRAIN_EVERY="2") as functions:
        loops = [functions.review(f"c/s/{number}") for number in range(2)]
        for loop in loops:
            functions.answer_as("ada", loop, drawn(SURFACE))
        functions.deliver(functions.submit(loops[0], drawn(SURFACE), by="ben"))
        second = functions.submit(loops[1], drawn(SURFACE), by="ben")

        def fails(*_: Any, **__: Any) -> None:
            raise ConnectionError("S3 is away")

        with monkeypatch.context() as away:
            away.setattr("firnline.review.providers.Portal.start", fails)
            answered = app.handler(sqs_event(second), Context())
        assert answered == {"batchItemFailures": [{"itemIdentifier": "0"}]}
        assert functions.the_event("CorrectionBatchClaimed")["detail"] == {"batch": 1}
        assert list(Loops(functions.world.table).of_state("OPEN")) == []
        functions.deliver(second)  # the message comes again
        [given_out] = Loops(functions.world.table).of_state("OPEN")
        assert (given_out.frame_id, given_out.gold) == ("c/s/0", loops[0])


def test_answers_of_the_most_bytes_of_three_reviewers_and_an_arbiter_become_a_correction() -> None:
    with functions_on_moto(REVIEWERS_PER_TASK="3") as functions:
        loop = functions.review()
        filling = {"note": "x" * (MAX_ANSWER_BYTES - 10_000)}
        functions.answer_as("ada", loop, drawn(SURFACE, BED, **filling))
        functions.answer_as("ben", loop, drawn(SURFACE, polyline("layer", (0, 30), (WIDTH - 1, 30)), **filling))
        functions.deliver(functions.submit(loop, drawn(SURFACE, **filling), by="cy"))
        assert task(functions, loop).for_arbiter
        functions.deliver(functions.submit(loop, drawn(SURFACE, BED, **filling), by="dee"))
        assert (frame(functions).status, review(functions, loop).reason) == ("CORRECTED", "")
        stored = functions.world.corrections.get(loop)
        assert stored is not None
        assert (stored.answers, stored.arbitrated) == (4, True)
        output = functions.world.bucket.read(stored.output.removeprefix("s3://workspace/"), MAX_OUTPUT_BYTES)
        assert len(output) > 4 * len(filling["note"])
        told = json.loads(output)["inputContent"]
        assert set(told) == {"frame_id", "revision", "model_version", "confidence", "reason"}


def test_verdicts_are_counted_and_a_tie_is_an_arbiters() -> None:
    with functions_on_moto(REVIEWERS_PER_TASK="2") as functions:
        loop = functions.review()
        functions.answer_as("ada", loop, {"verdict": {"kind": "unusable", "reason": "noise"}})
        functions.deliver(functions.submit(loop, drawn(SURFACE), by="ben"))
        row = task(functions, loop)
        assert "whether the frame can be drawn at all" in row.reason
        shown = json.loads(functions.world.bucket.read(row.input_key, 10**7))
        assert shown["answers_json"][0] == {"name": "ada", "verdict": {"kind": "unusable", "reason": "noise"}}
        assert [line["label"] for line in shown["answers_json"][1]["polylines"]] == ["surface"]
        functions.deliver(functions.submit(loop, {"verdict": {"kind": "unusable", "reason": "noise"}}, by="cy"))
        assert frame(functions).status == "REJECTED"
