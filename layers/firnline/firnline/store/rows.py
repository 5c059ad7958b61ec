"""Every kind of item in the table: its attributes, its keys, and who writes it.

Attributes that a deployed stack may lack have a default: they came later, and the line says so.
"""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from firnline.documents.polarity import Polarity
from firnline.geometry import Label
from firnline.store.row import Row

FrameStatus = Literal["READY", "PREDICTED", "IN_REVIEW", "ACCEPTED", "CORRECTED", "REJECTED"]
ReviewState = Literal["STARTED", "COMPLETED", "FAILED", "WITHDRAWN"]
LoopState = Literal["OPEN", "ANSWERED", "COMPLETED", "WITHDRAWN"]
BatchState = Literal["PENDING", "STARTED", "DONE"]
Split = Literal["train", "validation", "holdout"]
Coverage = Literal["complete", "partial"]
ProviderName = Literal["a2i", "portal"]
RetrainingOutcome = Literal["promoted", "kept", "skipped", "failed"]
Decision = Literal["in the box", "trained", "better", "kept", "promoted", "skipped", "failed"]

USABLE: tuple[FrameStatus, ...] = ("READY", "PREDICTED", "IN_REVIEW", "ACCEPTED", "CORRECTED")
"""Of a frame that was not refused, in the order in which it goes through them."""
STATUSES: tuple[FrameStatus, ...] = (*USABLE, "REJECTED")

_RANKS = 1_000_000
"""Steps of a priority that an order tells apart."""

FrameId = Annotated[str, Field(pattern=r"^[^/#]+/[^/#]+/[^/#]+$")]
"""`<campaign>/<segment>/<stem>`, or `_keys/refused/<16 hex>` of an upload that can have no frame."""
SegmentId = Annotated[str, Field(pattern=r"^[^/#]+/[^/#]+$")]
"""`<campaign>/<segment>`."""
LinePlace = Annotated[str, Field(pattern=r"^[^/#:]+:[0-9]+:[0-9]+(\.[0-9]+)?$")]
"""`<stem>:<trace>:<sample>` of a place on a line, in the uploaded file."""
LoopName = Annotated[str, Field(pattern=r"^[^#]+$")]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class FrameRow(Row):
    """A frame in the revision that counts, and how far it has come; every service moves it on by `FrameRegister`."""

    CALLED: ClassVar[str] = "frame"
    KEYS: ClassVar[dict[str, str]] = {
        "pk": "FRAME#{frame_id}",
        "sk": "STATUS",
        "status_pk": "STATUS#{status}",
        "status_sk": "{updated}#{frame_id}",
        "segment_pk": "SEGMENT#{segment}",
        "segment_sk": "{stem}",
    }

    # ingest_frame, when it registers a revision:
    frame_id: FrameId
    status: FrameStatus
    revision: str
    source_key: str
    sequencer: str
    """S3's, as `comparable` makes it."""
    updated: str
    """When the status last moved."""
    reason: str = ""
    """Why the frame is REJECTED; predict_layers writes it, too."""
    width: int | None = None
    height: int | None = None
    format: str | None = None
    """With `polarity` and `polarity_confidence` it came later; a frame that is REJECTED has none of them."""
    polarity: Polarity | None = None
    polarity_confidence: Share | None = None
    """Of the guess about a picture; None where the polarity was given, and for numbers."""
    polarity_by: str = ""
    """The reviewer who decided it; it came later, and is empty where the upload told it, or nobody."""
    picks_reason: str = ""
    """Why picks inside the frame's file were not taken."""
    # ingest_frame, whenever what lies beside the frame has changed:
    annotated: Coverage | Literal[""] = ""
    """Coverage of the `partial.json` of this revision, empty where there is none; came later."""
    annotation_reason: str = ""
    """Why the annotation beside the frame was refused."""
    organiser: str = ""
    """ETag of the organiser that the layers of its layer file were named by."""
    # predict_layers:
    confidence: Share | None = None
    model_version: str | None = None
    # start_review and complete_review:
    review: str = ""
    """Name of the human loop that the frame is, or last was, in."""
    review_reason: str = ""
    """Why it is not in review although it might be: the review failed, or the segment's budget is used up."""

    @property
    def segment(self) -> str:
        """`<campaign>/<segment>`."""
        return self.frame_id.rpartition("/")[0]

    @property
    def stem(self) -> str:
        return self.frame_id.rpartition("/")[2]

    @property
    def predicted_by(self) -> str:
        """Version of the model whose prediction counts; `LookupError` if the frame has not been predicted."""
        if self.model_version is None:
            raise LookupError(f"{self.frame_id} is {self.status}: no model has predicted it")
        return self.model_version

    @model_validator(mode="after")
    def _says_what_its_status_promises(self) -> Self:
        if self.status == "REJECTED" and not self.reason:
            raise ValueError("its attribute 'reason' is missing, and it is REJECTED")
        if self.status not in ("READY", "REJECTED"):
            for name in ("confidence", "model_version"):
                if getattr(self, name) is None:
                    raise ValueError(f"its attribute '{name}' is missing, and it is {self.status}")
        return self


