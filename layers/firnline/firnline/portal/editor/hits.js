import { dense, rowAt } from "./geometry.js";

/** How far a place on the screen is from a line, in screen pixels; work that hardly grows with its vertices. */
export function distanceTo(line, at, view) {
  const { low, high } = dense(line);
  const pixel = view.toPixel(at);
  const reach = 40 / view.sy; // farther away than anybody means
  if (pixel.y < low - reach || pixel.y > high + reach) return Infinity;
  const { vertices } = line;
  const end = pixel.x < vertices[0].x ? vertices[0] : pixel.x > vertices[vertices.length - 1].x ? vertices[vertices.length - 1] : null;
  if (end) {
    const { x, y } = view.toScreen(end);
    return Math.hypot(x - at.x, y - at.y);
  }
  const step = 1 / view.sx;
  const slope = ((rowAt(vertices, pixel.x + step) - rowAt(vertices, pixel.x - step)) / 2) * view.sy; // screen pixels in one across
  return Math.abs((rowAt(vertices, pixel.x) - pixel.y) * view.sy) / Math.hypot(1, slope);
}

/** The vertex of a line nearest to a place on the screen and within `reach` of it: its index, or -1. */
export function vertexAt(line, at, view, reach) {
  const { x } = view.toPixel(at);
  let best = -1;
  let least = reach;
  line.vertices.forEach((v, index) => {
    if (Math.abs(v.x - x) * view.sx > reach) return;
    const on = view.toScreen(v);
    const distance = Math.hypot(on.x - at.x, on.y - at.y);
    if (distance <= least) [best, least] = [index, distance];
  });
  return best;
}

/** The line nearest to a place on the screen and within `reach` of it: its index, or -1. */
export function lineAt(lines, at, view, reach) {
  let best = -1;
  let least = reach;
  lines.forEach((line, index) => {
    const distance = distanceTo(line, at, view);
    if (distance <= least) [best, least] = [index, distance];
  });
  return best;
}
