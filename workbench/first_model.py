"""Makes the model in the box: simulates campaigns, trains on them under AWS's training toolkit, and scores it.

Most of the training frames come from campaigns drawn at random (see simulator.variety), no two of which are alike;
frames of others so drawn choose among the epochs, and frames of others again calibrate the confidences.

`python -m workbench.first_model` (`make first-model`). Writes `layer_model/first_model/model.tar.gz` and
`scores.json`. The campaign of the demonstration is never trained on; real data is not touched.
"""

import argparse
import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from firnline import archives
from firnline.documents.echogram import decode_png, encode_png, to_grey
from firnline.geometry import kinds_of
from firnline.learning import model_code, records
from firnline.radar.picture import make_picture
from layer_model import code_files
from workbench import onnx_export
from workbench.simulator import Genuine, campaign_named, campaigns, simulate_frame

ROOT = Path(__file__).resolve().parents[1]
LAYER_MODEL = ROOT / "layer_model"
MODEL_PATH = os.pathsep.join(map(str, [LAYER_MODEL, ROOT / "layers" / "firnline"]))
"""Where the model's modules and those of the library that they share are imported from, as PYTHONPATH has it."""
OUTPUT = LAYER_MODEL / "first_model"
WORK = ROOT / "build" / "first_model"
MXNET = ROOT / ".venv" / "mxnet" / "bin"
UNSEEN = "demo"
HYPERPARAMETERS = {
    "epochs": 60,
    "max-seconds": 4200,
    "learning-rate": 0.003,
    "batch-size": 4,
    "crop-rows": 288,
    "crop-traces": 384,
    "patience": 60,
    "validation-frames": 160,
    "seed": 7,
}
REHEARSED = {"snow": 12, "sounder": 12}
"""Frames of either kind that go along with the model, each of another campaign."""
REHEARSED_TRACES = 320
DRAWN_CAMPAIGNS, NAMED_SEGMENTS = 300, 20
HELD_OUT_SEGMENTS = range(3000, 3006)
SCORED_CAMPAIGNS = range(5000, 5024)


class Asked(NamedTuple):
    """A frame to simulate; `genuine`: of the size that labs have, then made a picture as ingest does it."""

    campaign: str
    segment: int
    number: int
    genuine: Genuine | None = None