class PredictionRow(Row):
    """What one model said of one revision of a frame; predict_layers writes it, once more for a repeated delivery."""

    CALLED: ClassVar[str] = "prediction"
    KEYS: ClassVar[dict[str, str]] = {"pk": "FRAME#{frame_id}", "sk": "PREDICTION#{revision}#{model_version}"}

    frame_id: FrameId
    revision: str
    model_version: str
    created: str
    confidence: Share
    layers: Count
    layers_key: str
    overlay_key: str


class ReviewRow(Row):
    """A review of a prediction; start_review opens it, complete_review closes it."""

    CALLED: ClassVar[str] = "review"
    KEYS: ClassVar[dict[str, str]] = {"pk": "FRAME#{frame_id}", "sk": "REVIEW#{loop_name}"}

    frame_id: FrameId
    loop_name: LoopName
    revision: str
    state: ReviewState
    created: str
    provider: ProviderName
    model_version: str
    asked_because: str
    closed: str | None = None
    reason: str = ""
    """Why it FAILED or was WITHDRAWN; a good answer that comes after all leaves it."""
    verdict: str = ""
    """What a reviewer said in place of drawing, as a sentence; it came later."""


class LoopFrameRow(Row):
    """Leads from a human loop's name to its frame; start_review writes it together with the review."""

    CALLED: ClassVar[str] = "review's frame"
    KEYS: ClassVar[dict[str, str]] = {"pk": "LOOP#{loop_name}", "sk": "FRAME"}
    ONLY_IN_KEYS: ClassVar[frozenset[str]] = frozenset({"loop_name"})

    loop_name: LoopName
    frame_id: FrameId


class _Part(BaseModel):
    """A part of an item."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Look(_Part):
    """What a reviewed frame looks like, in a few figures of its prediction."""

    stem: str
    loop_name: LoopName
    confidence: Share
    layers: Count
    line_confidence: Share
    """Mean of the lines'."""
    spacing: Annotated[float, Field(ge=0)]
    """Mean distance of neighbouring layers, px."""
    brightness: tuple[Share, Share, Share]
    """Of a dark, a middle and a bright pixel of the echogram (quantiles 0.1, 0.5, 0.9)."""


class ReviewBudgetRow(Row):
    """How many reviews were opened in a flight segment; start_review counts them together with opening one."""

    CALLED: ClassVar[str] = "review budget"
    KEYS: ClassVar[dict[str, str]] = {"pk": "SEGMENT#{segment}", "sk": "REVIEWS"}
    ONLY_IN_KEYS: ClassVar[frozenset[str]] = frozenset({"segment"})

    segment: SegmentId
    opened: Count
    looks: tuple[Look, ...] = ()
    """Of the latest reviewed frames, where near-duplicates are passed over; it came later."""


class Claim(_Part):
    """Somebody works on a task: until that moment nobody else is given it."""

    by: str
    until: str


class GivenAnswer(_Part):
    by: str
    key: str
    """Where in the workspace bucket it lies."""
    submitted: str
    arbiter: bool = False
    """It decides between the answers before it."""


