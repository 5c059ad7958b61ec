import { MIN_STEP_PX, alongTrack, clamp, crossings, meanRow, mended, replaced, withVertices } from "./geometry.js";
import { whenParsed } from "./page.js";

const GRAB_PX = 9; // how near, on the screen, a press has to be to take hold of something
const FREEHAND_STEP_PX = 12; // on the screen, between the vertices of a line drawn in one stroke

const EDITOR = `
<style>
  :host { display: block; container-type: inline-size; height: 100%; min-height: 420px; font: 13px/1.45 system-ui, sans-serif; color: #dfe7ee; }
  .editor { display: grid; grid-template: auto 1fr auto / 1fr 216px; height: 100%; border: 1px solid #2a3742; border-radius: 8px; overflow: hidden; background: #131b23; }
  .tools { grid-column: 1 / 3; display: flex; flex-wrap: wrap; gap: 4px 14px; align-items: center; padding: 6px 8px; background: #182129; border-bottom: 1px solid #2a3742; }
  .tools h2 { font-size: 14px; font-weight: 600; margin: 0 6px 0 4px; }
  .group { display: flex; gap: 3px; }
  @container (max-width: 1180px) { .tools h2 { display: none; } }
  @container (max-width: 920px) { .tools { column-gap: 6px; } .tools kbd { display: none; } }
  button, select { font: inherit; color: inherit; background: #24303b; border: 1px solid #334350; border-radius: 6px; padding: 4px 9px; cursor: pointer; white-space: nowrap; }
  button:hover:not(:disabled) { background: #2f3e4b; }
  button:disabled { opacity: .4; cursor: default; }
  button[aria-pressed="true"] { background: #2d8fd5; border-color: #4aa5e6; color: #fff; }
  button:focus-visible, select:focus-visible, input:focus-visible, .stage:focus-visible { outline: 2px solid #6cc4ff; outline-offset: 1px; }
  kbd { font: inherit; opacity: .55; margin-left: 5px; }
  .swatch { display: inline-block; width: 10px; height: 10px; border-radius: 3px; margin-right: 6px; background: currentColor; flex: none; }
  .zoom { grid-area: 2 / 1; place-self: end start; margin: 8px; z-index: 1; opacity: .85; }
  .stage { grid-area: 2 / 1; position: relative; overflow: hidden; min-height: 0; touch-action: none; background: #0a0f14; cursor: grab; }
  .stage[data-mode="draw"], .stage[data-mode="mend"] { cursor: crosshair; }
  .stage[data-over="vertex"] { cursor: move; } .stage[data-over="line"] { cursor: pointer; } .stage[data-over="insert"] { cursor: copy; }
  .stage[data-panning] { cursor: grabbing; }
  .stage img { position: absolute; left: 0; top: 0; transform-origin: 0 0; max-width: none; user-select: none; -webkit-user-drag: none; }
  svg { position: absolute; inset: 0; width: 100%; height: 100%; }
  polyline { fill: none; stroke-linejoin: round; stroke-width: 1.6; vector-effect: non-scaling-stroke; }
  polyline.under { stroke: #000; stroke-opacity: .55; stroke-width: 5.5; }
  polyline.selected { stroke-width: 2.6; }
  polyline.hovered { stroke-width: 3; }
  polyline.draft { stroke: #fff; stroke-dasharray: 6 4; }
  circle { fill: #10161d; stroke: #fff; stroke-width: 1.5; }
  circle.selected { fill: #fff; }
  circle.crossing { fill: none; stroke: #ff4d3d; stroke-width: 2.5; }
  .hidden svg .lines, .hidden svg .handles { visibility: hidden; }
  aside { grid-area: 2 / 2; overflow-y: auto; border-left: 1px solid #2a3742; background: #161f28; padding: 8px 10px; min-height: 0; }
  aside h3 { font-size: 12px; font-weight: 600; color: #93a4b3; margin: 10px 0 4px; } aside h3:first-child { margin-top: 0; }
  .layers { list-style: none; margin: 0; padding: 0; max-height: 40vh; overflow-y: auto; }
  .layers button { display: flex; align-items: center; width: 100%; background: none; border-color: transparent; padding: 2px 6px; text-align: left; }
  .layers button[aria-pressed="true"] { background: #2a3a48; border-color: #3f5568; color: inherit; }
  .layers small { margin-left: auto; opacity: .6; }
  label { display: grid; grid-template-columns: 74px 1fr; align-items: center; gap: 6px; margin: 2px 0; }
  input[type=range] { width: 100%; accent-color: #4aa5e6; }
  details { margin-top: 10px; } summary { cursor: pointer; font-weight: 600; color: #b9c7d3; }
  .short > :first-child, .full > :first-child { margin-top: 6px; }
  details ul { padding-left: 1.1em; margin: .4em 0; } details h3 { color: #dfe7ee; }
  dl { display: grid; grid-template-columns: auto 1fr; gap: 2px 8px; margin: 6px 0; } dt { color: #b9c7d3; white-space: nowrap; } dd { margin: 0; color: #93a4b3; }
  .status { grid-column: 1 / 3; display: flex; gap: 14px; padding: 4px 10px; min-height: 20px; background: #182129; border-top: 1px solid #2a3742; color: #93a4b3; }
  .status .wrong { color: #ffb199; } .status .place { margin-left: auto; font-variant-numeric: tabular-nums; }
  .status button { padding: 0 8px; }
</style>
<div class="editor">
  <div class="tools" role="toolbar" aria-label="Drawing tools">
    <h2></h2>
    <span class="group">
      <button data-action="edit" title="Move, insert and delete vertices; drag the background to pan (Esc)">Edit<kbd>Esc</kbd></button>
      <button data-action="draw" title="Draw a new line, click by click or in one stroke; Enter ends it (N)">New line<kbd>N</kbd></button>
      <button data-action="mend" title="Draw a stretch of the selected line anew (M)">Redraw part<kbd>M</kbd></button>
    </span>
    <span class="group labels" role="group" aria-label="Label"></span>
    <span class="group">
      <button data-action="delete-vertex" title="Delete the selected vertex (Delete; or Alt+click on it)">Delete vertex</button>
      <button data-action="split" title="Cut the selected line in two at the selected vertex (X)">Split<kbd>X</kbd></button>
      <button data-action="delete-layer" title="Delete the selected line (Shift+Delete)">Delete line</button>
    </span>
    <span class="group">
      <button data-action="undo" title="Undo (Ctrl+Z)" aria-label="Undo">↶</button>
      <button data-action="redo" title="Redo (Ctrl+Y)" aria-label="Redo">↷</button>
    </span>
  </div>
  <div class="stage" tabindex="0" role="application" aria-label="Echogram editor">
    <img alt="" draggable="false">
    <svg aria-hidden="true"><g class="lines"></g><g class="marks"></g><g class="handles"></g></svg>
  </div>
  <div class="group zoom" role="toolbar" aria-label="Zoom">
    <button data-action="zoom-in" title="Zoom in (+, or the wheel; Shift: along the track only, Alt: in depth only)" aria-label="Zoom in">+</button>
    <button data-action="zoom-out" title="Zoom out (-)" aria-label="Zoom out">−</button>
    <button data-action="fit" title="Fill the window with the whole frame (F)">Fit<kbd>F</kbd></button>
    <button data-action="square" title="Square pixels (0)">1:1</button>
  </div>
  <aside>
    <h3>Lines <span data-count></span></h3>
    <ol class="layers" aria-label="Lines, from top to bottom"></ol>
    <h3>Picture</h3>
    <label>Brightness <input type="range" data-picture="brightness" min="0.3" max="3" step="0.05" value="1"></label>
    <label>Contrast <input type="range" data-picture="contrast" min="0.4" max="4" step="0.05" value="1"></label>
    <label>Lines <input type="range" data-picture="opacity" min="0" max="1" step="0.05" value="0.9"></label>
    <p style="margin: 2px 0; color: #93a4b3">Hold <b>H</b> to hide the lines.</p>
    <details open><summary>What to do</summary><div class="short"></div></details>
    <details><summary>In full</summary><div class="full"></div></details>
    <details><summary>Keys and mouse</summary><dl>
      <dt>Drag vertex</dt><dd>move it</dd><dt>Drag line</dt><dd>insert a vertex (selected line)</dd><dt>Double-click</dt><dd>insert a vertex there</dd>
      <dt>Alt+click</dt><dd>delete a vertex</dd><dt>Arrows</dt><dd>nudge it by 1 px (Shift: 0.2)</dd><dt>, .</dt><dd>previous, next vertex</dd>
      <dt>[ ]</dt><dd>line above, below</dd><dt>1 2 3</dt><dd>label</dd><dt>N, M</dt><dd>new line, redraw part</dd><dt>Enter</dt><dd>end the drawing</dd>
      <dt>Backspace</dt><dd>take back a click</dd><dt>Del</dt><dd>delete vertex (Shift: line)</dd><dt>X</dt><dd>split at the vertex</dd>
      <dt>H</dt><dd>hide lines while held</dd><dt>Wheel</dt><dd>zoom (Shift: track, Alt: depth)</dd><dt>Space+drag</dt><dd>pan in any mode</dd>
      <dt>Ctrl+Z, Y</dt><dd>undo, redo</dd><dt>Ctrl+Enter</dt><dd>submit</dd></dl></details>
  </aside>
  <div class="status"><span class="hint" role="status" data-hint></span><span class="place" data-place></span></div>
</div>`;

