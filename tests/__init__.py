"""A package, so that `tests.support` is this folder and not what some distribution installs under the name `tests`."""
