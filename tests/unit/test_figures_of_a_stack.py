"""Figures of two stacks of one account stay apart."""

import json
import os
import subprocess
import sys

PROGRAM = """
from firnline.observability import metrics
metrics.add_metric("Frames predicted", "Count", 1)
metrics.flush_metrics()
metrics.add_metric("Frames predicted", "Count", 1)
metrics.flush_metrics()
"""


def test_every_figure_says_which_stack_it_is_of():
    """In a process of its own: the dimension is set when the library is loaded, as in Lambda."""
    told = {"STACK_NAME": "firnline-2", "POWERTOOLS_SERVICE_NAME": "predict_layers"}
    ended = subprocess.run([sys.executable, "-c", PROGRAM], env=os.environ | told, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    written = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len(written) == 2
    for figures in written:
        assert (figures["stack"], figures["service"]) == ("firnline-2", "predict_layers")
        [metric] = figures["_aws"]["CloudWatchMetrics"]
        assert set(metric["Dimensions"][0]) == {"stack", "service"}
