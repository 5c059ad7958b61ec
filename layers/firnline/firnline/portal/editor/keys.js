const ON_CONTROLS = [" ", "Enter", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"]; // belong to a button or a slider that has the focus
const CURSOR_STEP = { plain: 10, fine: 1 }; // pixels of the echogram
const NUDGE_STEP = { plain: 1, fine: 0.2 };

/** What keys do, on the whole page. Every command is here, drawing with a keyboard's cursor included. */
export class Keys {
  constructor(editor) {
    this.editor = editor;
    addEventListener("keydown", (event) => this.down(event));
    addEventListener("keyup", (event) => this.up(event));
    addEventListener("blur", () => {
      editor.hideLines(false);
      editor.spaceHeld = false;
    });
  }

  get plain() {
    const { editor } = this;
    const act = (action) => () => editor.act(action);
    const keys = {
      n: act("draw"), m: act("mend"), e: act("extend"), g: act("brush"), b: act("erase"), w: act("wire"), r: act("retrack"), j: act("join"), x: act("split"),
      p: act("part"), k: act("next-crossing"), a: act("select-label"), i: act("invert"), c: act("next-map"), o: act("flicker"), v: act("next-overlay"), d: act("next-difference"), t: act("take-line"), f: act("fit"),
      0: act("square"), "+": act("zoom-in"), "=": act("zoom-in"), "-": act("zoom-out"),
      "[": () => editor.selectNeighbour(-1), "]": () => editor.selectNeighbour(1),
      ",": () => editor.selectNextVertex(-1), ".": () => editor.selectNextVertex(1),
      Escape: () => editor.escape(), Enter: act("finish"), Backspace: act("take-back"),
    };
    editor.labels.forEach((label, index) => (keys[index + 1] = () => editor.setLabel(label)));
    return keys;
  }

  down(event) {
    const { editor } = this;
    const target = event.composedPath()[0];
    const typing = target?.closest?.("input:not([type=range]):not([type=checkbox]), textarea, select");
    if (typing || !editor.loaded || editor.closest("[inert]")) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (target?.closest?.("button, input, summary, a") && ON_CONTROLS.includes(key)) return;
    const run = this.command(key, event);
    if (!run) return;
    event.preventDefault();
    run();
  }

  command(key, event) {
    const { editor } = this;
    if (event.ctrlKey || event.metaKey) {
      return { z: () => editor.act(event.shiftKey ? "redo" : "undo"), y: () => editor.act("redo") }[key];
    }
    if (key === "h") return () => editor.hideLines(true);
    if (key === " ") {
      return () => {
        if (!event.repeat) editor.spacePanned = false;
        editor.spaceHeld = true;
      };
    }
    if (key.startsWith("Arrow")) return () => this.arrow(key, event);
    if (key === "Delete") return () => editor.act(event.shiftKey ? "delete-lines" : "delete-vertex");
    if (key === "t" && event.shiftKey) return () => editor.act("take-all");
    return this.plain[key];
  }

  arrow(key, event) {
    const { editor } = this;
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
    const size = event.shiftKey ? "fine" : "plain";
    if (editor.mode === "edit" && editor.drawing.vertex >= 0) editor.nudge(dx * NUDGE_STEP[size], dy * NUDGE_STEP[size]);
    else editor.moveCursor(dx * CURSOR_STEP[size], dy * CURSOR_STEP[size], event);
  }

  up(event) {
    const { editor } = this;
    if (event.key.toLowerCase() === "h") editor.hideLines(false);
    if (event.key !== " " || !editor.spaceHeld) return;
    editor.spaceHeld = false;
    if (!editor.spacePanned) editor.pressAtCursor(event);
  }
}
