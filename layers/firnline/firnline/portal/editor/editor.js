import { units } from "./axes.js";
import { Drawing } from "./drawing.js";
import { Effort } from "./effort.js";
import { MIN_STEP_PX, SIMPLIFIED_PX, alongTrack, clamp, firstOf, goesThrough, keptShare, lastOf, mended, nearest, replaced, rowAt, simplified, touchesBox } from "./geometry.js";
import { distanceTo, lineAt, vertexAt } from "./hits.js";
import { Keys } from "./keys.js";
import { EDITOR_CSS, EDITOR_HTML } from "./markup.js";
import { Overlays } from "./overlays.js";
import { whenParsed } from "./page.js";
import { Painter } from "./paint.js";
import { Panel } from "./panel.js";
import { COLOUR_MAPS, Picture, greyOf } from "./picture.js";
import { EDIT_PX, Pointer, boxOf } from "./pointer.js";
import { Stroke } from "./stroke.js";
import { Tracker } from "./tracker.js";
import { View } from "./view.js";

// Okabe & Ito 2008: told apart by people with each of the three colour blindnesses. The bed is dashed as well.
const COLOURS = ["#56b4e9", "#f0e442", "#ff8c5a"];
const SETTINGS = { invert: false, brightness: 1, gamma: 1, gain: 0, map: "grey", opacity: 0.95, along: "trace", down: "sample" };
const SETTINGS_KEY = "firnline:view";
const CROSSING_SCALE = 3; // at which a crossing is shown, at least
const SAME_PLACE_PX = 2; // on the screen, between two presses that are one
const MEND_PX = 12; // on the screen, between a line and the place where a stretch of it starts
const TOUCH_PX = 6; // rows within which a line touches another
const LESSENED_PX = 1; // by which a line may move when vertices are left out of a drawing that is too large
const GROWING = ["draw", "mend", "extend"]; // modes in which a line is drawn in several presses
const ANSWER_MS = 400; // after a change, before the hidden fields of a form that reads nothing else are written

/** The element that lines of an echogram are drawn and mended in. Its `value` is what `crowd-polyline` gives. */
export class LayerEditor extends HTMLElement {
  mode = "edit"; // draw, mend, extend, brush, erase
  stroke = new Stroke();
  effort = new Effort();
  follows = true; // lines follow the ridge between clicks
  least = 0; // confidence below which lines are hidden
  verdict = null;
  crossed = [];
  loaded = false;
  cursor = null; // the keyboard's
  working = new Set(); // promises of ways that are being found
  dirty = new Set();

  connectedCallback() {
    if (!this.shadowRoot) whenParsed(() => this.setUp());
  }

  setUp() {
    if (this.shadowRoot) return;
    const root = this.attachShadow({ mode: "open" });
    root.innerHTML = `<style>${EDITOR_CSS}</style>${EDITOR_HTML}`;
    const read = (name) => JSON.parse(this.getAttribute(name) || "null");
    this.labels = read("labels");
    this.colours = read("label-colors") ?? COLOURS;
    this.label = this.labels[Math.min(1, this.labels.length - 1)];
    this.drawing = new Drawing(read("initial-value")?.polylines, read("line-confidence") ?? []);
    this.annotation = new Drawing(read("annotation")?.polylines).lines;
    this.overlays = new Overlays(this, read("answers") ?? []);
    this.units = units(read("axes") ?? {});
    this.settings = { ...SETTINGS, ...keptSettings() };
    for (const axis of ["along", "down"]) if (!this.units[axis].some(({ name }) => name === this.settings[axis])) this.settings[axis] = SETTINGS[axis];
    this.view = new View(1, 1);
    this.stage = root.querySelector(".stage");
    this.painter = new Painter(root);
    this.panel = new Panel(root, this);
    this.panel.fill();
    this.panel.showSettings(this.settings);
    this.pointer = new Pointer(this.stage, this);
    this.keys = new Keys(this);
    this.listen(root);
    this.loadPicture();
    this.render("panel");
    this.crossed = this.drawing.crossings;
  }

