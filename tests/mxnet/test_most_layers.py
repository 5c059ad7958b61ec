"""How many polylines a frame may have: what a layers document holds, whatever its width."""

import tracker

from firnline import limits


def test_a_wide_frame_may_have_more_and_none_more_than_a_document_holds():
    assert [tracker.most_layers(traces) for traces in (2, 512, 1536, 3072)] == [150, 150, 150, 300]
    for traces in (8000, 15625, 62500):
        assert tracker.most_layers(traces) >= 150 or tracker.most_layers(traces) * traces > limits.MAX_PICKS - traces
        assert tracker.most_layers(traces) * traces <= limits.MAX_PICKS