export class CrowdPolyline extends HTMLElement {
  lines = [];
  selected = -1;
  vertex = -1;
  mode = "edit";
  drawn = []; // vertices of the line that is being drawn
  past = [];
  future = [];
  crossed = [];
  hovered = -1;
  view = { sx: 1, sy: 1, tx: 0, ty: 0 };
  fitted = true;
  loaded = false;

  connectedCallback() {
    whenParsed(() => this.setUp());
  }

  setUp() {
    const root = this.attachShadow({ mode: "open" });
    root.innerHTML = EDITOR;
    this.at = (selector) => root.querySelector(selector);
    this.stage = this.at(".stage");
    this.image = this.at("img");
    this.labels = JSON.parse(this.getAttribute("labels"));
    this.colours = JSON.parse(this.getAttribute("label-colors") || "[]");
    this.label = this.labels[Math.min(1, this.labels.length - 1)];
    this.lines = (JSON.parse(this.getAttribute("initial-value") || "null")?.polylines ?? []).map(({ label, vertices }) => ({ label, vertices }));
    this.at("h2").textContent = this.getAttribute("header") || "";
    for (const part of ["short", "full"]) this.at(`.${part}`).append(...(this.querySelector(`${part}-instructions`)?.childNodes ?? []));
    this.at(".labels").append(
      ...this.labels.map((label, index) => {
        const button = document.createElement("button");
        button.dataset.label = label;
        button.title = `Label “${label}” (${index + 1})`;
        button.innerHTML = '<span class="swatch"></span><span></span>';
        button.firstChild.style.color = this.colourOf(label);
        button.lastChild.textContent = label;
        button.addEventListener("click", () => this.setLabel(label));
        return button;
      }),
    );
    this.image.addEventListener("load", () => {
      this.loaded = true;
      this.fit();
    });
    this.image.addEventListener("error", () => {
      this.failed = true;
      this.render();
    });
    this.image.src = this.getAttribute("src");
    this.listen(root);
    this.render();
  }

