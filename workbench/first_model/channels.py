"""Channels of a training: simulated frames as RecordIO shards."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from firnline.documents.echogram import decode_png, encode_png, to_grey
from firnline.geometry import kinds_of
from firnline.learning import records
from firnline.radar.picture import make_picture
from workbench.simulator import campaign_named, simulate_frame

from .frames import Asked

SHARD = "part-00000.rec"
REHEARSED = {"snow": 12, "sounder": 12}
"""Frames of either kind that go along with the model, each of another campaign."""
REHEARSED_TRACES = 320


def simulated_record(asked: Asked, record: int) -> bytes:
    """The framed record of one simulated frame, normalised as ingest does it."""
    campaign = campaign_named(asked.campaign)
    # Sounder frames come tall, too: most of a real one lies below the bed.
    tall = campaign.kind == "sounder" and (asked.segment + asked.number) % 2
    frame = simulate_frame(campaign, *asked[1:3], samples=448 if tall else 256, genuine=asked.genuine)
    kinds = kinds_of(frame.labels)
    power_db, rows = frame.echogram_db, frame.rows
    if asked.genuine:
        picture = make_picture(power_db)
        power_db, rows = picture.power_db, picture.framing.lines_on_picture(rows)
    return records.pack_record(encode_png(to_grey(power_db)), rows, kinds, frame.complete, record)


def write_channel(folder: Path, frames: list[Asked], workers: int, tell: Callable[[], None]) -> None:
    """Simulate `frames` into one RecordIO shard; `tell` hears of each."""
    folder.mkdir(parents=True)
    with ProcessPoolExecutor(workers) as pool, (folder / SHARD).open("wb") as stream:
        for record in pool.map(simulated_record, frames, range(len(frames)), chunksize=4):
            stream.write(record)
            tell()


def write_rehearsal(frames: list[Asked], shard: Path, path: Path) -> None:
    """A few of the training frames, narrowed, for the models that will be trained from this one: see
    layer_model.dataset.
    """
    taken: Counter[str] = Counter()
    seen: set[str] = set()
    with shard.open("rb") as stream, path.open("wb") as out:
        for payload, (campaign, *_) in zip(records.iterate_records(stream), frames, strict=True):
            kind = campaign_named(campaign).kind
            if campaign not in seen and taken[kind] < REHEARSED[kind]:
                seen.add(campaign)
                taken[kind] += 1
                record = records.unpack_record(payload)
                grey, rows = decode_png(record.png)[:, :REHEARSED_TRACES], record.rows[:, :REHEARSED_TRACES]
                out.write(records.pack_record(encode_png(grey), rows, record.kinds, record.complete, record.number))