  listen(root) {
    root.addEventListener("click", (event) => {
      const { action, selectLayer, crossing, label, overlay, difference, take, takeAll } = event.target.closest("button")?.dataset ?? {};
      if (action) this.act(action);
      if (selectLayer) this.selectLine(Number(selectLayer), event.shiftKey);
      if (crossing) this.showCrossing(Number(crossing));
      if (label) this.setLabel(label);
      if (overlay) this.overlays.show(overlay);
      if (difference) this.overlays.showPlace(Number(difference));
      if (take) this.overlays.takeLine(take);
      if (takeAll) this.overlays.takeAll(takeAll);
    });
    for (const input of root.querySelectorAll("[data-setting]")) {
      input.addEventListener("input", () => this.set({ [input.dataset.setting]: input.type === "checkbox" ? input.checked : input.type === "range" ? Number(input.value) : input.value }));
    }
    new ResizeObserver(() => this.resize()).observe(this.stage);
    // A form that is not ours reads hidden fields only.
    const form = this.closest("crowd-form");
    if (form && !("fields" in form)) {
      form.addEventListener("submit", () => this.writeFields(), { capture: true });
      form.addEventListener("pointerdown", () => this.writeFields(), { capture: true });
      this.addEventListener("crowd-change", () => {
        clearTimeout(this.answering);
        this.answering = setTimeout(() => this.writeFields(), ANSWER_MS);
      });
      this.opened = Date.now();
      this.writeFields();
    }
  }

  loadPicture() {
    const image = new Image();
    image.crossOrigin = "anonymous"; // or the page may not read the pixels
    image.addEventListener("load", () => this.takePicture(image));
    image.addEventListener("error", () => {
      this.failed = true;
      this.render("panel");
    });
    image.src = this.getAttribute("src");
  }

  takePicture(image) {
    const { naturalWidth: width, naturalHeight: height } = image;
    const grey = greyOf(image);
    this.view = new View(width, height);
    this.picture = new Picture(grey, width, height);
    this.picture.set(this.settings);
    this.tracker = new Tracker(grey, width, height);
    this.tracker.others = () => this.shown.filter((line) => !this.drawing.selected.includes(line.id));
    this.loaded = true;
    this.resize();
    this.render("panel");
    this.dispatchEvent(new CustomEvent("editor-loaded", { bubbles: true }));
  }

  resize() {
    this.painter.resize(devicePixelRatio);
    this.view.resize(this.stage.clientWidth, this.stage.clientHeight);
    this.render("view");
  }

  // -- what the form asks for --

  get value() {
    const px = (value) => Math.round(value * 100) / 100;
    return {
      inputImageProperties: { height: this.view.height, width: this.view.width },
      polylines: this.drawing.lines.map(({ label, vertices }) => ({ label, vertices: vertices.map(({ x, y }) => ({ x: px(x), y: px(y) })) })),
    };
  }

  /** What goes beside the drawing: the effort, and the verdict if the frame cannot be traced. */
  extras(seconds) {
    const { operations, moved } = this.effort;
    const kept = keptShare(this.drawing.proposal, this.drawing.lines);
    const effort = { seconds, operations, vertices_moved: moved, proposal_kept: Math.round(kept * 1e4) / 1e4 };
    return this.verdict ? { effort, verdict: this.verdict } : { effort };
  }

  writeFields() {
    const fields = { [this.getAttribute("name")]: this.value, ...this.extras(Math.round((Date.now() - this.opened) / 1000)) };
    for (const name of ["effort", "verdict", this.getAttribute("name")]) {
      let field = this.querySelector(`input[name="${name}"]`);
      if (!(name in fields)) {
        field?.remove();
        continue;
      }
      if (!field) {
        field = document.createElement("input");
        Object.assign(field, { type: "hidden", name });
        this.append(field);
      }
      field.value = JSON.stringify(fields[name]);
    }
  }

  get frameId() {
    return this.getAttribute("frame-id") || document.body.dataset.task || "frame";
  }

  /** Which frame the lines are of. */
  get about() {
    return { frameId: this.frameId, width: this.view.width, height: this.view.height };
  }

  get state() {
    return { drawing: this.drawing.state, effort: this.effort.state, verdict: this.verdict, about: this.about };
  }

  set state({ drawing, effort, verdict }) {
    this.drawing.state = drawing;
    this.effort.state = effort;
    this.verdict = verdict;
    this.crossed = this.drawing.crossings;
    this.render("lines", "live", "panel");
  }

  get touched() {
    return this.drawing.changed || Boolean(this.verdict);
  }

  /** Resolves when no way is being found any more. */
  async settled() {
    while (this.working.size) await Promise.all(this.working);
  }

  get problem() {
    if (!this.loaded) return "The echogram is not loaded. Reload the page before you submit.";
    if (this.verdict) return "";
    if (this.stroke.drawn) return "A line is still being drawn. End it with Enter, or drop it with Esc.";
    const hidden = this.drawing.below(this.least).length;
    if (hidden) return `${hidden} lines are hidden, and would be submitted. Delete them, or show them.`;
    if (!this.crossed.length) return "";
    this.showCrossing(0);
    return `Two lines cross at trace ${this.crossed[0].x}; layers never do. Mend the place marked red, or press P to part them, then submit.`;
  }