class LoopRow(Row):
    """A human loop of Firnline's own page; start_review opens it, the page moves it on, and so does complete_review where
    its reviewers disagree.

    From `frame_id` on it has what the list of tasks shows; the whole task lies at `input_key`.
    """

    CALLED: ClassVar[str] = "task of the review page"
    KEYS: ClassVar[dict[str, str]] = {
        "pk": "LOOP#{loop_name}",
        "sk": "LOOP",
        "status_pk": "LOOPS#{state}",
        "status_sk": "{place}#{loop_name}",
        "segment_pk": "{track_pk}",
        "segment_sk": "{track_sk}",
        "campaign_pk": "{campaign_pk}",
        "campaign_sk": "{campaign_sk}",
    }

    loop_name: LoopName
    state: LoopState
    created: str
    input_key: str
    frame_id: FrameId
    revision: str
    model_version: str
    confidence: Share | None = None
    """None where the model's document says none."""
    reason: str
    answer_key: str | None = None
    """With `submitted`, of the one answer; later versions write `answers`."""
    submitted: str | None = None
    # What came later; an item without `priority` is in the list by priority alone, after all others.
    priority: Share | None = None
    """1 is asked for first."""
    version: Count = 0
    """Changed by every write: whoever writes says which one they have read."""
    wanted: Annotated[int, Field(ge=1)] = 1
    """Answers of different people that it takes."""
    answers: tuple[GivenAnswer, ...] = ()
    claims: tuple[Claim, ...] = ()
    for_arbiter: bool = False
    """Its reviewers disagreed: one more answer decides, of somebody of the group of arbiters."""
    withdrawn_because: str = ""
    gold: str = ""
    """The correction, by its loop's name, that the answer is compared with; the frame is known, and nothing is learned."""

    @property
    def segment(self) -> str:
        """`<campaign>/<segment>`."""
        return self.frame_id.rpartition("/")[0]

    @property
    def campaign(self) -> str:
        return self.frame_id.partition("/")[0]

    @property
    def stem(self) -> str:
        return self.frame_id.rpartition("/")[2]

    @property
    def place(self) -> str:
        """Where it stands in an order by priority, then by age."""
        if self.priority is None:
            return self.created
        return f"{round((1 - self.priority) * _RANKS):0{len(str(_RANKS))}d}#{self.created}"

    @property
    def track_pk(self) -> str | None:
        return None if self.priority is None else f"LOOPS#{self.state}"

    @property
    def track_sk(self) -> str | None:
        return None if self.priority is None else f"{self.frame_id}#{self.loop_name}"

    @property
    def campaign_pk(self) -> str | None:
        return None if self.priority is None else f"LOOPS#{self.state}#{self.campaign}"

    @property
    def campaign_sk(self) -> str | None:
        return None if self.priority is None else f"{self.place}#{self.loop_name}"

    @property
    def given(self) -> tuple[GivenAnswer, ...]:
        """The answers that count, whichever version took them."""
        if self.answer_key is not None and not self.answers:
            return (GivenAnswer(by="reviewer", key=self.answer_key, submitted=self.submitted or self.created),)
        return self.answers

    def claimed_by(self, now: str) -> tuple[Claim, ...]:
        """The claims that hold at `now`."""
        return tuple(claim for claim in self.claims if claim.until > now)

    @model_validator(mode="after")
    def _has_the_answer_that_it_took(self) -> Self:
        if self.state in ("ANSWERED", "COMPLETED") and not self.given:
            raise ValueError(f"its attribute 'answers' is missing, and it is {self.state}")
        return self


class CampaignQueueRow(Row):
    """How many tasks of a campaign wait on Firnline's page, and how many are done; it changes together with the tasks."""

    CALLED: ClassVar[str] = "count of a campaign's tasks"
    KEYS: ClassVar[dict[str, str]] = {"pk": "QUEUE", "sk": "{campaign}"}
    ONLY_IN_KEYS: ClassVar[frozenset[str]] = frozenset({"campaign"})

    campaign: str
    waiting: int
    done: int


class SegmentQueueRow(Row):
    """The same of a flight segment."""

    CALLED: ClassVar[str] = "count of a segment's tasks"
    KEYS: ClassVar[dict[str, str]] = {"pk": "QUEUE#{campaign}", "sk": "{segment}"}
    ONLY_IN_KEYS: ClassVar[frozenset[str]] = frozenset({"campaign", "segment"})

    campaign: str
    segment: str
    """Without its campaign."""
    waiting: int
    done: int


class Work(_Part):
    """What one reviewer did for a correction, or for a gold frame; what nobody said is None."""

    by: str
    seconds: Annotated[float, Field(ge=0)] | None = None
    operations: dict[str, Count] = {}
    """Clicks, keys and strokes, by kind."""
    vertices_moved: Count | None = None
    proposal_kept: Share | None = None
    """Of the traces of the proposal, those whose line was left within half a pixel."""
    agreement: Share | None = None
    """With the others who drew the same frame, on average, or with an arbiter."""