def training_frames(known: list[str]) -> list[Asked]:
    """The frames to train on, so that any stretch of a shard holds all kinds."""
    frames = []
    for i in range(DRAWN_CAMPAIGNS):
        frames += [Asked(f"varied_snow_{i:04d}", i, 1), Asked(f"varied_snow_{i:04d}", 1000 + i, 2)]
        if i % 3 != 2:
            frames.append(Asked(f"varied_sounder_{i:04d}", i, 1))
        else:
            frames.append(Asked(f"varied_firn_{i:04d}", i, 1))
        if i % 3 == 0:
            kind = ("snow", "firn", "snow", "sounder")[i // 3 % 4]
            frames.append(Asked(f"varied_{kind}_{i:04d}", 2000 + i, 3, genuine_record(i)))
        if i < NAMED_SEGMENTS:
            frames += [Asked(name, 1000 + i, 1) for name in known]
    return frames


def genuine_record(number: int) -> Genuine:
    """One of many ways to sample: oversampled up to four times, apertures that overlap by up to 2.5."""
    rng = np.random.default_rng([number, 8])
    oversampling = float(rng.uniform(1, 4))
    return Genuine(
        oversampling, int(rng.uniform(500, 1200) * oversampling), float(rng.choice([1, rng.uniform(1.5, 2.5)]))
    )


def validation_frames() -> list[Asked]:
    """Frames of campaigns that are not trained on."""
    snow = [Asked(f"varied_snow_{6000 + i}", i, 1) for i in range(20)]
    genuine = [Asked(f"varied_snow_{6020 + i}", i, 1, genuine_record(6000 + i)) for i in range(4)]
    firn = [Asked(f"varied_firn_{6000 + i}", i, 1) for i in range(4)]
    return snow + genuine + firn + [Asked(f"varied_sounder_{6000 + i}", i, i % 2) for i in range(8)]


def calibration_frames() -> list[Asked]:
    """Frames of campaigns that are neither trained on nor chosen by. What a support is worth differs from one campaign
    to the next: hence many.
    """
    return [Asked(f"varied_snow_{7000 + i}", n, n % 2) for i in range(60) for n in (i % 6, 6 + i % 5)]


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


def write_channel(folder: Path, frames: list[Asked], workers: int) -> None:
    """Simulate `frames` into one RecordIO shard."""
    folder.mkdir(parents=True)
    with ProcessPoolExecutor(workers) as pool, (folder / "part-00000.rec").open("wb") as stream:
        for done, record in enumerate(pool.map(simulated_record, frames, range(len(frames)), chunksize=4), 1):
            stream.write(record)
            print(f"\r  {folder.name}: {done} of {len(frames)} frames", end="", flush=True)
    print()


def frames_of(names: list[str], segments: range, per_segment: int) -> list[Asked]:
    """Frames of several campaigns in turn."""
    return [Asked(name, segment, number) for segment in segments for number in range(per_segment) for name in names]


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


def run_training(base: Path, hyperparameters: dict, channels: list[str]) -> None:
    """Run AWS's `train` in `base` as in a SageMaker container; its output is passed on. Raises CalledProcessError."""
    config = base / "input" / "config"
    config.mkdir(parents=True, exist_ok=True)
    source = base / "sourcedir.tar.gz"
    source.write_bytes(model_code.pack(code_files.training_files())[1])
    toolkit = {"sagemaker_program": "train.py", "sagemaker_submit_directory": str(source)}
    files = {
        "hyperparameters": {name: json.dumps(value) for name, value in (hyperparameters | toolkit).items()},
        "resourceconfig": {"current_host": "localhost", "hosts": ["localhost"], "network_interface_name": "lo"},
        "inputdataconfig": {name: {"TrainingInputMode": "File", "RecordWrapperType": "None"} for name in channels},
    }
    for name, content in files.items():
        (config / f"{name}.json").write_text(json.dumps(content))
    environment = os.environ | {
        "SAGEMAKER_BASE_DIR": str(base),
        "SAGEMAKER_TRAINING_MODULE": "sagemaker_mxnet_container.training:main",
        "TRAINING_JOB_NAME": "first",
        "PATH": f"{MXNET}{os.pathsep}{os.environ['PATH']}",
    }
    subprocess.run([MXNET / "train"], env=environment, check=True)


def pack_model(model_dir: Path, archive: Path) -> None:
    """model.tar.gz of a model folder; the same bytes for the same files."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for path in sorted(p for p in model_dir.rglob("*") if p.is_file() and p.suffix != ".pyc"):
            member = tarfile.TarInfo(str(path.relative_to(model_dir)))
            member.size, member.mode = path.stat().st_size, 0o644
            with path.open("rb") as stream:
                tar.addfile(member, stream)
    archive.write_bytes(gzip.compress(plain.getvalue(), mtime=0))


def carry_todays_code(archive: Path) -> None:
    """Put today's serving modules into a model.tar.gz; its weights, card and rehearsal stay."""
    with tempfile.TemporaryDirectory() as folder:
        archives.unpack(str(archive), folder)
        code = Path(folder) / "code"
        shutil.rmtree(code)
        for name, path in code_files.serving_files().items():
            (code / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, code / name)
        pack_model(Path(folder), archive)


def evaluate(model_dir: Path, channels: dict[str, Path]) -> dict:
    """Scores by channel name, by the serving code in MXNet's environment."""
    named = [f"{name}={folder}" for name, folder in channels.items()]
    command = [str(MXNET / "python"), str(LAYER_MODEL / "evaluate.py"), str(model_dir), *named]
    environment = os.environ | {"PYTHONPATH": MODEL_PATH}
    told = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    return json.loads(told.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--max-seconds", type=int, default=HYPERPARAMETERS["max-seconds"], help="time for training")
    parser.add_argument("--learning-rate", type=float, default=HYPERPARAMETERS["learning-rate"])
    parser.add_argument("--keep-data", action="store_true", help="use the simulated data of the run before")
    parser.add_argument(
        "--go-on",
        action="store_true",
        help="train on from the model that is in the box; --max-seconds 1 recalibrates it",
    )
    parser.add_argument(
        "--code-only",
        action="store_true",
        help="only put today's serving modules into the model in the box, where they answer as those before",
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    options = parser.parse_args()
    if options.code_only:
        carry_todays_code(OUTPUT / "model.tar.gz")
        return
    known = sorted(name for name in campaigns if name != UNSEEN)
    data = WORK / "input" / "data"
    learnt_from = training_frames(known)
    held_out = {f"seen campaign: {name}": frames_of([name], HELD_OUT_SEGMENTS, 2) for name in known} | {
        f"unseen campaign: {UNSEEN}": frames_of([UNSEEN], HELD_OUT_SEGMENTS, 2),
        "unseen campaigns: varied snow": [Asked(f"varied_snow_{n}", n - 5000, 1) for n in SCORED_CAMPAIGNS],
        "unseen campaigns: varied firn": [Asked(f"varied_firn_{n}", n - 5000, 1) for n in SCORED_CAMPAIGNS],
    }
    scored = {name: WORK / "scored" / name.split(": ")[1].replace(" ", "_") for name in held_out}
    channels = {"train": learnt_from, "validation": validation_frames(), "calibration": calibration_frames()}
    if not options.keep_data:
        shutil.rmtree(WORK, ignore_errors=True)
    wanted = [(data / name, frames) for name, frames in channels.items()]
    for folder, frames in wanted + [(scored[name], frames) for name, frames in held_out.items()]:
        if not folder.exists():
            write_channel(folder, frames, options.workers)
    simulated = time.monotonic()
    given = {"max-seconds": options.max_seconds, "learning-rate": options.learning_rate}
    hyperparameters = HYPERPARAMETERS | given | {"snapshot": "simulated"}
    for folder in (WORK / "code", WORK / "model", data / "model"):
        shutil.rmtree(folder, ignore_errors=True)
    if options.go_on:
        (data / "model").mkdir()
        shutil.copy(OUTPUT / "model.tar.gz", data / "model")
    run_training(WORK, hyperparameters, [*channels, *["model"] * options.go_on])
    trained = time.monotonic()
    write_rehearsal(learnt_from, data / "train" / "part-00000.rec", WORK / "model" / "rehearsal.rec")
    pack_model(WORK / "model", OUTPUT / "model.tar.gz")
    print(f"model.onnx: {onnx_export.write_beside(OUTPUT / 'model.tar.gz')}")
    earlier = json.loads((OUTPUT / "scores.json").read_text())["runs"] if options.go_on else []
    command = " ".join(["python -m workbench.first_model", *sys.argv[1:]])
    scores: dict[str, Any] = {
        "runs": [*earlier, {"command": command, "seconds": round(trained - simulated)}],
        "date": datetime.now(UTC).date().isoformat(),
        "hyperparameters": hyperparameters,
        "training_frames": len(learnt_from),
        "scores": evaluate(WORK / "model", scored),
    }
    (OUTPUT / "scores.json").write_text(json.dumps(scores, indent=1) + "\n")
    size = (OUTPUT / "model.tar.gz").stat().st_size
    print(f"{OUTPUT / 'model.tar.gz'}: {size / 1e6:.1f} MB")
    for name, score in scores["scores"].items():
        print(
            f"{name}: F1 within 2 px {score['f1_2px']}, mean error {score['mae_px']} px, bed {score['bed_within_3px']}"
        )
    print("Next: `make up` serves it.")


if __name__ == "__main__":
    main()