  // -- steps --

  /** Do something to the drawing that is one operation of the person; says whether it changed anything. */
  do(kind, run) {
    const changed = run();
    if (!changed) return false;
    if (kind) this.effort.count(kind);
    this.changed();
    return true;
  }

  changed() {
    this.crossed = this.drawing.crossings;
    this.overlays.show("mine");
    this.render("lines", "live", "panel");
    this.dispatchEvent(new CustomEvent("crowd-change", { bubbles: true }));
  }

  /** Wait for a way along the ridge, then go on. */
  after(promise, run) {
    const whole = promise.then(run).finally(() => this.working.delete(whole));
    this.working.add(whole);
    return whole;
  }

  act(action) {
    const { drawing } = this;
    const actions = {
      edit: () => this.goOnTo("edit"),
      draw: () => this.goOnTo("draw"),
      mend: () => this.goOnTo("mend"),
      extend: () => this.extend(),
      brush: () => this.goOnTo("brush"),
      erase: () => this.goOnTo("erase"),
      finish: () => this.finish(),
      "take-back": () => (this.stroke.drawn ? this.takeBack() : this.mode === "edit" && this.act("delete-vertex")),
      wire: () => this.toggleFollow(),
      retrack: () => this.retrack(),
      join: () => this.join(),
      split: () => this.do("split", () => drawing.split(this.cursorTrace)) || this.say("Select a vertex inside the line, or move the cursor to where it is to be cut.", true),
      part: () => this.part(),
      undo: () => (this.stroke.drawn ? this.takeBack() : this.do("undo", () => drawing.undo())),
      redo: () => this.do("redo", () => drawing.redo()),
      "start-over": () => this.startOver(),
      "delete-vertex": () => (drawing.line && drawing.vertex >= 0 ? this.do("delete_vertex", () => drawing.deleteVertex(drawing.vertex)) : this.act("delete-lines")),
      "delete-lines": () => this.do("delete_line", () => drawing.remove()),
      "delete-below": () => this.deleteBelow(),
      "select-label": () => this.select(drawing.lines.filter((line) => line.label === (drawing.line?.label ?? this.label)).map((line) => line.id)),
      "next-crossing": () => this.crossed.length && this.showCrossing(((this.lastCrossing ?? -1) + 1) % this.crossed.length),
      "polarity-wrong": () => this.judge({ kind: "polarity_wrong" }),
      unusable: () => this.judge({ kind: "unusable", reason: this.panel.reason }),
      fit: () => this.changeView(() => this.view.fit()),
      square: () => this.changeView(() => this.view.square()),
      "zoom-in": () => this.changeView(() => this.view.zoom(1.4, 1.4)),
      "zoom-out": () => this.changeView(() => this.view.zoom(1 / 1.4, 1 / 1.4)),
      invert: () => this.set({ invert: !this.settings.invert }),
      "next-map": () => this.set({ map: COLOUR_MAPS[(COLOUR_MAPS.indexOf(this.settings.map) + 1) % COLOUR_MAPS.length] }),
      "reset-view": () => this.set(SETTINGS),
      flicker: () => this.overlays.show(this.overlays.shown === "mine" ? this.overlays.last : "mine"),
      "next-overlay": () => this.overlays.showNext(),
      "next-difference": () => this.overlays.showNextPlace(),
      "take-line": () => this.overlays.takeLine(),
      "take-all": () => this.overlays.takeAll(),
    };
    actions[action]?.();
  }

  setMode(mode, start = null) {
    if (mode !== this.mode) this.effort.count("key");
    if (mode !== "edit") this.overlays.show("mine");
    this.mode = mode;
    this.stroke = new Stroke(start);
    this.rubber = null;
    this.corner = null;
    if (mode === "draw") this.drawing.select([]);
    else this.drawing.select(this.drawing.selected);
    this.stage.dataset.mode = mode;
    this.stage.dataset.over = "";
    this.render("lines", "live", "panel");
  }

  /** Put in what is being drawn, if anything is, and begin with something else. Only Esc drops it. */
  goOnTo(mode) {
    const drawn = this.growing && this.stroke.drawn;
    if (drawn) this.finish();
    if (drawn && mode !== "edit") this.effort.operations.key -= 1; // one key ended the one and began the other
    this.setMode(mode);
  }

  escape() {
    if (this.mode !== "edit") this.setMode("edit");
    else this.select([]);
  }