  listen(root) {
    root.addEventListener("click", (event) => {
      const action = event.target.closest("[data-action]")?.dataset.action;
      if (action) this.act(action);
      const row = event.target.closest("[data-select-layer]");
      if (row) this.select(Number(row.dataset.selectLayer));
    });
    for (const slider of root.querySelectorAll("[data-picture]")) slider.addEventListener("input", () => this.showPicture());
    this.stage.addEventListener("pointerdown", (event) => this.press(event));
    this.stage.addEventListener("pointermove", (event) => this.move(event));
    this.stage.addEventListener("pointerup", (event) => this.release(event));
    this.stage.addEventListener("pointercancel", () => this.cancel());
    this.stage.addEventListener("dblclick", (event) => this.doubleClick(event));
    this.stage.addEventListener("contextmenu", (event) => event.preventDefault());
    this.stage.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    addEventListener("keydown", (event) => this.key(event));
    addEventListener("keyup", (event) => {
      if (event.key.toLowerCase() === "h") this.stage.classList.remove("hidden");
      if (event.key === " ") this.spaceHeld = false;
    });
    addEventListener("blur", () => {
      this.stage.classList.remove("hidden");
      this.spaceHeld = false;
    });
    new ResizeObserver(() => (this.fitted ? this.fit() : this.render())).observe(this.stage);
  }

  // -- what the form asks for --

  get value() {
    const px = (value) => Math.round(value * 100) / 100;
    return {
      inputImageProperties: { height: this.image.naturalHeight, width: this.image.naturalWidth },
      polylines: this.lines.map(({ label, vertices }) => ({ label, vertices: vertices.map(({ x, y }) => ({ x: px(x), y: px(y) })) })),
    };
  }

  get state() {
    return this.lines;
  }

  set state(lines) {
    this.lines = lines;
    this.crossed = crossings(lines);
    this.render();
  }

  get problem() {
    if (!this.loaded) return "The echogram is not loaded. Reload the page before you submit.";
    if (this.drawn.length) return "A line is still being drawn. End it with Enter, or drop it with Esc.";
    if (!this.crossed.length) return "";
    this.showCrossing();
    return `Two lines cross at trace ${this.crossed[0].x}; layers never do. Mend the place marked red, then submit.`;
  }

