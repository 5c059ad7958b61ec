import { alongTrack, byDepth, crossings, dense, firstOf, joined, lastOf, mended, outsideBox, parted, replaced, simplified, splitAt, touchesBox } from "./geometry.js";

/** The lines of a frame, which of them are selected, and every step on the way there. Lines are never changed, only replaced.
 *
 * A line has an `id` that stays, a label, vertices, and, if the model proposed it, its confidence. */
export class Drawing {
  lines = [];
  selected = []; // ids; the last one is the one at hand
  vertex = -1; // of the line at hand
  past = [];
  future = [];
  nextId = 0;
  merging = ""; // steps of one kind in a row are one step

  constructor(polylines = [], confidence = []) {
    this.lines = polylines.map(({ label, vertices }, i) => this.newLine(label, alongTrack(vertices), confidence[i] ?? null));
    this.proposal = this.lines;
  }

  newLine(label, vertices, confidence = null) {
    return { id: this.nextId++, label, vertices, confidence };
  }

  indexOf(id) {
    return this.lines.findIndex((line) => line.id === id);
  }

  /** Index of the line at hand, or -1. */
  get hand() {
    return this.indexOf(this.selected[this.selected.length - 1] ?? -1);
  }

  get line() {
    return this.lines[this.hand];
  }

  get chosen() {
    return this.lines.filter((line) => this.selected.includes(line.id));
  }

  get crossings() {
    return crossings(this.lines);
  }

  select(ids, vertex = -1) {
    this.selected = ids.filter((id) => this.indexOf(id) >= 0);
    this.vertex = vertex;
    this.merging = "";
  }

  toggle(id) {
    this.select(this.selected.includes(id) ? this.selected.filter((other) => other !== id) : [...this.selected, id]);
  }

  // -- steps --

  change(lines, selected = this.selected, vertex = -1, merging = "") {
    if (!merging || merging !== this.merging) this.past.push({ lines: this.lines, selected: this.selected });
    this.future = [];
    this.take({ lines, selected }, vertex);
    this.merging = merging;
    return true;
  }

  take({ lines, selected }, vertex = -1) {
    this.lines = lines;
    this.selected = selected.filter((id) => this.indexOf(id) >= 0);
    this.vertex = vertex;
    this.merging = "";
  }

  undo() {
    return this.step(this.past, this.future);
  }

  redo() {
    return this.step(this.future, this.past);
  }

  step(from, to) {
    const state = from.pop();
    if (!state) return false;
    to.push({ lines: this.lines, selected: this.selected });
    this.take(state);
    return true;
  }

  // -- what can be done to lines; each answers whether it did anything --

  /** Lines with those vertices for the line at hand. */
  withVertices(vertices) {
    return replaced(this.lines, this.hand, { ...this.line, vertices });
  }

  add(label, vertices) {
    if (vertices.length < 2) return false;
    const line = this.newLine(label, vertices);
    return this.change([...this.lines, line], [line.id]);
  }

  mend(id, stretch) {
    const line = this.lines[this.indexOf(id)];
    return Boolean(line) && stretch.length > 1 && this.redraw(id, mended(line.vertices, stretch));
  }

  /** Two lines of one label as one, with a stretch between them, if neither goes on beside the other outside it. */
  bridge(lines, stretch) {
    const [left, right] = [...lines].sort((a, b) => firstOf(a).x - firstOf(b).x);
    if (!right || left === right || left.label !== right.label) return false;
    if (lastOf(left).x > stretch[stretch.length - 1].x || firstOf(right).x < stretch[0].x) return false;
    const whole = { ...left, vertices: mended([...left.vertices, ...right.vertices], stretch) };
    return this.change(this.lines.filter((line) => line !== right).map((line) => (line === left ? whole : line)), [whole.id]);
  }

