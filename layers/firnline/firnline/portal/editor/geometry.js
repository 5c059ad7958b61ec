// Geometry: pure functions on lines {label, vertices: [{x, y}]}, x = trace, y = row, zero at the centre of the first pixel.
// A vertex with `set` was put there by a person.

export const CROSSING_TOLERANCE_PX = 0.5; // as firnline.geometry has it
export const MIN_STEP_PX = 0.1; // between the traces of neighbouring vertices
export const SIMPLIFIED_PX = 0.35; // by which a stroke or a traced line may stray when vertices are left out; as task_input.py has it
const APART_PX = 1; // between the rows of two lines that were parted
const PARTED_PX = 0.05; // by which a parted line may stray when vertices are left out
const KEPT_PX = 0.5; // within which a line counts as left where it was
const SHORTEST_PX = 0.5; // of a piece that is left when a part is erased

export const clamp = (value, low, high) => Math.min(Math.max(value, low), Math.max(low, high));
export const replaced = (list, index, ...items) => [...list.slice(0, index), ...items, ...list.slice(index + 1)];
export const firstOf = (line) => line.vertices[0];
export const lastOf = (line) => line.vertices[line.vertices.length - 1];

/** From left to right, one vertex a trace: of vertices at the same trace the one drawn last stays. */
export function alongTrack(vertices) {
  const sorted = [...vertices].sort((a, b) => a.x - b.x);
  return sorted.filter((v, i) => i === sorted.length - 1 || sorted[i + 1].x - v.x >= MIN_STEP_PX);
}

/** Put a stretch of new vertices in the place of those that a line has between their ends, or behind its end. */
export function mended(vertices, stretch) {
  const first = stretch[0].x;
  const last = stretch[stretch.length - 1].x;
  return alongTrack([...vertices.filter((v) => v.x < first - MIN_STEP_PX || v.x > last + MIN_STEP_PX), ...stretch]);
}

/** Row of a polyline at trace x, that of its nearest end outside it. */
export function rowAt(vertices, x) {
  let low = 0;
  let high = vertices.length - 1;
  if (x <= vertices[low].x) return vertices[low].y;
  if (x >= vertices[high].x) return vertices[high].y;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (vertices[middle].x <= x) low = middle;
    else high = middle;
  }
  const a = vertices[low];
  const b = vertices[high];
  return a.y + ((b.y - a.y) * (x - a.x)) / (b.x - a.x);
}

/** Whether a path that was drawn across, points in any direction, goes through a line. */
export function goesThrough(path, { vertices }) {
  const [left, right] = [vertices[0].x, vertices[vertices.length - 1].x];
  return path.slice(1).some((to, i) => {
    const from = path[i];
    const steps = Math.ceil(Math.abs(to.x - from.x)) || 1; // of a trace at most, in which no line turns
    let before = null;
    for (let k = 0; k <= steps; k++) {
      const x = from.x + ((to.x - from.x) * k) / steps;
      const above = x < left || x > right ? null : from.y + ((to.y - from.y) * k) / steps < rowAt(vertices, x);
      if (before !== null && above !== null && above !== before) return true;
      before = above;
    }
    return false;
  });
}

/** Rows of a line at every whole trace it spans: {start, rows}. */
export function sampled(vertices) {
  const start = Math.ceil(vertices[0].x - 0.5);
  const end = Math.floor(vertices[vertices.length - 1].x + 0.5);
  const rows = new Float64Array(Math.max(0, end - start + 1));
  let k = 0;
  for (let i = 0; i < rows.length; i++) {
    const x = clamp(start + i, vertices[0].x, vertices[vertices.length - 1].x);
    while (k < vertices.length - 2 && vertices[k + 1].x < x) k++;
    const a = vertices[k];
    const b = vertices[k + 1];
    rows[i] = a.y + ((b.y - a.y) * (x - a.x)) / (b.x - a.x);
  }
  return { start, rows };
}

const denseLines = new WeakMap();

/** `sampled` of a line, with its range of rows and its mean row; a line is never changed, so that it is computed once. */
export function dense(line) {
  let known = denseLines.get(line);
  if (!known) {
    const { start, rows } = sampled(line.vertices);
    let low = Infinity;
    let high = -Infinity;
    let sum = 0;
    for (const row of rows) {
      if (row < low) low = row;
      if (row > high) high = row;
      sum += row;
    }
    known = { start, rows, low, high, mean: rows.length ? sum / rows.length : line.vertices[0].y };
    denseLines.set(line, known);
  }
  return known;
}

