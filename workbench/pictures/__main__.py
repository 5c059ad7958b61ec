"""`python -m workbench.pictures` (`make pictures`): draw the pictures of the README and the documentation into `docs/images/`."""

import tempfile
from pathlib import Path

from PIL import Image

from workbench.pictures.drawing import View, three_panels, write, write_small
from workbench.pictures.frames import Ice, traced
from workbench.pictures.review import CHROMIUM, list_screenshot, mended, screenshot
from workbench.pictures.segment import screenshot_of_segment
from workbench.simulator import Genuine

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
SNOW = Ice("varied_snow_5100", 0, Genuine(oversampling=2.0, samples=10_000, along=2.0))
SOUNDER = Ice("varied_sounder_5100", 0, Genuine(oversampling=3.0, samples=2400, along=2.0))
LISTED = [
    *(Ice("varied_snow_5101", number, SNOW.genuine) for number in range(2)),
    *(Ice("varied_sounder_5101", number, SOUNDER.genuine) for number in range(2)),
]
"""Frames that stand in the list beside the others."""
SEGMENT = [
    Ice("varied_sounder_5100", 5, Genuine(oversampling=3.0, samples=2400, along=2.0), number)
    for number in (1, 2, 3, 4, 5, 6, 8, 9, 10)
]
"""A flight segment over the ice sheet, of which one frame is missing."""
REVIEWED = (1, 2, 6)
SHOWN = {"snow-radar.png": View(24, 404, "ns"), "radar-sounder.png": View(20, 460, "µs")}
INCHES = (13.0, 5.6)
SELECTED_LAYER = 6
"""A line of some twenty vertices: selected, it shows them on the review page."""
MOST_BYTES = 200_000


def main() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        frames = traced([SNOW, SOUNDER, *LISTED], work)
        for frame, (name, view) in zip(frames[: len(SHOWN)], SHOWN.items(), strict=True):
            figure = three_panels(frame.grey, frame.frame, frame.proposal, mended(frame), view, INCHES)
            _report(name, write(figure, IMAGES / name))
        if not CHROMIUM.exists():
            print("The pages' pictures are left as they are: they take Chromium (apt-get install chromium).")
            return
        screenshot(frames[1], work / "page.png", SELECTED_LAYER)
        _report("review-page.png", write_small(Image.open(work / "page.png"), IMAGES / "review-page.png"))
        list_screenshot(frames, work / "list.png")
        _report("review-list.png", write_small(Image.open(work / "list.png"), IMAGES / "review-list.png"))
        screenshot_of_segment(traced(SEGMENT, work / "segment"), REVIEWED, work / "segment.png")
        _report("segment-browser.png", write_small(Image.open(work / "segment.png"), IMAGES / "segment-browser.png"))


def _report(name: str, size: int) -> None:
    print(f"docs/images/{name}: {size / 1000:.0f} kB")
    if size > MOST_BYTES:
        raise SystemExit(
            f"docs/images/{name} is larger than {MOST_BYTES // 1000} kB: show less of it, or in fewer greys."
        )


if __name__ == "__main__":
    main()