class CorrectionRow(Row):
    """A counted correction; complete_review writes it together with the count."""

    CALLED: ClassVar[str] = "correction"
    KEYS: ClassVar[dict[str, str]] = {
        "pk": "CORRECTION#{loop_name}",
        "sk": "CORRECTION",
        "status_pk": "CORRECTIONS",
        "status_sk": "{created}#{loop_name}",
    }

    loop_name: LoopName
    frame_id: FrameId
    revision: str
    layers: Count
    coverage: Coverage
    image_prefix: str
    """`s3://` address below which `layers.json` and `overlay.png` lie."""
    created: str
    model_version: str
    """Of the prediction that was corrected."""
    output: str
    """`s3://` address of what was submitted."""
    seconds: float | None = None
    """That the reviewer took; None where nobody said."""
    dropped_lines: Count
    answers: Count
    answers_refused: Count
    answers_differ: bool
    work: tuple[Work, ...] = ()
    """Of each whose answer could be used; with what follows it came later."""
    agreement: Share | None = None
    """Of all pairs of reviewers, on average; None of one reviewer."""
    arbitrated: bool = False


class GoldRow(Row):
    """An answer to a gold task, compared with the truth; complete_review writes it, and nothing is learned from it."""

    CALLED: ClassVar[str] = "answer to a gold task"
    KEYS: ClassVar[dict[str, str]] = {
        "pk": "GOLD#{loop_name}",
        "sk": "GOLD",
        "status_pk": "GOLDS",
        "status_sk": "{created}#{loop_name}",
    }

    loop_name: LoopName
    frame_id: FrameId
    truth: LoopName
    """The loop of the correction that it was compared with."""
    created: str
    work: Work


class LayerRow(Row):
    """Coordinates of one layer of a correction, in pixels of the picture; complete_review writes it.

    x is the column, y the row, zero-based pixel centres, one of each for every vertex.
    """

    CALLED: ClassVar[str] = "layer of a correction"
    KEYS: ClassVar[dict[str, str]] = {"pk": "FRAME#{frame_id}", "sk": "LAYER#{loop_name}#{number:03d}"}
    ONLY_IN_KEYS: ClassVar[frozenset[str]] = frozenset({"frame_id", "number"})

    frame_id: FrameId
    number: Count
    """From 0, in the order of the document."""
    loop_name: LoopName
    label: Label
    image_prefix: str
    revision: str
    x: tuple[float, ...]
    y: tuple[float, ...]

    @model_validator(mode="after")
    def _has_pairs(self) -> Self:
        if len(self.x) != len(self.y):
            raise ValueError(f"it has {len(self.x)} values in 'x' and {len(self.y)} in 'y'")
        return self


class CounterRow(Row):
    """How many corrections there are, and how many of them are in batches; complete_review and start_retraining write it.

    Until the first batch is claimed the item has `total` only.
    """

    CALLED: ClassVar[str] = "count of corrections"
    KEYS: ClassVar[dict[str, str]] = {"pk": "COUNTER", "sk": "CORRECTIONS"}

    total: Count
    claimed: Count = 0
    last_batch: Count = 0
    every: Annotated[int, Field(ge=1)] | None = None
    """Corrections that make a batch, for those who show how far the next one is; it came later."""

    @property
    def unclaimed(self) -> int:
        """Corrections that are in no batch yet."""
        return self.total - self.claimed


class BatchRow(Row):
    """Corrections that are trained on together, or, as batch 0, an operator's request, which claims none.

    complete_review and start_retraining claim it; start_retraining moves it on; record_deployment notes the outcome.
    """

    CALLED: ClassVar[str] = "batch"
    KEYS: ClassVar[dict[str, str]] = {
        "pk": "BATCH#{batch}",
        "sk": "BATCH",
        "status_pk": "BATCHES#{state}",
        "status_sk": "{batch:08d}",
    }

    batch: Count
    state: BatchState
    attempt: Count
    """Executions that were started for it."""
    failures: Count
    """Of its attempts, those that failed by a fault of their own or of their data."""
    claimed_at: str
    first: int | None = None
    last: int | None = None
    """Numbers of its first and last correction, from 1; batch 0 has none."""
    request: str | None = None
    """What asked for batch 0, so that the same request delivered twice is heard once."""
    execution_arn: str | None = None
    """The execution of its last attempt."""
    outcome: RetrainingOutcome | None = None
    reason: str = ""
    outcome_of: str | None = None
    """The execution that `outcome` and `reason` are of."""


