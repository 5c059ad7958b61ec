"""Which frames people have drawn layers in, and where those layers lie."""

from collections.abc import Iterator
from dataclasses import dataclass

from firnline.store import keys
from firnline.store.corrections import Corrections
from firnline.store.frame_register import FrameRegister
from firnline.store.rows import USABLE


@dataclass(frozen=True)
class AnnotatedFrame:
    frame_id: str
    revision: str
    correction: str | None
    """Name of the loop that the correction came from; None for an annotation that was uploaded with the frame."""

    @property
    def segment(self) -> str:
        return self.frame_id.rpartition("/")[0]

    @property
    def layers_key(self) -> str:
        if self.correction is None:
            return keys.partial(self.frame_id, self.revision)
        return keys.correction_prefix(self.frame_id, self.correction) + "layers.json"


def annotated_frames(register: FrameRegister, corrections: Corrections) -> list[AnnotatedFrame]:
    """Every frame with layers that a person drew, in the revision that counts, sorted by frame_id.

    The latest correction of a frame counts; an uploaded annotation counts where there is no correction.
    """
    counting = {frame.frame_id: frame for status in USABLE for frame in register.of_status(status)}
    found = {
        frame_id: AnnotatedFrame(frame_id, frame.revision, None)
        for frame_id, frame in counting.items()
        if frame.annotated
    }
    for frame in _corrected(corrections):
        # The index may show a frame twice or not at all while its status changes: a missing one is asked for itself.
        known = counting.get(frame.frame_id) or register.get(frame.frame_id)
        if known and known.status in USABLE and known.revision == frame.revision:
            found[frame.frame_id] = frame
    return [found[frame_id] for frame_id in sorted(found)]


def _corrected(corrections: Corrections) -> Iterator[AnnotatedFrame]:
    for correction in corrections.all():
        yield AnnotatedFrame(correction.frame_id, correction.revision, correction.loop_name)