/** Places in a polyline of those vertices between which it stays within `tolerance` rows; those that were set stay
 * (Ramer 1972; Douglas & Peucker 1973, with the distance taken along the rows). */
export function simplified(vertices, tolerance = SIMPLIFIED_PX) {
  const keep = vertices.map((v, i) => i === 0 || i === vertices.length - 1 || Boolean(v.set));
  const fixed = keep.flatMap((is, i) => (is ? [i] : []));
  const parts = fixed.slice(1).map((end, i) => [fixed[i], end]);
  while (parts.length) {
    const [first, last] = parts.pop();
    const a = vertices[first];
    const b = vertices[last];
    let worst = tolerance;
    let at = -1;
    for (let i = first + 1; i < last; i++) {
      const off = Math.abs(vertices[i].y - a.y - ((b.y - a.y) * (vertices[i].x - a.x)) / (b.x - a.x));
      if (off > worst) [worst, at] = [off, i];
    }
    if (at < 0) continue;
    keep[at] = true;
    parts.push([first, at], [at, last]);
  }
  return vertices.filter((_, i) => keep[i]);
}

// ---- order and crossing ----

/** Indices of lines from above to below. */
export const byDepth = (lines) => lines.map((_, i) => i).sort((a, b) => dense(lines[a]).mean - dense(lines[b]).mean);

/** Traces that two lines share, [start, end), and how far the second lies below the first there, summed. */
function sharedTraces(one, other) {
  const start = Math.max(one.start, other.start);
  const end = Math.min(one.start + one.rows.length, other.start + other.rows.length);
  let sum = 0;
  for (let x = start; x < end; x++) sum += other.rows[x - other.start] - one.rows[x - one.start];
  return { start, end, sum };
}

/** Places [{x, y}] where a pair of lines crosses by more than the tolerance. */
function crossingsOf(one, other) {
  if (one.high < other.low || other.high < one.low) return [];
  const { start, end, sum } = sharedTraces(one, other);
  const below = (x) => other.rows[x - other.start] - one.rows[x - one.start];
  const found = [];
  let side = 0;
  let lastZero = start;
  let worst = 0;
  let worstAt = -1;
  for (let x = start; x < end; x++) {
    const by = below(x);
    if (x > start && below(x - 1) !== 0 && by * below(x - 1) <= 0) lastZero = x;
    if (Math.abs(by) > CROSSING_TOLERANCE_PX) {
      if (side && Math.sign(by) !== side) found.push(lastZero);
      side = Math.sign(by);
    }
    if (by * (sum >= 0 ? 1 : -1) < worst) [worst, worstAt] = [by * (sum >= 0 ? 1 : -1), x];
  }
  if (!found.length && worst < -CROSSING_TOLERANCE_PX) found.push(worstAt);
  return found.map((x) => ({ x, y: one.rows[x - one.start] }));
}

const knownPairs = new WeakMap();

/** Every place where two lines cross: [{a, b, x, y}], a and b indices of lines. Only pairs with a new line are compared. */
export function crossings(lines) {
  const found = [];
  for (let a = 0; a < lines.length; a++) {
    for (let b = a + 1; b < lines.length; b++) {
      let known = knownPairs.get(lines[a]);
      if (!known) knownPairs.set(lines[a], (known = new WeakMap()));
      let places = known.get(lines[b]);
      if (!places) known.set(lines[b], (places = crossingsOf(dense(lines[a]), dense(lines[b]))));
      for (const { x, y } of places) found.push({ a, b, x, y });
    }
  }
  return found;
}