  // -- changes --

  change(lines, selected = this.selected, vertex = -1) {
    this.past.push({ lines: this.lines, selected: this.selected });
    this.future = [];
    this.take({ lines, selected }, vertex);
  }

  take({ lines, selected }, vertex = -1) {
    this.lines = lines;
    this.selected = selected < lines.length ? selected : -1;
    this.vertex = vertex;
    this.crossed = crossings(lines);
    this.render();
    this.dispatchEvent(new CustomEvent("crowd-change", { bubbles: true }));
  }

  step(from, to) {
    const state = from.pop();
    if (!state) return;
    to.push({ lines: this.lines, selected: this.selected });
    this.take(state);
  }

  setLabel(label) {
    this.label = label;
    const line = this.lines[this.selected];
    if (line && this.mode !== "draw" && line.label !== label) {
      this.change(replaced(this.lines, this.selected, { ...line, label }), this.selected, this.vertex);
    } else this.render();
  }

  act(action) {
    const line = this.lines[this.selected];
    const actions = {
      edit: () => this.setMode("edit"),
      draw: () => this.setMode("draw"),
      mend: () => line && this.setMode("mend"),
      undo: () => (this.drawn.length ? this.takeBack() : this.step(this.past, this.future)),
      redo: () => this.step(this.future, this.past),
      "delete-vertex": () => line && this.vertex >= 0 && this.deleteVertex(this.vertex),
      "delete-layer": () => line && this.change(replaced(this.lines, this.selected), -1),
      split: () => line && this.split(),
      fit: () => this.fit(),
      square: () => this.square(),
      "zoom-in": () => this.zoom(1.4),
      "zoom-out": () => this.zoom(1 / 1.4),
      "show-crossing": () => this.showCrossing(),
    };
    actions[action]?.();
  }

  setMode(mode) {
    this.mode = mode;
    this.drawn = [];
    this.vertex = -1;
    if (mode === "draw") this.selected = -1;
    this.render();
  }

  takeBack() {
    this.drawn = this.drawn.slice(0, -1);
    this.render();
  }

  finishDrawing() {
    const vertices = alongTrack(this.drawn);
    const { mode } = this;
    this.mode = "edit";
    this.drawn = [];
    if (vertices.length < 2) return this.render();
    if (mode === "mend" && this.lines[this.selected]) {
      return this.change(withVertices(this.lines, this.selected, mended(this.lines[this.selected].vertices, vertices)));
    }
    return this.change([...this.lines, { label: this.label, vertices }], this.lines.length);
  }

  deleteVertex(index) {
    const { vertices } = this.lines[this.selected];
    if (vertices.length <= 2) return this.change(replaced(this.lines, this.selected), -1);
    return this.change(withVertices(this.lines, this.selected, replaced(vertices, index)), this.selected, Math.min(index, vertices.length - 2));
  }

  insertVertex(point) {
    this.change(withVertices(this.lines, this.selected, alongTrack([...this.lines[this.selected].vertices, point])));
  }

  split() {
    const { label, vertices } = this.lines[this.selected];
    const at = this.vertex;
    if (at < 1 || at > vertices.length - 3) {
      return this.hint("Select a vertex inside the line, with at least two behind it, to split the line there.", true);
    }
    const parts = [vertices.slice(0, at + 1), vertices.slice(at + 1)].map((part) => ({ label, vertices: part }));
    return this.change(replaced(this.lines, this.selected, ...parts), this.selected + 1);
  }

  nudge(dx, dy) {
    if (this.vertex < 0 || !this.lines[this.selected]) return;
    const at = this.lines[this.selected].vertices[this.vertex];
    this.change(this.moved(this.lines, this.vertex, { x: at.x + dx, y: at.y + dy }), this.selected, this.vertex);
  }

  /** Lines with one vertex of the selected line elsewhere, but never past its neighbours or out of the echogram. */
  moved(lines, index, to) {
    const { vertices } = lines[this.selected];
    const low = index > 0 ? vertices[index - 1].x + MIN_STEP_PX : 0;
    const high = index < vertices.length - 1 ? vertices[index + 1].x - MIN_STEP_PX : this.image.naturalWidth - 1;
    const vertex = { x: clamp(to.x, low, high), y: this.inside(to).y };
    return withVertices(lines, this.selected, replaced(vertices, index, vertex));
  }

  select(index) {
    this.selected = index;
    this.vertex = -1;
    if (this.lines[index]) this.label = this.lines[index].label;
    this.at('[data-select-layer="' + index + '"]')?.scrollIntoView({ block: "nearest" });
    this.render();
  }