  /** Other vertices for a line, which need not be the one at hand any more; `vertex` is the selected one if it still is. */
  redraw(id, vertices, vertex = -1) {
    const index = this.indexOf(id);
    if (index < 0) return false;
    return this.change(replaced(this.lines, index, { ...this.lines[index], vertices }), this.selected, index === this.hand ? vertex : -1);
  }

  moveVertex(index, to, merging = "") {
    return this.change(this.withVertices(replaced(this.line.vertices, index, { ...to, set: true })), this.selected, index, merging);
  }

  insertVertex(point) {
    const vertex = { ...point, set: true };
    const vertices = alongTrack([...this.line.vertices, vertex]);
    return this.change(this.withVertices(vertices), this.selected, vertices.indexOf(vertex));
  }

  deleteVertex(index) {
    const { vertices } = this.line;
    if (vertices.length <= 2) return this.remove([this.line.id]);
    return this.change(this.withVertices(replaced(vertices, index)), this.selected, Math.min(index, vertices.length - 2));
  }

  /** Lines of somebody else in the place of lines `out` of this drawing. */
  exchange(out, theirs) {
    if (out.length === theirs.length && theirs.every((line) => out.some((own) => sameLine(own, line)))) return false;
    const anew = theirs.map(({ label, vertices }) => this.newLine(label, vertices));
    return this.change([...this.lines.filter((line) => !out.includes(line)), ...anew], anew.map((line) => line.id));
  }

  remove(ids = this.selected) {
    const left = this.lines.filter((line) => !ids.includes(line.id));
    return left.length < this.lines.length && this.change(left, []);
  }

  relabel(label) {
    const anew = this.lines.map((line) => (this.selected.includes(line.id) && line.label !== label ? { ...line, label } : line));
    return anew.some((line, i) => line !== this.lines[i]) && this.change(anew, this.selected, this.vertex);
  }

  /** The line at hand in two, at its selected vertex or else at trace x. */
  split(x) {
    const { line, vertex } = this;
    if (!line) return false;
    let parts = null;
    if (vertex > 0 && vertex < line.vertices.length - 2) parts = [line.vertices.slice(0, vertex + 1), line.vertices.slice(vertex + 1)];
    else if (vertex < 0) parts = splitAt(line.vertices, x);
    if (!parts) return false;
    const [before, behind] = parts.map((vertices, i) => ({ ...line, vertices, id: i ? this.nextId++ : line.id }));
    return this.change(replaced(this.lines, this.hand, before, behind), [behind.id]);
  }

  /** Pairs of neighbouring chosen lines with a gap between them, from left to right: [[end, start]]. */
  get gaps() {
    const order = [...this.chosen].sort((a, b) => firstOf(a).x - firstOf(b).x);
    return order.slice(1).map((line, i) => [lastOf(order[i]), firstOf(line)]);
  }

  /** Lines as one; `between` are the vertices in each of their `gaps`. */
  join(between = [], lines = this.chosen) {
    const order = [...lines].sort((a, b) => firstOf(a).x - firstOf(b).x);
    if (order.length < 2 || order.some((line) => !this.lines.includes(line))) return false; // changed while the ways were found
    const vertices = order.slice(1).reduce((all, line, i) => joined(all, line.vertices, between[i] ?? []), order[0].vertices);
    const whole = { ...order[0], vertices };
    const left = this.lines.filter((line) => line === order[0] || !order.includes(line));
    return this.change(left.map((line) => (line === order[0] ? whole : line)), [whole.id]);
  }

  /** Erase what lies in a box: of the chosen lines if there are any, else of all. */
  erase(box) {
    const hit = (this.selected.length ? this.chosen : this.lines).filter((line) => touchesBox(line, box));
    if (!hit.length) return false;
    const anew = this.lines.flatMap((line) => {
      if (!hit.includes(line)) return [line];
      return outsideBox(line.vertices, box).map((vertices, i) => ({ ...line, vertices, id: i ? this.nextId++ : line.id }));
    });
    return this.change(anew, this.selected);
  }