  setLabel(label) {
    this.label = label;
    if (this.mode !== "draw") this.do("relabel", () => this.drawing.relabel(label));
    this.render("panel");
  }

  toggleFollow() {
    this.follows = !this.follows;
    this.rubber = null;
    this.render("live", "panel");
  }

  /** Leave out vertices that a line hardly needs, for a drawing that is too large to be sent. */
  lessen() {
    this.do("lessen", () => this.drawing.simplify(LESSENED_PX));
  }

  startOver() {
    const { verdict } = this;
    this.verdict = null;
    if (!this.do("start_over", () => this.drawing.startOver()) && verdict) this.changed();
  }

  // -- drawing --

  /** What finds the way of a line, for an event with its modifier keys: nothing where it is straight. */
  guide(event) {
    if (event?.shiftKey && this.tracker) return { between: (from, to) => this.tracker.aside(from, to) };
    return this.follows && !event?.altKey ? this.tracker : null;
  }

  snapped(point, event) {
    return this.tracker && !event?.ctrlKey && !event?.metaKey ? this.tracker.snapped(point) : point;
  }

  placePoint(pixel, event) {
    if (this.mode === "mend" && !this.stroke.last) this.takeLineAt(pixel);
    const point = this.snapped(pixel, event);
    const { last } = this.stroke;
    if (last && Math.hypot((point.x - last.x) * this.view.sx, (point.y - last.y) * this.view.sy) < SAME_PLACE_PX) return;
    const guide = this.stroke.last ? this.guide(event) : null;
    this.effort.count(!guide ? "click" : guide === this.tracker ? "live_wire" : "parallel");
    this.rubber = null;
    this.after(this.stroke.goTo(point, guide), () => this.render("live", "panel"));
    this.render("live", "panel");
  }

  /** Before a stretch is drawn anew: the line that it starts on, which need not be the one at hand where others lie close. */
  takeLineAt(pixel) {
    const line = this.lineFor(pixel);
    if (line && line !== this.drawing.line) this.select([line.id]);
  }

  /** The line that a stretch which starts at a place is of: the one at hand if it lies there, else the nearest. */
  lineFor(pixel) {
    const { drawing, view } = this;
    const at = view.toScreen(pixel);
    if (drawing.line && distanceTo(drawing.line, at, view) <= EDIT_PX) return drawing.line;
    return this.shown[lineAt(this.shown, at, view, MEND_PX)];
  }

  addStroke(points, event) {
    this.sketched = null;
    if (this.mode === "mend" && !this.stroke.last) this.takeLineAt(points[0]);
    this.effort.count("stroke");
    if (this.stroke.last) this.after(this.stroke.goTo(points[0], this.guide(event)), () => this.render("live"));
    this.stroke.follow(points);
    this.render("live", "panel");
  }

  /** Put in what was drawn with the button held over a line: the one that it starts on, or else ends on, goes there, and one that ends
   * where another goes on becomes one with it. On none it is a new line. */
  brush(points) {
    this.sketched = null;
    const { drawing } = this;
    const stroke = new Stroke();
    stroke.follow(points);
    const stretch = stroke.together;
    const ends = [points[0], points[points.length - 1]].map((end) => this.lineFor(end)).filter(Boolean);
    if (!ends.length) this.do("brush", () => drawing.add(this.label, stretch));
    else if (this.do("brush", () => drawing.bridge(ends, stretch) || drawing.mend(ends[0].id, stretch))) this.select([drawing.line?.id ?? ends[0].id]);
  }

  /** Delete the lines that are shown and that a path goes through. */
  crossOut(path) {
    this.sketched = null;
    const hit = this.shown.filter((line) => goesThrough(path, line)).map((line) => line.id);
    this.do("cross_out", () => this.drawing.remove(hit));
    this.render("live");
  }

  /** Show what is being drawn; what crosses lines out need not run along the track. */
  sketch(points, crossesOut = false) {
    this.sketched = crossesOut ? points : alongTrack(points);
    this.crossesOut = crossesOut;
    this.render("live");
  }

  /** Show the way that a press here would take. One way is looked for at a time, the newest next. */
  pull(pixel, event) {
    if (!this.stroke.last) return;
    const guide = this.guide(event);
    if (!guide) {
      this.rubber = alongTrack([this.stroke.last, pixel]);
      this.render("live");
      return;
    }
    this.wanted = { pixel, event };
    if (this.pulling) return;
    this.pulling = true;
    const { pixel: to, event: by } = this.wanted;
    const { stroke } = this;
    guide.between(stroke.last, this.snapped(to, by)).then((vertices) => {
      this.pulling = false;
      if (this.stroke !== stroke || this.mode === "edit") return;
      this.rubber = vertices;
      this.render("live");
      if (this.wanted.pixel !== to) this.pull(this.wanted.pixel, this.wanted.event);
    });
  }

