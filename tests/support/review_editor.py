"""The review page in a real browser, as tests handle it."""

from pathlib import Path

import pytest

CHROMIUM = Path("/usr/bin/chromium")
needs_chromium = pytest.mark.skipif(
    not CHROMIUM.exists(), reason="Chromium is not installed (apt-get install chromium)"
)


class Editor:
    """The crowd-polyline element of a page, as a test handles it."""

    def __init__(self, tab):
        self.tab = tab
        tab.wait_for_selector("polyline[data-layer]", state="attached")
        # Not wait_for_function: when it has to look twice it evaluates a string, which the page's policy forbids.
        tab.evaluate(
            """() => new Promise(done => {
                const look = () => document.querySelector('crowd-polyline').loaded ? done() : setTimeout(look, 20);
                look();
            })"""
        )

    @property
    def lines(self):
        return self.tab.evaluate("document.querySelector('crowd-polyline').value.polylines")

    def at(self, x, y):
        """Where a pixel of the echogram is on the screen."""
        return self.tab.evaluate(
            """([x, y]) => {
                const editor = document.querySelector('crowd-polyline');
                const box = editor.shadowRoot.querySelector('.stage').getBoundingClientRect();
                const at = editor.toScreen({ x, y });
                return [box.left + at.x, box.top + at.y];
            }""",
            [x, y],
        )

    def select(self, line):
        self.tab.click(f'[data-select-layer="{line}"]')

    def click(self, x, y, **options):
        self.tab.mouse.click(*self.at(x, y), **options)

    def drag(self, start, end):
        self.tab.mouse.move(*self.at(*start))
        self.tab.mouse.down()
        self.tab.mouse.move(*self.at(*end), steps=5)
        self.tab.mouse.up()

    def press(self, *keys):
        for key in keys:
            self.tab.keyboard.press(key)

    def vertex(self, line, index):
        vertex = self.lines[line]["vertices"][index]
        return vertex["x"], vertex["y"]