  selectNeighbour(by) {
    const order = this.byDepth();
    const place = order.indexOf(this.selected);
    this.select(order[place < 0 ? 0 : clamp(place + by, 0, order.length - 1)] ?? -1);
  }

  byDepth() {
    return this.lines.map((_, index) => index).sort((a, b) => meanRow(this.lines[a]) - meanRow(this.lines[b]));
  }

  showCrossing() {
    const [{ a, b, x, y }] = this.crossed;
    const box = this.stage.getBoundingClientRect();
    this.fitted = false;
    this.view.sx = Math.max(this.view.sx, 3);
    this.view.sy = Math.max(this.view.sy, 3);
    this.view.tx = box.width / 2 - (x + 0.5) * this.view.sx;
    this.view.ty = box.height / 2 - (y + 0.5) * this.view.sy;
    this.select(this.selected === b ? b : a);
  }

  // -- the view: screen = (pixel + 0.5) * scale + offset --

  toScreen({ x, y }) {
    return { x: (x + 0.5) * this.view.sx + this.view.tx, y: (y + 0.5) * this.view.sy + this.view.ty };
  }

  toImage(event) {
    const box = this.stage.getBoundingClientRect();
    return {
      x: (event.clientX - box.left - this.view.tx) / this.view.sx - 0.5,
      y: (event.clientY - box.top - this.view.ty) / this.view.sy - 0.5,
    };
  }

  inside({ x, y }) {
    return { x: clamp(x, 0, this.image.naturalWidth - 1), y: clamp(y, 0, this.image.naturalHeight - 1) };
  }

  fit() {
    if (!this.loaded) return;
    this.fitted = true;
    const box = this.stage.getBoundingClientRect();
    this.view = { sx: box.width / this.image.naturalWidth, sy: box.height / this.image.naturalHeight, tx: 0, ty: 0 };
    this.render();
  }

  square() {
    const scale = Math.max(1, Math.min(this.view.sx, this.view.sy));
    this.zoom(1, null, { sx: scale, sy: scale });
  }

  zoom(factor, about = null, scales = { sx: this.view.sx * factor, sy: this.view.sy * factor }) {
    const box = this.stage.getBoundingClientRect();
    const { x, y } = about ?? { x: box.width / 2, y: box.height / 2 };
    const { view } = this;
    const sx = clamp(scales.sx, (0.5 * box.width) / this.image.naturalWidth, 60);
    const sy = clamp(scales.sy, (0.5 * box.height) / this.image.naturalHeight, 60);
    this.view = { sx, sy, tx: x - ((x - view.tx) * sx) / view.sx, ty: y - ((y - view.ty) * sy) / view.sy };
    this.fitted = false;
    this.keepInSight();
  }

  keepInSight() {
    const box = this.stage.getBoundingClientRect();
    const { view, image } = this;
    view.tx = clamp(view.tx, 0.2 * box.width - image.naturalWidth * view.sx, 0.8 * box.width);
    view.ty = clamp(view.ty, 0.2 * box.height - image.naturalHeight * view.sy, 0.8 * box.height);
    this.render();
  }

  wheel(event) {
    event.preventDefault();
    const delta = event.deltaY || event.deltaX; // with Shift, some browsers turn the wheel sideways
    const factor = Math.exp(-clamp(delta, -200, 200) * 0.0022);
    const box = this.stage.getBoundingClientRect();
    const scales = { sx: this.view.sx * (event.altKey ? 1 : factor), sy: this.view.sy * (event.shiftKey ? 1 : factor) };
    this.zoom(1, { x: event.clientX - box.left, y: event.clientY - box.top }, scales);
  }

  // -- pointer --

  /** What lies under the pointer: a vertex of the selected line, else the nearest line. */
  under(event) {
    const box = this.stage.getBoundingClientRect();
    const at = { x: event.clientX - box.left, y: event.clientY - box.top };
    const far = (p) => Math.hypot(p.x - at.x, p.y - at.y);
    let best = { distance: GRAB_PX };
    for (const [index, v] of (this.lines[this.selected]?.vertices ?? []).entries()) {
      const distance = far(this.toScreen(v));
      if (distance < best.distance) best = { distance, vertex: index, line: this.selected };
    }
    if (best.line !== undefined) return best;
    this.lines.forEach(({ vertices }, line) => {
      for (let k = 0; k + 1 < vertices.length; k++) {
        const a = this.toScreen(vertices[k]);
        const b = this.toScreen(vertices[k + 1]);
        if (a.x > at.x + GRAB_PX || b.x < at.x - GRAB_PX) continue;
        const t = clamp(((at.x - a.x) * (b.x - a.x) + (at.y - a.y) * (b.y - a.y)) / ((b.x - a.x) ** 2 + (b.y - a.y) ** 2), 0, 1);
        const distance = far({ x: a.x + t * (b.x - a.x), y: a.y + t * (b.y - a.y) }) - (line === this.selected ? 2 : 0);
        if (distance < best.distance) best = { distance, line };
      }
    });
    return best;
  }