  takeBack() {
    this.stroke.takeBack();
    this.rubber = null;
    this.effort.count("undo");
    this.render("live", "panel");
  }

  finish() {
    if (this.mode === "brush") this.setMode("edit");
    if (!this.growing) return;
    const { stroke, mode } = this;
    const { line } = this.drawing; // the person may go on to another one while the way is found
    this.setMode("edit");
    if (!stroke.drawn) return;
    this.after(stroke.finished(), (vertices) => {
      const { drawing } = this;
      if (mode !== "draw" && !line) this.say("The stretch started on no line.", true);
      else if (mode === "draw") this.do("", () => drawing.add(this.label, vertices));
      else this.do("", () => drawing.mend(line.id, vertices));
    });
  }

  extend() {
    const { line } = this.drawing;
    if (!line) return;
    const [left, right] = [firstOf(line), lastOf(line)];
    const trace = this.cursorTrace;
    this.goOnTo("edit");
    this.setMode("extend", Math.abs(trace - left.x) < Math.abs(trace - right.x) ? left : right);
  }

  /** The selected lines anew along the ridge, through their ends and the vertices that a person has set. */
  retrack() {
    const { drawing, tracker } = this;
    const { chosen } = drawing;
    if (!tracker || !chosen.length) return;
    const ways = chosen.map(async (line) => {
      const anchors = drawing.anchors(line);
      const parts = await Promise.all(anchors.slice(1).map((to, i) => tracker.between(anchors[i], to)));
      return { ...line, vertices: parts.reduce((all, part) => mended(all, part)) };
    });
    this.after(Promise.all(ways), (anew) => {
      const lines = drawing.lines.map((line) => anew[chosen.indexOf(line)] ?? line);
      this.do("retrack", () => drawing.change(lines));
    });
  }

  join() {
    const { drawing } = this;
    const { gaps, chosen } = drawing;
    if (!gaps.length) {
      this.say("Select two lines or more (Shift+click) to join them.", true);
      return;
    }
    const guide = this.guide(null);
    const ways = gaps.map(([from, to]) => (guide && to.x - from.x > 2 ? guide.between(from, to) : []));
    this.after(Promise.all(ways), (between) => this.do("join", () => drawing.join(between, chosen)));
  }

  part() {
    const { drawing } = this;
    if (drawing.hand < 0) return;
    const crossing = this.crossed.find(({ a, b }) => a === drawing.hand || b === drawing.hand);
    const near = nearest(drawing.lines, drawing.hand);
    const other = crossing ? (crossing.a === drawing.hand ? crossing.b : crossing.a) : near && near.apart < TOUCH_PX ? near.index : -1;
    if (!this.do("part", () => drawing.part(other))) this.say("The selected line touches no other.", true);
  }

  // -- vertices --

  /** A vertex elsewhere, but never past its neighbours or out of the echogram. */
  movedVertex(vertices, index, to) {
    const low = index > 0 ? vertices[index - 1].x + MIN_STEP_PX : 0;
    const high = index < vertices.length - 1 ? vertices[index + 1].x - MIN_STEP_PX : this.view.width - 1;
    return { x: clamp(to.x, low, high), y: this.view.inside(to).y, set: true };
  }

  preview(vertices, vertex = -1) {
    this.shownAs = vertices && { vertices, vertex };
    this.render("live");
  }

  /** Put a vertex where it was dragged to. Where vertices stand closer than `reach` traces, those that nobody has set follow it
   * along the ridge. */
  bendTo(vertices, index, to, reach) {
    const { drawing, tracker } = this;
    const step = (by) => {
      let k = index + by;
      while (vertices[k + by] && !vertices[k].set && Math.abs(vertices[k].x - to.x) < reach) k += by;
      return vertices[k] ? k : index;
    };
    const [before, behind] = [step(-1), step(1)];
    const moved = replaced(vertices, index, to);
    const { id } = drawing.line; // the person may go on to another one while the way is found
    const commit = (anew) => {
      this.shownAs = null;
      if (this.do("drag", () => drawing.redraw(id, anew, anew.indexOf(to)))) this.effort.moved += 1;
      else this.render("live");
    };
    if (!this.follows || !tracker || !reach || behind - before <= 2) {
      commit(moved);
      return;
    }
    const ways = [];
    if (before < index) ways.push(tracker.between(vertices[before], to));
    if (behind > index) ways.push(tracker.between(to, vertices[behind]));
    this.after(Promise.all(ways), (parts) => {
      const between = parts.reduce((all, part) => mended(all, part));
      const kept = [...vertices.slice(0, before), ...vertices.slice(behind + 1)];
      const anew = simplified(alongTrack([...kept, ...between.map((v) => (v.x === to.x ? to : v))]), SIMPLIFIED_PX / 4);
      commit(anew);
    });
  }

