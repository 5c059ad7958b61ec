import os
import threading

import dataset
import numpy as np
import pytest
from conftest import draw_frame, png_of, write_channel
from echogram_input import CHANNELS

from firnline.learning import records


def numbers(channel):
    return [frame.number for frame in channel.frames()]


def test_files_are_read_in_order_each_pass_anew(tmp_path):
    write_channel(tmp_path / "train", [3, 1, 2])
    channel = dataset.Channel(str(tmp_path / "train"))
    assert channel.present
    assert numbers(channel) == numbers(channel) == [3, 1, 2]


@pytest.mark.parametrize("path", ["", "/nowhere", "empty"])
def test_absent_and_empty_channels_have_no_frames(tmp_path, path):
    (tmp_path / "empty").mkdir()
    channel = dataset.Channel(path and str(tmp_path / path))
    assert not channel.present
    assert numbers(channel) == []


def test_pipe_mode_reads_one_fifo_per_pass(tmp_path):
    write_channel(tmp_path / "source", [5, 6])
    content = (tmp_path / "source" / "part-00000.rec").read_bytes()
    os.mkfifo(tmp_path / "train_0")
    channel = dataset.Channel(str(tmp_path / "train"))

    def platform():
        for i in range(2):
            (tmp_path / f"train_{i}").write_bytes(content)
            if i == 0:
                os.mkfifo(tmp_path / "train_1")

    writer = threading.Thread(target=platform)
    writer.start()
    assert channel.present
    assert numbers(channel) == [5, 6]
    assert numbers(channel) == [5, 6]
    writer.join()


def test_batches_are_of_one_size_and_the_same_under_a_seed(tmp_path):
    write_channel(tmp_path / "train", range(5))
    first, second = (
        list(dataset.batches(dataset.Channel(str(tmp_path / "train")), 2, (64, 96), 2, np.random.RandomState(4)))
        for _ in range(2)
    )
    assert [part.shape for part in first[0]] == [(2, CHANNELS, 64, 96), (2, 3, 64, 48), (2, 3, 64, 48)]
    assert len(first) >= 2
    for a, b in zip(first, second):
        for one, other in zip(a, b):
            np.testing.assert_array_equal(one, other)


def test_fewer_frames_than_a_batch_still_make_one(tmp_path):
    write_channel(tmp_path / "train", [1])
    batches = list(dataset.batches(dataset.Channel(str(tmp_path / "train")), 8, (96, 160), 2, np.random.RandomState(0)))
    assert len(batches) == 1
    assert batches[0][0].shape[0] == 8


def test_a_frame_is_rehearsed_after_every_third_new_one(tmp_path, rng):
    write_channel(tmp_path / "new", range(6))
    write_channel(tmp_path / "old", [77])
    old = list(dataset.Channel(str(tmp_path / "old")).payloads())
    mixed = dataset.with_rehearsal(dataset.Channel(str(tmp_path / "new")).frames(), old, rng)
    assert [frame.number for frame in mixed] == [0, 1, 2, 77, 3, 4, 5, 77]


def test_targets_follow_the_augmentation(rng):
    grey, rows, kinds = draw_frame(1)
    frame = dataset.Frame(grey, rows.astype(np.float32), kinds, True, 1)
    for _ in range(10):
        changed, moved = dataset.augment(frame, rng)
        at = np.rint(moved[0]).astype(int)
        columns = np.arange(moved.shape[1])
        assert changed[at, columns].mean() > changed[np.clip(at + 6, 0, len(changed) - 1), columns].mean() + 20


def test_a_climbing_aircraft_makes_level_layers_steep(rng):
    grey = np.full((64, 200), 40.0, np.float32)
    grey[30] = 200.0
    steepest = []
    for _ in range(20):
        climbed, rows = dataset.climbed(grey, np.full((1, 200), 30.0, np.float32), rng)
        assert 64 <= len(climbed) <= 64 + dataset.HIGHEST_CLIMB + 1
        np.testing.assert_array_equal(climbed.argmax(axis=0), rows[0])
        assert (climbed == 200).sum() == 200, "the noise that fills the frame holds no layers"
        steepest.append(np.abs(np.diff(rows[0])).max())
    assert 2 <= max(steepest) <= dataset.STEEPEST + 1


def test_a_sounders_frame_does_not_climb(rng):
    grey, rows, kinds = draw_frame(1)
    frame = dataset.Frame(grey, rows, kinds, True, 1)
    highest = round(96 * np.exp(0.3)) + dataset.MOST_ABOVE + dataset.MOST_BELOW
    assert max(len(dataset.augment(frame, rng)[0]) for _ in range(40)) <= highest
    slopes = [np.nanmax(np.abs(np.diff(dataset.augment(frame, rng)[1]))) for _ in range(40)]
    assert max(slopes) <= np.nanmax(np.abs(np.diff(rows))) * np.exp(0.3) + 1e-3


def test_a_stretch_of_a_frame_keeps_its_layers(rng):
    grey, rows, _ = draw_frame(1)
    for _ in range(10):
        part, lines = dataset.narrowed(grey, rows, rng)
        assert dataset.NARROWEST <= part.shape[1] == lines.shape[1] <= grey.shape[1]
        start = next(i for i in range(grey.shape[1]) if np.array_equal(grey[:, i], part[:, 0]))
        np.testing.assert_array_equal(lines, rows[:, start : start + lines.shape[1]])


