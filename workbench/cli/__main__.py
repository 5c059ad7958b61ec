"""`python -m workbench.cli` is `firnline`."""

from workbench.cli import app

app()
