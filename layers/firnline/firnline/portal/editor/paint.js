import { ticks } from "./axes.js";
import { dense } from "./geometry.js";

const HALO = "rgba(0, 0, 0, .6)";
const BED_DASH = [9, 5];
const MOST_HANDLES = 600;
const DIFFERENCE_MARGIN = 6; // on the screen, around lines that differ
const UNSURE = 0.5; // confidence below which a line is drawn thin

/** A polyline's path on the screen, only what is in sight, and no two vertices in the same pixel column that need not be. */
function trace(context, vertices, view) {
  const { left, right } = view.sight;
  let first = 0;
  let last = vertices.length - 1;
  while (first < last && vertices[first + 1].x < left) first++;
  while (last > first && vertices[last - 1].x > right) last--;
  let drawn = -Infinity;
  for (let i = first; i <= last; i++) {
    const { x, y } = view.toScreen(vertices[i]);
    if (i === first) context.moveTo(x, y);
    else if (i === last || x - drawn >= 1) context.lineTo(x, y);
    else continue;
    drawn = x;
  }
}

/** Draws the stage on three canvases: the echogram, the lines at rest, and what moves under the hand. */
export class Painter {
  constructor(root) {
    const at = (name) => root.querySelector(`canvas.${name}`);
    this.canvases = { echogram: at("echogram"), lines: at("lines"), live: at("live"), down: at("down"), along: at("along") };
    this.contexts = Object.fromEntries(Object.entries(this.canvases).map(([name, canvas]) => [name, canvas.getContext("2d")]));
  }

  /** Give every canvas the size that it has on the screen. */
  resize(ratio) {
    this.ratio = ratio;
    for (const canvas of Object.values(this.canvases)) {
      const box = canvas.getBoundingClientRect();
      canvas.width = Math.max(1, Math.round(box.width * ratio));
      canvas.height = Math.max(1, Math.round(box.height * ratio));
    }
  }