/** Two lines [one, other] that touch or cross, moved apart there by equal parts until they are `apart` rows from each other. */
export function parted(one, other, apart = APART_PX) {
  const { start, end, sum } = sharedTraces(dense(one), dense(other));
  if (end <= start) return [one, other];
  const [upper, lower] = sum >= 0 ? [one, other] : [other, one];
  const rows = [upper, lower].map((line) => dense(line).rows.slice(start - dense(line).start, end - dense(line).start));
  const close = rows[0].map((row, i) => (rows[1][i] - row < apart ? 1 : 0));
  const moved = rows.map((own, which) =>
    own.map((row, i) => (close[i] ? (rows[0][i] + rows[1][i]) / 2 + (which ? apart / 2 : -apart / 2) : row)),
  );
  const anew = [upper, lower].map((line, which) => {
    let { vertices } = line;
    for (let i = 0; i < close.length; i++) {
      if (!close[i]) continue;
      let to = i;
      while (to + 1 < close.length && close[to + 1]) to++;
      const stretch = [];
      for (let k = Math.max(0, i - 1); k <= Math.min(close.length - 1, to + 1); k++) stretch.push({ x: start + k, y: moved[which][k] });
      if (stretch.length > 1) vertices = mended(vertices, simplified(stretch, PARTED_PX));
      i = to;
    }
    return vertices === line.vertices ? line : { ...line, vertices };
  });
  return upper === one ? anew : [anew[1], anew[0]];
}

/** The other line that comes nearest to lines[index]: {index, apart} in rows, or null if none shares a trace with it. */
export function nearest(lines, index) {
  let best = null;
  const own = dense(lines[index]);
  lines.forEach((line, other) => {
    if (other === index) return;
    const its = dense(line);
    const { start, end } = sharedTraces(own, its);
    for (let x = start; x < end; x++) {
      const apart = Math.abs(its.rows[x - its.start] - own.rows[x - own.start]);
      if (!best || apart < best.apart) best = { index: other, apart };
    }
  });
  return best;
}

// ---- parts of lines ----

/** Where between a and b, from 0 to 1, a straight step is inside a box {left, right, top, bottom}: [enter, leave], or null
 * (Liang & Barsky 1984). */
function insideBox(a, b, box) {
  let enter = 0;
  let leave = 1;
  const bounds = [[a.x - b.x, a.x - box.left], [b.x - a.x, box.right - a.x], [a.y - b.y, a.y - box.top], [b.y - a.y, box.bottom - a.y]];
  for (const [rate, room] of bounds) {
    if (rate === 0 && room < 0) return null;
    if (rate < 0) enter = Math.max(enter, room / rate);
    if (rate > 0) leave = Math.min(leave, room / rate);
  }
  return enter < leave ? [enter, leave] : null;
}

export const touchesBox = (line, box) => line.vertices.some((v, i, all) => i > 0 && insideBox(all[i - 1], v, box));

/** The pieces of a polyline outside a box, from left to right. */
export function outsideBox(vertices, box) {
  const pieces = [];
  let piece = [vertices[0]];
  for (let i = 1; i < vertices.length; i++) {
    const a = vertices[i - 1];
    const b = vertices[i];
    const span = insideBox(a, b, box);
    const at = (t) => ({ x: a.x + t * (b.x - a.x), y: a.y + t * (b.y - a.y) });
    if (span) {
      if (span[0] > 0) piece.push(at(span[0]));
      pieces.push(piece);
      piece = span[1] < 1 ? [at(span[1])] : [];
    }
    if (!span || span[1] < 1) piece.push(b);
  }
  pieces.push(piece);
  return pieces.map(alongTrack).filter((all) => all.length > 1 && all[all.length - 1].x - all[0].x >= SHORTEST_PX);
}

/** The two parts of a polyline, before and behind trace x, half a trace apart; null where one of them would have no length. */
export function splitAt(vertices, x) {
  const parts = outsideBox(vertices, { left: x - 0.25, right: x + 0.25, top: -Infinity, bottom: Infinity });
  return parts.length === 2 ? parts : null;
}

/** Two polylines as one; `between` are the vertices in the gap. Where they overlap, the one that starts first goes on to its end. */
export function joined(one, other, between = []) {
  const [first, second] = one[0].x <= other[0].x ? [one, other] : [other, one];
  const end = first[first.length - 1].x;
  return alongTrack([...first, ...between, ...second.filter((v) => v.x > end + MIN_STEP_PX)]);
}

/** Share of the traces of a proposal on which some line still lies within half a pixel of it; 1 of an empty one. */
export function keptShare(proposal, lines) {
  let kept = 0;
  let all = 0;
  for (const line of proposal) {
    const { start, rows } = dense(line);
    const near = lines.map(dense).filter((d) => d.start < start + rows.length && d.start + d.rows.length > start);
    rows.forEach((row, i) => {
      all += 1;
      if (near.some((d) => Math.abs((d.rows[start + i - d.start] ?? Infinity) - row) <= KEPT_PX)) kept += 1;
    });
  }
  return all ? kept / all : 1;
}
