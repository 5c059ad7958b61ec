// Geometry: pure functions on lines {label, vertices: [{x, y}]}, x = trace, y = row, zero at the centre of the first pixel.

const CROSSING_TOLERANCE_PX = 0.5; // as firnline.geometry has it
export const MIN_STEP_PX = 0.1; // between the traces of neighbouring vertices

export const clamp = (value, low, high) => Math.min(Math.max(value, low), Math.max(low, high));
export const replaced = (list, index, ...items) => [...list.slice(0, index), ...items, ...list.slice(index + 1)];
export const withVertices = (lines, index, vertices) => replaced(lines, index, { ...lines[index], vertices });
export const meanRow = (line) => line.vertices.reduce((sum, v) => sum + v.y, 0) / line.vertices.length;

/** From left to right, one vertex a trace: of vertices at the same trace the one drawn last stays. */
export function alongTrack(vertices) {
  const sorted = [...vertices].sort((a, b) => a.x - b.x);
  return sorted.filter((v, i) => i === sorted.length - 1 || sorted[i + 1].x - v.x >= MIN_STEP_PX);
}

/** Put a stretch of new vertices in the place of those that a line has between their ends. */
export function mended(vertices, stretch) {
  const first = stretch[0].x;
  const last = stretch[stretch.length - 1].x;
  return alongTrack([...vertices.filter((v) => v.x < first - MIN_STEP_PX || v.x > last + MIN_STEP_PX), ...stretch]);
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

/** Every pair of lines that crosses: [{a, b, x, y}], with the trace and row where the upper one is furthest below the lower one. */
export function crossings(lines) {
  const dense = lines.map((line) => sampled(line.vertices));
  const found = [];
  for (let a = 0; a < lines.length; a++) {
    for (let b = a + 1; b < lines.length; b++) {
      const start = Math.max(dense[a].start, dense[b].start);
      const end = Math.min(dense[a].start + dense[a].rows.length, dense[b].start + dense[b].rows.length);
      let sum = 0;
      let low = { by: 0, x: -1 };
      let high = { by: 0, x: -1 };
      for (let x = start; x < end; x++) {
        const by = dense[b].rows[x - dense[b].start] - dense[a].rows[x - dense[a].start];
        sum += by;
        if (by < low.by) low = { by, x };
        if (by > high.by) high = { by, x };
      }
      const worst = sum >= 0 ? low : high;
      if (Math.abs(worst.by) > CROSSING_TOLERANCE_PX) {
        found.push({ a, b, x: worst.x, y: dense[a].rows[worst.x - dense[a].start] });
      }
    }
  }
  return found;
}
