"""The review page in a real browser, as tests handle it."""

from pathlib import Path

import pytest

CHROMIUM = Path("/usr/bin/chromium")
needs_chromium = pytest.mark.skipif(
    not CHROMIUM.exists(), reason="Chromium is not installed (apt-get install chromium)"
)
ELEMENT = "document.querySelector('layer-editor, crowd-polyline')"


class Editor:
    """The editor element of a page, as a test handles it."""

    def __init__(self, tab):
        self.tab = tab
        tab.wait_for_selector("crowd-form[data-ready]", state="attached")
        self.wait(f"{ELEMENT}.loaded")

    def wait(self, condition):
        """Wait until an expression of the page is true."""
        # Not wait_for_function: when it has to look twice it evaluates a string, which the page's policy forbids.
        self.tab.evaluate(
            f"""() => new Promise(done => {{
                const look = () => {condition} ? done() : setTimeout(look, 20);
                look();
            }})"""
        )

    def kept(self):
        """Wait until the browser's database has the drawing as it is."""
        self.wait("document.querySelector('crowd-form').draft.kept")

    def get(self, expression):
        """What an expression of `editor`, the element, comes to once nothing is being traced any more."""
        return self.tab.evaluate(
            f"async () => {{ const editor = {ELEMENT}; await editor.settled(); return {expression}; }}"
        )

    @property
    def lines(self):
        return self.get("editor.value.polylines")

    @property
    def hint(self):
        self.painted()
        return self.tab.inner_text("[data-hint]")

    def painted(self):
        """Wait until what changed is on the screen: the element paints in the next frame."""
        self.get("editor.pending ? new Promise(requestAnimationFrame) : null")

    def at(self, x, y):
        """Where a pixel of the echogram is on the screen."""
        return self.tab.evaluate(
            f"""([x, y]) => {{
                const editor = {ELEMENT};
                const box = editor.stage.getBoundingClientRect();
                const at = editor.toScreen({{ x, y }});
                return [box.left + at.x, box.top + at.y];
            }}""",
            [x, y],
        )

    def select(self, line):
        self.tab.click(f'[data-select-layer="{line}"]')

    def click(self, x, y, *held, **options):
        self._while_held(held, lambda: self.tab.mouse.click(*self.at(x, y), **options))

    def drag(self, start, end, *held):
        def run():
            self.tab.mouse.move(*self.at(*start))
            self.tab.mouse.down()
            self.tab.mouse.move(*self.at(*end), steps=5)
            self.tab.mouse.up()

        self._while_held(held, run)

    def press(self, *keys):
        for key in keys:
            self.tab.keyboard.press(key)

    def vertex(self, line, index):
        vertex = self.lines[line]["vertices"][index]
        return vertex["x"], vertex["y"]

    def _while_held(self, keys, run):
        for key in keys:
            self.tab.keyboard.down(key)
        run()
        for key in keys:
            self.tab.keyboard.up(key)
