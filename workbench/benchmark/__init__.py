"""The benchmark: our tracker, the authors' network and classical trackers, measured side by side in one run.

`firnline bench` (`make bench`, `make bench FULL=1`); see docs/benchmarks.md.
"""