  nudge(dx, dy) {
    const { drawing } = this;
    const at = drawing.line.vertices[drawing.vertex];
    const merging = `nudge ${drawing.line.id} ${drawing.vertex}`;
    if (drawing.merging !== merging) this.effort.moved += 1;
    const to = this.movedVertex(drawing.line.vertices, drawing.vertex, { x: at.x + dx, y: at.y + dy });
    this.do("key", () => drawing.moveVertex(drawing.vertex, to, merging));
    this.follow(to);
  }

  selectNextVertex(by) {
    const { drawing } = this;
    if (!drawing.line) return;
    this.effort.count("key");
    const { vertices } = drawing.line;
    const next = drawing.vertex < 0 ? this.vertexInSight(vertices) : clamp(drawing.vertex + by, 0, vertices.length - 1);
    drawing.select(drawing.selected, next);
    this.follow(vertices[next]);
    this.render("live", "panel");
  }

  vertexInSight(vertices) {
    const { left, right } = this.view.sight;
    const middle = this.cursor?.x ?? (left + right) / 2;
    return vertices.reduce((best, v, i) => (Math.abs(v.x - middle) < Math.abs(vertices[best].x - middle) ? i : best), 0);
  }

  // -- selection --

  select(ids) {
    this.shownAs = null;
    this.drawing.select(ids);
    if (this.drawing.line) this.label = this.drawing.line.label;
    this.panel.draw();
    this.panel.reveal(this.drawing.hand);
    this.render("lines", "live", "panel");
  }

  selectLine(index, more = false) {
    const { id } = this.drawing.lines[index];
    this.effort.count("click");
    if (more) {
      this.drawing.toggle(id);
      this.select(this.drawing.selected);
    } else this.select([id]);
    const line = this.drawing.lines[index];
    const { left, right } = this.view.sight;
    const x = clamp((left + right) / 2, firstOf(line).x, lastOf(line).x);
    this.follow({ x, y: rowAt(line.vertices, x) });
  }

  selectAt(at, more, reach) {
    const index = lineAt(this.shown, at, this.view, reach);
    if (index < 0) {
      if (!more) this.select([]);
      return;
    }
    const { id } = this.shown[index];
    if (more) this.drawing.toggle(id);
    this.select(more ? this.drawing.selected : [id]);
  }

  selectBox(box) {
    const found = this.shown.filter((line) => touchesBox(line, box)).map((line) => line.id);
    this.select([...new Set([...this.drawing.selected, ...found])]);
  }

  selectNeighbour(by) {
    if (this.looksAtOthers) {
      this.overlays.pickNeighbour(by);
      return;
    }
    const { drawing } = this;
    const { order } = drawing;
    if (!order.length) return;
    this.effort.count("key");
    const place = order.indexOf(drawing.hand);
    const index = order[place < 0 ? 0 : clamp(place + by, 0, order.length - 1)];
    this.select([drawing.lines[index].id]);
    const { left, right } = this.view.sight;
    const line = drawing.lines[index];
    const x = clamp((left + right) / 2, firstOf(line).x, lastOf(line).x);
    this.follow({ x, y: rowAt(line.vertices, x) });
  }

  showCrossing(n) {
    const { a, b, x, y } = this.crossed[n];
    this.lastCrossing = n;
    this.view.centre({ x, y }, CROSSING_SCALE);
    this.select([this.drawing.lines[this.drawing.hand === b ? b : a].id]);
    this.render("view");
  }

  /** Lines that are not hidden for the model's doubt. */
  get shown() {
    return this.least ? this.drawing.lines.filter((line) => line.confidence === null || line.confidence >= this.least) : this.drawing.lines;
  }

  get growing() {
    return GROWING.includes(this.mode);
  }

  /** Lines of somebody else are shown, and a press picks one of them. */
  get looksAtOthers() {
    return this.mode === "edit" && this.overlays.shown !== "mine";
  }

  hideBelow(least) {
    this.least = least;
    this.render("lines", "live", "panel");
  }