  press(event) {
    if (!this.loaded || this.drag) return;
    this.stage.focus({ preventScroll: true });
    this.stage.setPointerCapture(event.pointerId);
    const start = { x: event.clientX, y: event.clientY, moved: false, before: this.lines };
    if (event.button !== 0 || this.spaceHeld) this.drag = { ...start, kind: "pan", from: { ...this.view } };
    else if (this.mode !== "edit") {
      this.drag = { ...start, kind: "stroke" };
      this.addPoint(event);
    } else {
      const { line, vertex } = this.under(event);
      if (vertex !== undefined && event.altKey) return this.deleteVertex(vertex);
      if (vertex !== undefined) {
        this.vertex = vertex;
        this.drag = { ...start, kind: "vertex", vertex };
      } else if (line !== undefined && line === this.selected) this.drag = { ...start, kind: "insert" };
      else if (line !== undefined) {
        this.select(line);
        this.drag = { ...start, kind: "nothing" };
      } else this.drag = { ...start, kind: "pan", from: { ...this.view }, background: true };
    }
    return this.render();
  }

  addPoint(event) {
    this.drawn = [...this.drawn, this.inside(this.toImage(event))];
  }

  move(event) {
    const point = this.toImage(event);
    if (this.loaded) this.at("[data-place]").textContent = `trace ${Math.round(this.inside(point).x)}, row ${Math.round(this.inside(point).y)}`;
    const { drag } = this;
    if (!drag) return this.hover(event);
    drag.moved ||= Math.hypot(event.clientX - drag.x, event.clientY - drag.y) > 3;
    if (!drag.moved) return undefined;
    if (drag.kind === "pan") {
      this.stage.dataset.panning = "";
      this.fitted = false;
      Object.assign(this.view, { tx: drag.from.tx + event.clientX - drag.x, ty: drag.from.ty + event.clientY - drag.y });
      return this.keepInSight();
    }
    if (drag.kind === "stroke") {
      const last = this.toScreen(this.drawn[this.drawn.length - 1]);
      if (Math.abs(this.toScreen(point).x - last.x) >= FREEHAND_STEP_PX) this.addPoint(event);
    }
    if (drag.kind === "insert") {
      const { vertices } = drag.before[this.selected];
      const index = vertices.findIndex((v) => v.x > point.x);
      if (index < 1) return undefined;
      drag.lines = withVertices(drag.before, this.selected, [...vertices.slice(0, index), { ...vertices[index] }, ...vertices.slice(index)]);
      this.vertex = drag.vertex = index;
      drag.kind = "vertex";
    }
    if (drag.kind === "vertex") this.lines = this.moved(drag.lines ?? drag.before, drag.vertex, point);
    return this.render();
  }

  hover(event) {
    if (!this.loaded || this.mode !== "edit") return;
    const { line, vertex } = this.under(event);
    this.stage.dataset.over = vertex !== undefined ? "vertex" : line === undefined ? "" : line === this.selected ? "insert" : "line";
    if (this.hovered !== (line ?? -1)) {
      this.hovered = line ?? -1;
      this.render();
    }
  }

  release() {
    const { drag } = this;
    this.drag = null;
    delete this.stage.dataset.panning;
    if (!drag) return;
    if (drag.kind === "vertex" && drag.moved) {
      const now = this.lines;
      this.lines = drag.before;
      this.change(now, this.selected, drag.vertex);
    } else if (drag.background && !drag.moved) this.select(-1);
    else this.render();
  }

  cancel() {
    if (this.drag?.kind === "vertex") this.lines = this.drag.before;
    this.drag = null;
    this.render();
  }

  doubleClick(event) {
    if (this.mode !== "edit") return this.finishDrawing();
    const { line, vertex } = this.under(event);
    if (line !== undefined && line === this.selected && vertex === undefined) this.insertVertex(this.inside(this.toImage(event)));
    return undefined;
  }

  // -- keys --

