"""The command `firnline`: one module for each group of commands. A command parses, calls and prints."""

from workbench.cli.application import app

__all__ = ["app"]