def test_overlapping_apertures_share_their_speckle(rng):
    grey, rows = rng.standard_normal((50, 300)).astype(np.float32), np.tile(np.arange(300.0), (1, 1))
    wider, lines = dataset.overlapping(grey, rows, 1.5)
    assert wider.shape == grey.shape
    np.testing.assert_allclose(lines[0], np.arange(300) / 1.5, rtol=1e-5)
    assert np.corrcoef(wider[:, 1:].ravel(), wider[:, :-1].ravel())[0, 1] > 0.3
    np.testing.assert_array_equal(wider[:, ::3], grey[:, :200:2])


def test_a_long_window_holds_the_frame_and_noise(rng):
    grey = np.full((64, 200), 40.0, np.float32)
    grey[30] = 200.0
    for _ in range(10):
        tall, rows = dataset.in_long_window(grey, np.full((1, 200), 30.0, np.float32), rng)
        assert 64 <= len(tall) <= 64 + dataset.MOST_ABOVE + dataset.MOST_BELOW
        np.testing.assert_array_equal(tall.argmax(axis=0), rows[0])
        assert (tall == 200).sum() == 200, "the noise holds no layers"


def test_ringing_stays_in_the_air(rng):
    grey, rows = np.full((40, 6), 50, np.float32), np.full((1, 6), 20.0)
    changed = dataset.with_ringing(grey, rows, np.array([0]), rng)
    assert (changed[:15] > 55).any()
    np.testing.assert_array_equal(changed[15:], grey[15:])
    np.testing.assert_array_equal(dataset.with_ringing(grey, rows, np.array([1]), rng), grey)


def test_frames_smaller_than_a_crop_are_padded_and_nobody_vouches_for_the_padding(rng):
    grey, rows, kinds = draw_frame(1, height=40, width=60, layers=1)
    frame = dataset.Frame(grey, rows.astype(np.float32), kinds, True, 1)
    [(data, target, weight)] = dataset.crops(frame, (64, 96), 2, rng, augmented=False)
    assert data.shape == (CHANNELS, 64, 96)
    assert weight[:, :40, :30].all()
    assert not weight[:, 40:].any()
    assert not target[:, :, 30:].any()


def test_frames_wait_for_their_turn_in_bounded_memory(rng):
    frames = [
        dataset.Frame(np.zeros((10, 100), np.uint8), np.zeros((1, 100), np.float32), [0], True, n) for n in range(9)
    ]
    taken = []

    def channel():
        for frame in frames:
            taken.append(frame.number)
            yield frame

    given = []
    for frame in dataset.shuffled(channel(), rng, most_bytes=4 * 1400):
        given.append(frame.number)
        assert len(taken) - len(given) <= 4
    assert sorted(given) == list(range(9))
    assert given != sorted(given)
    assert [f.number for f in dataset.shuffled(iter(frames), rng, most_bytes=1)] == list(range(9))


def test_a_window_on_a_partial_annotation_holds_a_line(rng):
    grey, rows = np.tile(np.arange(1000) % 251, (20, 1)).astype(np.uint8), np.full((2, 1000), np.nan, np.float32)
    rows[0, 700:710] = 8.0
    partial = dataset.Frame(grey, rows, np.array([0, 2]), False, 1)
    lefts = set()
    for _ in range(50):
        part = dataset.window_of(partial, 100, rng)
        assert part.grey.shape == (20, 100)
        assert np.isfinite(part.rows).any()
        left = int(part.grey[0, 0])
        np.testing.assert_array_equal(part.grey[0], (left + np.arange(100)) % 251)
        lefts.add(left)
    assert len(lefts) > 20
    assert dataset.window_of(partial, 1000, rng) is partial
    ends = [dataset.window_of(partial._replace(complete=True), 100, rng).grey[0, 0] for _ in range(200)]
    assert len(set(ends)) > 100, "of a complete one any piece of the track teaches"


def test_crops_of_a_large_frame_follow_its_lines_and_stay_small(rng):
    height, width = 1000, 16000
    row = 500 + 10 * np.sin(np.arange(width) / 500.0)
    grey = np.full((height, width), 40, np.uint8)
    for offset in (-1, 0, 1):
        grey[np.rint(row).astype(int) + offset, np.arange(width)] = 250
    frame = dataset.Frame(grey, row[None].astype(np.float32), np.array([0]), True, 1)
    cut = list(dataset.crops(frame, (512, 384), 2, rng, augmented=False))
    assert len(cut) == dataset.MAX_CROPS_PER_FRAME
    for data, target, _ in cut:
        assert data.shape == (CHANNELS, 512, 384)
        on = target[0] > 0.9
        assert on.any()
        assert data[0, :, ::2][on].mean() > data[0].mean() + 1


def test_a_record_whose_rows_do_not_fit_its_echogram_is_refused():
    payload = records.pack_record(png_of(np.zeros((20, 30), np.uint8)), np.zeros((1, 29)), [0], True, 1)[8:]
    with pytest.raises(ValueError, match="30 traces"):
        dataset.decode(payload)