  /** Move the line at hand and another apart where they touch or cross. */
  part(other) {
    const { hand } = this;
    if (hand < 0 || other < 0) return false;
    const [one, its] = parted(this.lines[hand], this.lines[other]);
    if (one === this.lines[hand] && its === this.lines[other]) return false;
    return this.change(this.lines.map((line, i) => (i === hand ? one : i === other ? its : line)));
  }

  removeBelow(confidence) {
    return this.remove(this.below(confidence).map((line) => line.id));
  }

  /** Lines of which the model was less sure than that. */
  below(confidence) {
    return this.lines.filter((line) => line.confidence !== null && line.confidence < confidence);
  }

  /** All lines with as few vertices as keep them within `tolerance` rows; those that a person has set stay. */
  simplify(tolerance) {
    const anew = this.lines.map((line) => {
      const vertices = simplified(line.vertices, tolerance);
      return vertices.length < line.vertices.length ? { ...line, vertices } : line;
    });
    return anew.some((line, i) => line !== this.lines[i]) && this.change(anew);
  }

  startOver() {
    return this.lines !== this.proposal && this.change(this.proposal, []);
  }

  get changed() {
    return this.lines !== this.proposal;
  }

  /** Indices from above to below. */
  get order() {
    return byDepth(this.lines);
  }

  /** Places in a line's vertices that a person has set, and its ends, from left to right. */
  anchors(line) {
    return line.vertices.filter((v, i, all) => v.set || i === 0 || i === all.length - 1);
  }

  meanRow(line) {
    return dense(line).mean;
  }

  // -- to keep it --

  /** Everything as a value that the browser can store: a line that stands in many steps is stored once. */
  get state() {
    return { past: this.past.map(packedStep), now: packedStep(this), future: this.future.map(packedStep), nextId: this.nextId };
  }

  /** Go on from a stored state; its lines keep their ids. */
  set state({ past, now, future, nextId }) {
    const seen = new Map();
    const unpacked = ({ lines, selected }) => ({ lines: lines.map((packed) => unpackedLine(packed, seen)), selected });
    const known = new Map(this.proposal.map((line) => [line.id, line]));
    const same = (line) => known.get(line.id) && sameLine(known.get(line.id), line) ? known.get(line.id) : line;
    const asProposed = (step) => {
      const lines = step.lines.map(same);
      const all = lines.length === this.proposal.length && lines.every((line, i) => line === this.proposal[i]);
      return { ...step, lines: all ? this.proposal : lines };
    };
    this.past = past.map(unpacked).map(asProposed);
    this.future = future.map(unpacked).map(asProposed);
    this.nextId = nextId;
    this.take(asProposed(unpacked(now)));
  }
}

const packedLines = new WeakMap();

function packedLine(line) {
  let packed = packedLines.get(line);
  if (!packed) {
    const places = new Float64Array(2 * line.vertices.length);
    line.vertices.forEach((v, i) => places.set([v.x, v.y], 2 * i));
    const set = line.vertices.flatMap((v, i) => (v.set ? [i] : []));
    packedLines.set(line, (packed = { id: line.id, label: line.label, confidence: line.confidence, places, set }));
  }
  return packed;
}

const packedStep = ({ lines, selected }) => ({ lines: lines.map(packedLine), selected });

function unpackedLine(packed, seen) {
  if (!seen.has(packed)) {
    const { id, label, confidence, places, set } = packed;
    const vertices = Array.from({ length: places.length / 2 }, (_, i) => ({ x: places[2 * i], y: places[2 * i + 1] }));
    for (const i of set) vertices[i].set = true;
    seen.set(packed, { id, label, confidence, vertices });
  }
  return seen.get(packed);
}

const sameLine = (one, other) =>
  one.label === other.label &&
  one.vertices.length === other.vertices.length &&
  one.vertices.every((v, i) => v.x === other.vertices[i].x && v.y === other.vertices[i].y && Boolean(v.set) === Boolean(other.vertices[i].set));
