// Live-wire (Mortensen & Barrett 1995) for layers: between two places the line follows the ridge of the echogram, by dynamic
// programming from trace to trace, since a layer has one row in each. The functions stand alone, so that a worker can be made of
// their text.

/** How strongly pixels lie on the crest of a bright reflection: the falling second derivative along a trace, at two widths,
 * of the echogram averaged over five traces. `bands` are {x, top} of columns of `rows` pixels; returns (columns, rows) Float32Array. */
export function ridge(grey, width, height, bands, rows) {
  const reach = 8;
  const tall = rows + 2 * reach;
  const kernels = [1.3, 2.6].map((sigma) => {
    const taps = [];
    for (let k = -reach; k <= reach; k++) taps.push((1 - (k * k) / (sigma * sigma)) * Math.exp((-k * k) / (2 * sigma * sigma)));
    const mean = taps.reduce((a, b) => a + b) / taps.length;
    const norm = Math.sqrt(taps.reduce((a, b) => a + (b - mean) ** 2, 0));
    return taps.map((tap) => (tap - mean) / norm);
  });
  const response = new Float32Array(bands.length * rows);
  const column = new Float32Array(tall);
  const across = [1, 2, 3, 2, 1];
  bands.forEach(({ x, top }, c) => {
    column.fill(0);
    for (let dx = -2; dx <= 2; dx++) {
      const at = Math.min(Math.max(x + dx, 0), width - 1);
      // Neighbouring traces are taken along the band, so that a steep layer is not smeared.
      const rise = bands[Math.min(Math.max(c + dx, 0), bands.length - 1)].top - top;
      for (let r = 0; r < tall; r++) {
        const y = Math.min(Math.max(top + rise + r - reach, 0), height - 1);
        column[r] += (across[dx + 2] / 9) * grey[y * width + at];
      }
    }
    for (let r = 0; r < rows; r++) {
      let best = 0;
      for (const kernel of kernels) {
        let sum = 0;
        for (let k = 0; k <= 2 * reach; k++) sum += kernel[k] * column[r + k];
        if (sum > best) best = sum;
      }
      response[c * rows + r] = best;
    }
  });
  return response;
}

/** Row of the peak between three neighbouring values, as an offset from the middle one, by a parabola. */
export function peakOffset(before, at, after) {
  const curve = before - 2 * at + after;
  return curve < 0 ? Math.min(Math.max((0.5 * (before - after)) / curve, -0.5), 0.5) : 0;
}

/** The way from a to b, a.x < b.x, along the ridge: [{x, y}] at every whole trace between them. */
export function ridgePath(grey, width, height, a, b) {
  const first = Math.ceil(a.x + 0.5);
  const last = Math.floor(b.x - 0.5);
  if (last < first) return [];
  const margin = Math.round(Math.min(Math.max((b.x - a.x) / 3, 12), 120));
  const rows = 2 * margin + 1;
  const chord = (x) => Math.round(a.y + ((b.y - a.y) * (x - a.x)) / (b.x - a.x));
  const bands = [];
  for (let x = first; x <= last; x++) bands.push({ x, top: chord(x) - margin });
  const response = ridge(grey, width, height, bands, rows);
  let mean = 0;
  for (const value of response) mean += value;
  mean = mean / response.length || 1;
  const steepest = 4; // rows a trace, beside the slope of the chord
  const bend = 0.12; // what a step of one row costs; a pixel without a ridge costs 1
  let sums = new Float64Array(rows + 2 * steepest).fill(Infinity); // padded, so that no step leads out of it
  const bends = Array.from({ length: 2 * steepest + 1 }, (_, k) => bend * Math.abs(k - steepest) ** 1.5);
  const from = new Int8Array(bands.length * rows);
  const cost = (c, r) => 1 / (1 + (response[c * rows + r] / mean) ** 1.5);
  const off = (r, y, top) => Math.abs(r + top - y);
  for (let r = 0; r < rows; r++) sums[r + steepest] = off(r, a.y, bands[0].top) > steepest + 1 ? Infinity : cost(0, r) + bend * off(r, a.y, bands[0].top);
  for (let c = 1; c < bands.length; c++) {
    const next = new Float64Array(rows + 2 * steepest).fill(Infinity);
    for (let r = 0; r < rows; r++) {
      let best = Infinity;
      let step = 0;
      for (let d = -steepest; d <= steepest; d++) {
        const sum = sums[r + d + steepest] + bends[d + steepest];
        if (sum < best) [best, step] = [sum, d];
      }
      next[r + steepest] = best + cost(c, r);
      from[c * rows + r] = step;
    }
    sums = next;
  }
  let r = 0;
  let least = Infinity;
  const end = bands[bands.length - 1].top;
  for (let k = 0; k < rows; k++) {
    const sum = sums[k + steepest] + (off(k, b.y, end) > steepest + 1 ? Infinity : bend * off(k, b.y, end));
    if (sum < least) [least, r] = [sum, k];
  }
  if (least === Infinity) return [];
  const path = [];
  for (let c = bands.length - 1; c >= 0; c--) {
    const at = c * rows + r;
    const shift = r > 0 && r < rows - 1 ? peakOffset(response[at - 1], response[at], response[at + 1]) : 0;
    path.push({ x: bands[c].x, y: Math.min(Math.max(bands[c].top + r + shift, 0), height - 1) });
    r += from[at];
  }
  return path.reverse();
}

/** The crest nearest to a place and within `reach` rows of it; the place itself where there is none. */
export function crest(grey, width, height, { x, y }, reach = 3) {
  const rows = 2 * reach + 3;
  const top = Math.round(y) - reach - 1;
  const response = ridge(grey, width, height, [{ x: Math.round(x), top }], rows);
  let best = -1;
  for (let r = 1; r < rows - 1; r++) {
    const isPeak = response[r] > 0 && response[r] >= response[r - 1] && response[r] >= response[r + 1];
    if (isPeak && Math.abs(top + r - y) <= reach && (best < 0 || response[r] > response[best])) best = r;
  }
  if (best < 0) return { x, y };
  return { x, y: Math.min(Math.max(top + best + peakOffset(response[best - 1], response[best], response[best + 1]), 0), height - 1) };
}
