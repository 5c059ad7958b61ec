"""The benchmark: our tracker, the authors' network and classical trackers, measured side by side in one run.

`python -m workbench.benchmark` (`make bench`, `make bench FULL=1`); see docs/benchmarks.md.
"""