class LockRow(Row):
    """The right to retrain, of which there is one; start_retraining takes it for a batch, build_dataset for an execution
    that was started by hand, and start_retraining gives it back.
    """

    CALLED: ClassVar[str] = "right to retrain"
    KEYS: ClassVar[dict[str, str]] = {"pk": "RETRAINING", "sk": "LOCK"}

    execution: str
    """ARN of the execution that holds it."""
    taken: str
    batch: Count | None = None
    attempt: Annotated[int, Field(ge=1)] | None = None

    @property
    def attempt_at(self) -> tuple[int, int] | None:
        """(batch, attempt) that the execution is for; None if it was started by hand."""
        return None if self.batch is None or self.attempt is None else (self.batch, self.attempt)

    @model_validator(mode="after")
    def _has_both_or_neither(self) -> Self:
        if (self.batch is None) != (self.attempt is None):
            raise ValueError("it has one of 'batch' and 'attempt', and not the other")
        return self


class SplitRow(Row):
    """The split of a flight segment; build_dataset fixes it once."""

    CALLED: ClassVar[str] = "split"
    KEYS: ClassVar[dict[str, str]] = {"pk": "SPLIT#{segment}", "sk": "SPLIT"}

    segment: SegmentId
    split: Split
    fixed: str


class JoinRow(Row):
    """What a person said of two lines of a flight segment: that they are one layer, or not. `firnline layers` writes it.

    A line is named by a place on it, so that what was said stays when the line is mended.
    """

    CALLED: ClassVar[str] = "join"
    KEYS: ClassVar[dict[str, str]] = {"pk": "JOINS#{segment}", "sk": "JOIN#{one}#{other}"}
    ONLY_IN_KEYS: ClassVar[frozenset[str]] = frozenset({"segment"})

    segment: SegmentId
    one: LinePlace
    other: LinePlace
    same: bool
    said: str
    """When."""


class ModelRow(Row):
    """What was decided about a model, and why.

    provision writes the first one, compare_models and record_deployment those of retrainings, the workbench those that
    were trained by hand.
    """

    CALLED: ClassVar[str] = "model"
    KEYS: ClassVar[dict[str, str]] = {"pk": "MODEL", "sk": "VERSION#{model_version}"}

    model_version: str
    recorded: str
    decision: Decision | None = None
    """None between a model's deployment and the note that it was promoted."""
    reason: str = ""
    model_data: str | None = None
    """`s3://` address of the artefact; None of one whose training failed."""
    snapshot: str | None = None
    # compare_models:
    scores: dict[str, Any] | None = None
    champion: str | None = None
    """The version that it was compared with."""
    champion_scores: dict[str, Any] | None = None
    execution: str | None = None
    """The execution of `retrain` that made it."""
    comparison: str | None = None
    """`s3://` address of the judgement."""
    # record_deployment:
    deployed_by: str | None = None
    """The execution of `deploy_model` that brought it into service last."""
    model_name: str | None = None
    endpoint_config: str | None = None
    model_package: str | None = None


class ChampionRow(Row):
    """The model that serves; provision writes the first one, record_deployment those after it."""

    CALLED: ClassVar[str] = "champion"
    KEYS: ClassVar[dict[str, str]] = {"pk": "MODEL", "sk": "CHAMPION"}

    model_version: str
    promoted: str
    model_name: str
    """SageMaker's name for it."""
    model_data: str
    endpoint_config: str
    previous: str | None = None
    """The champion before it; None of the first one."""
    execution: str | None = None
    """The execution of `deploy_model` that promoted it; None of the first one."""
    model_package: str | None = None
    snapshot: str | None = None
    scores: dict[str, Any] | None = None
    before: "ChampionRow | None" = None
    """The champion before it, for taking the promotion back."""

    @model_validator(mode="after")
    def _remembers_one(self) -> Self:
        if self.before is not None and self.before.before is not None:
            raise ValueError("its attribute 'before' has a 'before' of its own")
        return self


KINDS: tuple[type[Row], ...] = (
    FrameRow, PredictionRow, ReviewRow, LoopFrameRow, ReviewBudgetRow, LoopRow, CampaignQueueRow, SegmentQueueRow,
    CorrectionRow, GoldRow, LayerRow, CounterRow, BatchRow, LockRow, SplitRow, JoinRow, ModelRow, ChampionRow,
)  # fmt: skip
