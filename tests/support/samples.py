"""The sample events of `events/`, which `sam local invoke` takes too."""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def sample(function: str) -> dict[str, Any]:
    """The event that `function` is invoked with, as `events/<function>.json` has it."""
    return json.loads((ROOT / "events" / f"{function}.json").read_text())