  clear(name) {
    const context = this.contexts[name];
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, context.canvas.width, context.canvas.height);
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    return context;
  }

  /** Lines with a halo; `look` gives {colour, width, dash, alpha} of one. Lines of one look are one path. */
  lines(name, lines, view, look) {
    const context = this.contexts[name];
    const { left, right, top, bottom } = view.sight;
    const groups = new Map();
    for (const line of lines) {
      const { low, high, start, rows } = dense(line);
      if (low > bottom + 2 || high < top - 2 || start > right || start + rows.length < left) continue;
      const its = look(line);
      const key = Object.values(its).join();
      if (!groups.has(key)) groups.set(key, { ...its, lines: [] });
      groups.get(key).lines.push(line);
    }
    context.lineJoin = "round";
    for (const { colour, width, dash, alpha, lines: members } of groups.values()) {
      context.beginPath();
      for (const line of members) trace(context, line.vertices, view);
      context.globalAlpha = alpha;
      context.setLineDash([]);
      context.strokeStyle = HALO;
      context.lineWidth = width + 2.5;
      context.stroke();
      context.setLineDash(dash);
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.stroke();
    }
    context.globalAlpha = 1;
    context.setLineDash([]);
  }

  /** How a line looks: unsure ones thinner and fainter, the bed dashed. */
  static look(line, colour, opacity, selected = false) {
    const sure = line.confidence ?? 1;
    const dash = line.label === "bed" ? BED_DASH : [];
    if (selected) return { colour, width: 2.6, dash, alpha: 1 };
    return { colour, width: sure < UNSURE ? 1.2 : 1.8, dash, alpha: opacity * (0.45 + 0.55 * sure) };
  }

  /** Handles keep their size on the screen; where vertices stand close, smaller and fewer ones leave the echogram visible. */
  handles(vertices, view, chosen) {
    if (!vertices.length) return;
    const context = this.contexts.live;
    const { left, right } = view.sight;
    const span = Math.abs(vertices[vertices.length - 1].x - vertices[0].x) * view.sx;
    const spacing = span / Math.max(1, vertices.length - 1);
    const radius = spacing > 14 ? 4 : spacing > 7 ? 3 : 2;
    let shown = null;
    let count = 0;
    context.lineWidth = 1.4;
    vertices.forEach((v, index) => {
      if (v.x < left || v.x > right || count > MOST_HANDLES) return;
      const { x, y } = view.toScreen(v);
      const own = index === chosen;
      if (shown && !own && !v.set && Math.hypot(x - shown.x, y - shown.y) < 2.5 * radius) return;
      shown = { x, y };
      count += 1;
      context.beginPath();
      if (v.set) context.rect(x - radius, y - radius, 2 * radius, 2 * radius);
      else context.arc(x, y, own ? 5.5 : radius, 0, 2 * Math.PI);
      context.fillStyle = own ? "#fff" : "#10161d";
      context.strokeStyle = "#fff";
      context.fill();
      context.stroke();
    });
  }

  crossings(places, view) {
    const context = this.contexts.lines;
    for (const place of places) {
      const { x, y } = view.toScreen(place);
      for (const [colour, width] of [["#000", 5], ["#ff5a4a", 2.5]]) {
        context.beginPath();
        context.arc(x, y, 12, 0, 2 * Math.PI);
        context.strokeStyle = colour;
        context.lineWidth = width;
        context.stroke();
      }
    }
  }

  /** Boxes around the places where people disagree, with a number each; the one that is looked at has a whole edge. */
  differences(places, at, view) {
    const context = this.contexts.lines;
    context.font = "600 12px system-ui, sans-serif";
    context.textBaseline = "bottom";
    places.forEach((place, n) => {
      for (const { left, right, top, bottom } of place.stretches) {
        const a = view.toScreen({ x: left, y: top });
        const b = view.toScreen({ x: right, y: bottom });
        const box = [a.x - DIFFERENCE_MARGIN, a.y - DIFFERENCE_MARGIN, b.x - a.x + 2 * DIFFERENCE_MARGIN, b.y - a.y + 2 * DIFFERENCE_MARGIN];
        for (const [colour, width, dash] of [["#000", 4, []], ["#fff", place === at ? 2 : 1.2, place === at ? [] : [3, 4]]]) {
          context.setLineDash(dash);
          context.strokeStyle = colour;
          context.lineWidth = width;
          context.strokeRect(...box);
        }
        context.setLineDash([]);
        context.lineWidth = 3;
        context.strokeStyle = "#000";
        context.fillStyle = "#fff";
        const from = Math.max(box[0], 4);
        const over = box[1] < 16 ? box[1] + box[3] + 15 : box[1] - 2;
        context.strokeText(n + 1, from, over);
        context.fillText(n + 1, from, over);
      }
    });
  }

  rubber(vertices, view) {
    if (vertices.length < 2) return;
    this.strokes([[HALO, 4, []], ["#fff", 1.6, [5, 4]]], () => trace(this.contexts.live, vertices, view));
  }

  /** A path in any direction that deletes what it goes through. */
  crossOut(path, view) {
    const context = this.contexts.live;
    this.strokes([["#000", 5, []], ["#ff5a4a", 2.5, []]], () => {
      for (const place of path) {
        const { x, y } = view.toScreen(place);
        context.lineTo(x, y);
      }
    });
  }

  strokes(looks, draw) {
    const context = this.contexts.live;
    for (const [colour, width, dash] of looks) {
      context.beginPath();
      draw();
      context.setLineDash(dash);
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.stroke();
    }
    context.setLineDash([]);
  }

  box({ left, right, top, bottom }, view) {
    const context = this.contexts.live;
    const a = view.toScreen({ x: left, y: top });
    const b = view.toScreen({ x: right, y: bottom });
    context.fillStyle = "rgba(143, 211, 255, .15)";
    context.strokeStyle = "#8fd3ff";
    context.lineWidth = 1.2;
    context.fillRect(a.x, a.y, b.x - a.x, b.y - a.y);
    context.strokeRect(a.x, a.y, b.x - a.x, b.y - a.y);
  }

  /** The keyboard's cursor. */
  cross(point, view) {
    const context = this.contexts.live;
    const { x, y } = view.toScreen(point);
    for (const [colour, width] of [["#000", 4], ["#fff", 1.5]]) {
      context.beginPath();
      for (const [dx, dy] of [[1, 0], [0, 1]]) {
        for (const side of [-1, 1]) {
          context.moveTo(x + side * 4 * dx, y + side * 4 * dy);
          context.lineTo(x + side * 14 * dx, y + side * 14 * dy);
        }
      }
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.stroke();
    }
  }

  axes(view, along, down) {
    const { sight } = view;
    const canvas = this.canvases.along;
    let context = this.clear("along");
    context.font = "11px system-ui, sans-serif";
    context.fillStyle = context.strokeStyle = "#a3b3c1";
    context.textBaseline = "top";
    context.textAlign = "left";
    const width = canvas.width / this.ratio;
    const unitWidth = context.measureText(along.name).width;
    for (const { pixel, text } of ticks(along, sight.left, Math.min(sight.right, view.width), view.sx)) {
      const { x } = view.toScreen({ x: pixel, y: 0 });
      if (x < -1 || x > width - unitWidth - 24) continue;
      context.fillRect(x, 0, 1, 4);
      context.fillText(text, x + 3, 4);
    }
    context.textAlign = "right";
    context.fillText(along.name, width - 4, 4);
    context = this.clear("down");
    context.font = "11px system-ui, sans-serif";
    context.fillStyle = "#a3b3c1";
    context.textBaseline = "middle";
    context.textAlign = "left";
    context.fillText(down.name, 2, 8);
    context.textAlign = "right";
    const right = this.canvases.down.width / this.ratio;
    for (const { pixel, text } of ticks(down, sight.top, Math.min(sight.bottom, view.height), view.sy)) {
      const { y } = view.toScreen({ x: 0, y: pixel });
      if (y < 20) continue;
      context.fillRect(right - 4, y, 4, 1);
      context.fillText(text, right - 7, y);
    }
  }
}