  key(event) {
    const typing = event.composedPath()[0]?.closest?.("input:not([type=range]):not([type=checkbox]), textarea, select");
    if (typing || !this.loaded) return;
    const control = event.ctrlKey || event.metaKey;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const onControl = event.composedPath()[0]?.closest?.("button, input, summary, a");
    if (onControl && [" ", "Enter", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"].includes(key)) return;
    const by = event.shiftKey ? 0.2 : 1;
    const count = this.lines[this.selected]?.vertices.length ?? 0;
    const plain = {
      h: () => this.stage.classList.add("hidden"),
      " ": () => (this.spaceHeld = true),
      n: () => this.act("draw"),
      m: () => this.act("mend"),
      x: () => this.act("split"),
      f: () => this.act("fit"),
      0: () => this.act("square"),
      "+": () => this.act("zoom-in"),
      "=": () => this.act("zoom-in"),
      "-": () => this.act("zoom-out"),
      "[": () => this.selectNeighbour(-1),
      "]": () => this.selectNeighbour(1),
      ",": () => count && this.selectVertex(clamp(this.vertex - 1, 0, count - 1)),
      ".": () => count && this.selectVertex(clamp(this.vertex + 1, 0, count - 1)),
      Escape: () => (this.mode === "edit" ? this.select(-1) : this.act("edit")),
      Enter: () => this.mode !== "edit" && this.finishDrawing(),
      Backspace: () => (this.mode === "edit" ? this.act("delete-vertex") : this.takeBack()),
      Delete: () => this.act(event.shiftKey || this.vertex < 0 ? "delete-layer" : "delete-vertex"),
      ArrowLeft: () => this.nudge(-by, 0),
      ArrowRight: () => this.nudge(by, 0),
      ArrowUp: () => this.nudge(0, -by),
      ArrowDown: () => this.nudge(0, by),
    };
    this.labels.forEach((label, index) => (plain[index + 1] = () => this.setLabel(label)));
    const withControl = { z: () => this.act(event.shiftKey ? "redo" : "undo"), y: () => this.act("redo") };
    const run = (control ? withControl : plain)[key];
    if (!run) return;
    event.preventDefault();
    run();
  }

  selectVertex(index) {
    this.vertex = index;
    this.render();
  }

  // -- drawing on the screen --

  colourOf(label, nth = 0) {
    const colour = this.colours[this.labels.indexOf(label)] ?? "#ffd646";
    return nth % 2 ? `color-mix(in srgb, ${colour}, #3ddc84 75%)` : colour;
  }

  render() {
    if (!this.shadowRoot || this.pending) return;
    this.pending = requestAnimationFrame(() => {
      this.pending = 0;
      this.draw();
    });
  }

  draw() {
    const { sx, sy, tx, ty } = this.view;
    this.image.style.transform = `matrix(${sx}, 0, 0, ${sy}, ${tx}, ${ty})`;
    this.image.style.imageRendering = Math.min(sx, sy) > 2.5 ? "pixelated" : "auto";
    this.stage.dataset.mode = this.mode;
    const order = this.byDepth();
    const seen = {};
    const colours = [];
    for (const index of order) {
      const { label } = this.lines[index];
      seen[label] = (seen[label] ?? -1) + 1;
      colours[index] = this.colourOf(label, seen[label]);
    }
    const points = (vertices) => vertices.map((v) => `${v.x},${v.y}`).join(" ");
    const shapes = [];
    order.forEach((index) => {
      const chosen = index === this.selected;
      const vertices = points(this.lines[index].vertices);
      if (chosen) shapes.push(["polyline", { points: vertices, class: "under" }]);
      const kind = chosen ? "selected" : index === this.hovered ? "hovered" : "";
      shapes.push(["polyline", { points: vertices, class: kind, stroke: colours[index], "data-layer": index, "data-label": this.lines[index].label }]);
    });
    if (this.drawn.length) shapes.push(["polyline", { points: points(this.drawn), class: "draft", "data-draft": "" }]);
    this.at(".lines").setAttribute("transform", `matrix(${sx} 0 0 ${sy} ${tx + sx / 2} ${ty + sy / 2})`);
    this.at(".lines").style.opacity = this.at('[data-picture="opacity"]').value;
    fill(this.at(".lines"), shapes);
    fill(this.at(".handles"), this.handles());
    fill(this.at(".marks"), this.crossed.slice(0, 20).map((c) => [
      "circle", { ...centre(this.toScreen(c)), r: 14, class: "crossing", "data-crossing": "" }]));
    this.drawPanel(order, colours);
  }

  /** Handles keep their size on the screen; where vertices stand close, smaller and fewer ones leave the echogram visible. */
  handles() {
    const vertices = this.drawn.length ? this.drawn : (this.lines[this.selected]?.vertices ?? []);
    if (!vertices.length) return [];
    const span = Math.abs(vertices[vertices.length - 1].x - vertices[0].x) * this.view.sx;
    const spacing = span / Math.max(1, vertices.length - 1);
    const radius = spacing > 14 ? 5 : spacing > 7 ? 3.5 : 2.2;
    let shown = null;
    return vertices.flatMap((v, index) => {
      const chosen = index === this.vertex && !this.drawn.length;
      const at = this.toScreen(v);
      if (shown && !chosen && Math.hypot(at.x - shown.x, at.y - shown.y) < 2 * radius) return [];
      shown = at;
      const marks = this.drawn.length ? {} : { "data-vertex": index };
      return [["circle", { ...centre(at), r: chosen ? 6 : radius, class: chosen ? "selected" : "", ...marks }]];
    });
  }

  drawPanel(order, colours) {
    this.at("[data-count]").textContent = `(${this.lines.length})`;
    const list = this.at(".layers");
    while (list.childElementCount > order.length) list.lastElementChild.remove();
    while (list.childElementCount < order.length) {
      const row = document.createElement("li");
      row.innerHTML = '<button><span class="swatch"></span><span></span><small></small></button>';
      list.append(row);
    }
    order.forEach((index, place) => {
      const button = list.children[place].firstChild;
      button.dataset.selectLayer = index;
      button.setAttribute("aria-pressed", String(index === this.selected));
      button.children[0].style.color = colours[index];
      button.children[1].textContent = this.lines[index].label;
      button.children[2].textContent = `${this.lines[index].vertices.length} pts`;
    });
    for (const mode of ["edit", "draw", "mend"]) this.at(`[data-action="${mode}"]`).setAttribute("aria-pressed", String(mode === this.mode));
    const label = this.mode !== "draw" && this.lines[this.selected] ? this.lines[this.selected].label : this.label;
    for (const button of this.at(".labels").children) button.setAttribute("aria-pressed", String(button.dataset.label === label));
    const usable = {
      mend: this.selected >= 0, split: this.vertex > 0, "delete-vertex": this.vertex >= 0, "delete-layer": this.selected >= 0,
      undo: this.past.length || this.drawn.length, redo: this.future.length,
    };
    for (const [action, can] of Object.entries(usable)) this.at(`[data-action="${action}"]`).disabled = !can;
    this.drawHint();
  }

  drawHint() {
    if (this.failed) this.hint("The echogram could not be loaded. Reload the page.", true);
    else if (this.crossed.length) {
      const [{ x }] = this.crossed;
      this.hint(`${this.crossed.length > 1 ? `${this.crossed.length} pairs of lines cross; the first` : "Two lines cross"} at trace ${x}.`, true);
      const show = document.createElement("button");
      show.dataset.action = "show-crossing";
      show.textContent = "Show";
      this.at("[data-hint]").append(" ", show);
    } else if (this.mode === "draw") this.hint(`Click along the ${this.label}, or draw it in one stroke. Enter or a double-click ends it.`);
    else if (this.mode === "mend") this.hint("Draw the stretch anew, across the part that is wrong. Enter or a double-click puts it in place.");
    else if (this.selected >= 0) this.hint("Drag a vertex to move it, drag the line to bend it, Alt+click a vertex to delete it.");
    else this.hint("Click a line to select it. Drag the background to move the picture, turn the wheel to zoom.");
  }

  hint(text, wrong = false) {
    const hint = this.at("[data-hint]");
    if (hint.firstChild?.data === text && hint.childNodes.length === 1) return;
    hint.textContent = text;
    hint.classList.toggle("wrong", wrong);
  }

  showPicture() {
    const value = (name) => this.at(`[data-picture="${name}"]`).value;
    this.image.style.filter = `brightness(${value("brightness")}) contrast(${value("contrast")})`;
    this.at(".lines").style.opacity = value("opacity");
  }
}

const centre = ({ x, y }) => ({ cx: x, cy: y });

/** Make the children of an SVG group those shapes, [[name, attributes]], using the elements that are there. */
function fill(group, shapes) {
  while (group.childElementCount > shapes.length) group.lastElementChild.remove();
  shapes.forEach(([name, attributes], index) => {
    let shape = group.children[index];
    if (!shape || shape.localName !== name) {
      const fresh = document.createElementNS("http://www.w3.org/2000/svg", name);
      if (shape) shape.replaceWith(fresh);
      else group.append(fresh);
      shape = fresh;
    }
    for (const old of shape.getAttributeNames()) if (!(old in attributes)) shape.removeAttribute(old);
    for (const [key, value] of Object.entries(attributes)) if (shape.getAttribute(key) !== String(value)) shape.setAttribute(key, value);
  });
}