  deleteBelow() {
    this.do("delete_below", () => this.drawing.removeBelow(this.least));
    this.hideBelow(0);
  }

  judge(verdict) {
    this.verdict = this.verdict?.kind === verdict.kind ? null : verdict;
    this.effort.count("verdict");
    this.render("panel");
    this.dispatchEvent(new CustomEvent("crowd-change", { bubbles: true }));
  }

  // -- the keyboard's cursor --

  get cursorTrace() {
    const { left, right } = this.view.sight;
    return (this.cursor ?? this.lastPlace ?? { x: (left + right) / 2 }).x;
  }

  moveCursor(dx, dy, event) {
    const { view } = this;
    const { left, right, top, bottom } = view.sight;
    const from = this.cursor ?? this.stroke.last ?? { x: (left + right) / 2, y: (top + bottom) / 2 };
    this.cursor = view.inside({ x: from.x + dx, y: from.y + dy });
    this.follow(this.cursor);
    this.showPlace(this.cursor);
    if (this.corner) this.showBox(boxOf(this.corner, this.cursor));
    else this.pull(this.cursor, { altKey: event.altKey }); // Shift makes the cursor's steps small here
    this.render("live");
  }

  hideCursor() {
    this.cursor = null;
  }

  pressAtCursor(event) {
    const { cursor } = this;
    if (!cursor) return;
    if (this.mode === "erase" || (event.shiftKey && this.mode === "edit") || this.corner) this.pressCorner(cursor);
    else if (this.growing) this.placePoint(cursor, event);
    else if (this.looksAtOthers) this.overlays.pickAt(this.view.toScreen(cursor));
    else {
      const at = this.view.toScreen(cursor);
      const vertex = this.drawing.line ? vertexAt(this.drawing.line, at, this.view, 9) : -1;
      if (vertex >= 0) this.drawing.select(this.drawing.selected, vertex);
      else this.selectAt(at, false, 12);
      this.effort.count("key");
      this.render("live", "panel");
    }
  }

  pressCorner(cursor) {
    this.effort.count("key");
    if (!this.corner) {
      this.corner = cursor;
      return;
    }
    const box = boxOf(this.corner, cursor);
    this.corner = null;
    this.showBox(null);
    if (this.mode === "erase") this.do("erase", () => this.drawing.erase(box));
    else this.selectBox(box);
  }

  // -- the view --

  toScreen(pixel) {
    return this.view.toScreen(pixel);
  }

  changeView(run) {
    run();
    this.render("view");
  }

  follow(pixel) {
    this.view.follow(pixel);
    this.render("view");
  }

  set(settings) {
    this.settings = { ...this.settings, ...settings };
    keepSettings(this.settings);
    this.picture?.set(this.settings);
    this.panel.showSettings(this.settings);
    this.render("view", "panel");
  }

  hideLines(hidden) {
    this.stage.classList.toggle("hidden", hidden);
  }

  showBox(box) {
    this.box = box;
    this.render("live");
  }

  leaveStage() {
    this.panel.place("");
  }

  showPlace(pixel) {
    this.lastPlace = pixel;
    const told = (axis, at) => {
      const unit = this.unit(axis);
      const value = unit.zero + at * unit.scale;
      return unit.name === "trace" || unit.name === "sample" ? `${unit.name} ${Math.round(value)}` : `${value.toFixed(2)} ${unit.name}`;
    };
    this.panel.place(`${told("along", pixel.x)}, ${told("down", pixel.y)}`);
  }

  /** The unit that an axis is read in. Metres of ice count from the surface, where one is drawn: above it there is none. */
  unit(axis, name = this.settings[axis]) {
    const unit = this.units[axis].find((one) => one.name === name) ?? this.units[axis][0];
    if (unit.name !== "m") return unit;
    const surface = this.drawing.lines.find((line) => line.label === "surface");
    return surface ? { ...unit, zero: -this.drawing.meanRow(surface) * unit.scale } : unit;
  }

  colourOf(label) {
    return this.colours[this.labels.indexOf(label)] ?? COLOURS[1];
  }

  // -- painting --

  /** Paint anew, in the next frame, what changed: the view (everything), lines at rest, what is live, the panel. */
  render(...what) {
    for (const part of what) this.dirty.add(part);
    if (this.pending) return;
    this.pending = requestAnimationFrame(() => {
      this.pending = 0;
      const { dirty } = this;
      this.dirty = new Set();
      if (this.loaded) this.paint(dirty);
      if (dirty.has("panel")) this.paintPanel();
    });
  }

  paint(dirty) {
    const { painter, view } = this;
    if (dirty.has("view")) {
      this.picture.draw(painter.contexts.echogram, view, painter.ratio);
      painter.axes(view, this.unit("along"), this.unit("down"));
    }
    if (dirty.has("view") || dirty.has("lines")) this.paintLines();
    this.paintLive();
  }

  paintLines() {
    const { painter, view, drawing, settings } = this;
    painter.clear("lines");
    const other = this.overlays.overlay?.lines;
    const lines = other ?? this.shown.filter((line) => !drawing.selected.includes(line.id));
    painter.lines("lines", lines, view, (line) => Painter.look(line, this.colourOf(line.label), settings.opacity));
    if (!other) painter.crossings(this.crossed, view);
    painter.differences(this.overlays.places, this.overlays.place, view);
  }

  paintLive() {
    const { painter, view, drawing } = this;
    painter.clear("live");
    if (this.looksAtOthers) {
      const { picked } = this.overlays;
      if (picked) painter.lines("live", [picked], view, (one) => Painter.look(one, this.colourOf(one.label), 1, true));
      if (this.cursor) painter.cross(this.cursor, view);
      return;
    }
    const { line } = drawing;
    const shown = this.shownAs && line ? { ...line, vertices: this.shownAs.vertices } : line;
    const chosen = drawing.chosen.map((one) => (one === line ? shown : one));
    painter.lines("live", chosen, view, (one) => Painter.look(one, this.colourOf(one.label), 1, true));
    if (this.stroke.last) {
      painter.rubber(this.stroke.together, view);
      painter.handles(this.stroke.steps.map((step) => step.to), view, -1);
      if (this.rubber) painter.rubber(this.rubber, view);
    } else if (shown) painter.handles(shown.vertices, view, this.shownAs?.vertex ?? drawing.vertex);
    if (this.sketched && this.crossesOut) painter.crossOut(this.sketched, view);
    else if (this.sketched) painter.rubber(this.sketched, view);
    if (this.box) painter.box(this.box, view);
    if (this.cursor) painter.cross(this.cursor, view);
  }

  paintPanel() {
    this.panel.draw();
    const [text, wrong] = this.told ?? this.advice;
    this.panel.hint(text, wrong);
    this.told = null;
  }

  say(text, wrong = false) {
    this.told = [text, wrong];
    this.render("panel");
  }

  /** What the person may do next: [sentence, whether something is wrong]. */
  get advice() {
    const { drawing } = this;
    if (this.failed) return ["The echogram could not be loaded. Reload the page.", true];
    if (this.verdict?.kind === "polarity_wrong") return ["Submit sends the frame back: it is predicted anew the other way round.", true];
    if (this.verdict) return [`Submit closes the frame as unusable (${this.verdict.reason}).`, true];
    const hints = {
      draw: `Click along the ${this.label}: the line follows it. Shift: as its neighbours run. Alt: straight. Hold the button to draw freely. Enter or a double-click ends it.`,
      mend: "Click on a line where it goes wrong, and where it is right again. M goes on with the next stretch, Enter ends.",
      extend: "Click where the line goes on. Enter or a double-click ends it.",
      brush: "Draw over a line, the button held: it goes there at once. Off the lines: a new one. Alt: delete the lines you cross out. Esc ends.",
      erase: "Drag a box: what lies in it goes, of the selected lines, or of all.",
    };
    if (hints[this.mode]) return [hints[this.mode], false];
    const { crossed, overlays } = this;
    if (this.looksAtOthers) return [overlays.advice, false];
    if (crossed.length) return [`Lines cross in ${crossed.length} ${crossed.length > 1 ? "places" : "place"} (K shows the next). P parts the selected line from the other.`, true];
    if (drawing.selected.length > 1) return [`${drawing.selected.length} lines selected: J joins them, 1–${this.labels.length} label them, Del deletes them.`, false];
    if (overlays.advice && (overlays.place || !drawing.line)) return [overlays.advice, false];
    if (drawing.line) return ["Drag the line to bend it, M redraws a stretch, R traces it anew, Del deletes it.", false];
    return ["Click a line to select it, N draws a new one. Drag to pan, wheel to zoom.", false];
  }
}

function keptSettings() {
  try {
    return JSON.parse(localStorage.getItem(SETTINGS_KEY) ?? "{}");
  } catch (error) {
    console.warn("How the picture was last shown cannot be read.", error);
    return {};
  }
}

function keepSettings(settings) {
  try {
    localStorage.setItem(SETTINGS_KEY, JSON.stringify(settings));
  } catch (error) {
    console.warn("How the picture is shown cannot be kept.", error);
  }
}
