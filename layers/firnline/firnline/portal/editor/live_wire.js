// Live-wire (Mortensen & Barrett 1995) for layers: between two places the line follows the echogram, by dynamic programming from trace
// to trace, since a layer has one row in each. It follows the crest of a bright reflection, and what looks along a trace as it does
// at the two places, as seismic autotrackers do: so a line that is put on the flank of an echo stays there. Layers were laid down one
// upon the other: where lines are drawn already, it runs between them as they run, and not onto them. The functions stand alone, so
// that a worker can be made of their text.

/** The echogram in bands {x, top} of `tall` rows each, averaged over five traces: (bands, tall) Float32Array. */
export function bandsOf(grey, width, height, bands, tall) {
  const columns = new Float32Array(bands.length * tall);
  const weights = [1 / 9, 2 / 9, 3 / 9, 2 / 9, 1 / 9];
  bands.forEach(({ x, top }, c) => {
    for (let dx = -2; dx <= 2; dx++) {
      const at = Math.min(Math.max(x + dx, 0), width - 1);
      // Neighbouring traces are taken along the band, so that a steep layer is not smeared.
      const first = bands[Math.min(Math.max(c + dx, 0), bands.length - 1)].top;
      const weight = weights[dx + 2];
      for (let r = 0; r < tall; r++) columns[c * tall + r] += weight * grey[Math.min(Math.max(first + r, 0), height - 1) * width + at];
    }
  });
  return columns;
}

/** How strongly pixels of one column lie on a crest: the falling second derivative, at two widths; leaves out `reach` rows at each end. */
export function crestsOf(column, reach) {
  const kernels = [1.3, 2.6].map((sigma) => {
    const taps = [];
    for (let k = -reach; k <= reach; k++) taps.push((1 - (k * k) / (sigma * sigma)) * Math.exp((-k * k) / (2 * sigma * sigma)));
    const mean = taps.reduce((a, b) => a + b) / taps.length;
    const norm = Math.sqrt(taps.reduce((a, b) => a + (b - mean) ** 2, 0));
    return taps.map((tap) => (tap - mean) / norm);
  });
  const found = new Float32Array(column.length - 2 * reach);
  for (let r = 0; r < found.length; r++) {
    for (const kernel of kernels) {
      let sum = 0;
      for (let k = 0; k <= 2 * reach; k++) sum += kernel[k] * column[r + k];
      if (sum > found[r]) found[r] = sum;
    }
  }
  return found;
}

/** Correlation, where it is positive, of a profile of 2 reach + 1 rows with a column around each of its rows but the outermost. */
export function likenessOf(column, profile, reach) {
  const size = 2 * reach + 1;
  const found = new Float32Array(column.length - 2 * reach);
  const level = profile.reduce((a, b) => a + b) / size;
  const taps = profile.map((value) => value - level);
  const norm = Math.sqrt(taps.reduce((a, b) => a + b * b, 0)) || 1;
  for (let r = 0; r < found.length; r++) {
    let [sum, squares, product] = [0, 0, 0];
    for (let k = 0; k < size; k++) {
      const value = column[r + k];
      sum += value;
      squares += value * value;
      product += value * taps[k];
    }
    const spread = Math.sqrt(Math.max(squares - (sum * sum) / size, 1e-6));
    found[r] = Math.max(0, product / (spread * norm));
  }
  return found;
}

/** Row of the peak between three neighbouring values, as an offset from the middle one, by a parabola. */
export function peakOffset(before, at, after) {
  const curve = before - 2 * at + after;
  return curve < 0 ? Math.min(Math.max((0.5 * (before - after)) / curve, -0.5), 0.5) : 0;
}

/** How well pixels of bands of `rows` rows suit a line from a to b, from 0 to 1: (bands, rows) Float32Array. */
export function fitness(grey, width, height, bands, rows, a, b) {
  const reach = 8;
  const tall = rows + 2 * reach;
  const columns = bandsOf(grey, width, height, bands.map(({ x, top }) => ({ x, top: top - reach })), tall);
  const profileAt = ({ x, y }) => bandsOf(grey, width, height, [{ x: Math.round(x), top: Math.round(y) - reach }], 2 * reach + 1);
  const profiles = [a, b].map(profileAt);
  const crests = new Float32Array(bands.length * rows);
  const alike = new Float32Array(bands.length * rows);
  bands.forEach(({ x }, c) => {
    const column = columns.subarray(c * tall, (c + 1) * tall);
    crests.set(crestsOf(column, reach), c * rows);
    // What it looks like goes over from the one place to the other.
    const t = (x - a.x) / (b.x - a.x);
    alike.set(likenessOf(column, profiles[0].map((value, k) => (1 - t) * value + t * profiles[1][k]), reach), c * rows);
  });
  const mean = crests.reduce((x, y) => x + y, 0) / crests.length || 1;
  return crests.map((crest, i) => 0.35 * (1 - 1 / (1 + (crest / mean) ** 1.5)) + 0.65 * alike[i] ** 2);
}

/** By how many rows a layer at a row goes down from one trace to another: as the nearest line above and the nearest below do, the
 * nearer the more, and as `chord` says where none is near. */
export function fallOf(beside, from, to, row, chord) {
  const reach = 160; // rows in which a line tells of the layers beside it
  let above = null;
  let below = null;
  for (const { start, rows } of beside) {
    const at = rows[from - start];
    const fall = rows[to - start] - at;
    if (Number.isNaN(fall)) continue; // outside the line both are undefined
    const apart = Math.abs(at - row);
    if (at <= row && !(above?.apart <= apart)) above = { apart, fall };
    if (at > row && !(below?.apart <= apart)) below = { apart, fall };
  }
  const share = above && below ? below.apart / (above.apart + below.apart) : above ? 1 : 0; // of the line above
  const trust = (line, part) => (line ? part * Math.max(0, 1 - line.apart / reach) : 0);
  const [up, down] = [trust(above, share), trust(below, 1 - share)];
  return (up && up * above.fall) + (down && down * below.fall) + (1 - up - down) * chord;
}

/** Rows at the whole traces from `first` to `last` of a layer from a to b that runs as the lines beside it do. */
export function guideOf(beside, a, b, first, last) {
  const chord = (b.y - a.y) / (b.x - a.x);
  const guide = new Float64Array(last - first + 1);
  const share = (x) => (x - a.x) / (b.x - a.x);
  for (let x = first, row = a.y; x <= last; x++) {
    row += fallOf(beside, x - 1, x, row, chord);
    guide[x - first] = (1 - share(x)) * row;
  }
  for (let x = last, row = b.y; x >= first; x--) {
    row += fallOf(beside, x + 1, x, row, -chord);
    guide[x - first] += share(x) * row;
  }
  return guide;
}

/** How well pixels of bands of `rows` rows suit a line among others: less well on those, and far from the middle of the bands. */
export function amongLines(suits, bands, rows, beside) {
  const own = 1.5; // rows to each side that belong to a line
  const taken = 0.5;
  const astray = 0.01; // for each row
  const farthest = 30; // rows; what lies farther off costs no more
  const found = suits.slice();
  bands.forEach(({ x, top }, c) => {
    for (let r = 0; r < rows; r++) found[c * rows + r] -= astray * Math.min(Math.abs(r - (rows - 1) / 2), farthest);
    for (const line of beside) {
      const row = line.rows[x - line.start];
      for (let r = Math.max(0, Math.ceil(row - own - top)); r <= Math.min(rows - 1, row + own - top); r++) found[c * rows + r] -= taken;
    }
  });
  return found;
}

/** The way from a to b, a.x < b.x, that suits best: [{x, y}] at every whole trace between them. `beside` are the other lines that are
 * drawn, [{start, rows}] at whole traces. */
export function ridgePath(grey, width, height, a, b, beside = []) {
  const first = Math.ceil(a.x + 0.5);
  const last = Math.floor(b.x - 0.5);
  if (last < first) return [];
  const margin = Math.round(Math.min(Math.max((b.x - a.x) / 3, 12), 120));
  const rows = 2 * margin + 1;
  const guide = guideOf(beside, a, b, first, last);
  const bands = [];
  for (let x = first; x <= last; x++) bands.push({ x, top: Math.round(guide[x - first]) - margin });
  const alone = fitness(grey, width, height, bands, rows, a, b);
  const suits = beside.length ? amongLines(alone, bands, rows, beside) : alone;
  const steepest = 4; // rows a trace, beside the slope of the chord
  const bend = 0.12; // what a step of one row costs; a pixel that does not suit at all costs 1
  const bends = Array.from({ length: 2 * steepest + 1 }, (_, k) => bend * Math.abs(k - steepest) ** 1.5);
  let sums = new Float64Array(rows + 2 * steepest).fill(Infinity); // padded, so that no step leads out of it
  const from = new Int8Array(bands.length * rows);
  const off = (r, y, top) => Math.abs(r + top - y);
  const ends = (r, y, top) => (off(r, y, top) > steepest + 1 ? Infinity : bend * off(r, y, top));
  for (let r = 0; r < rows; r++) sums[r + steepest] = 1 - suits[r] + ends(r, a.y, bands[0].top);
  for (let c = 1; c < bands.length; c++) {
    const next = new Float64Array(rows + 2 * steepest).fill(Infinity);
    for (let r = 0; r < rows; r++) {
      let best = Infinity;
      let step = 0;
      for (let d = -steepest; d <= steepest; d++) {
        const sum = sums[r + d + steepest] + bends[d + steepest];
        if (sum < best) [best, step] = [sum, d];
      }
      next[r + steepest] = best + 1 - suits[c * rows + r];
      from[c * rows + r] = step;
    }
    sums = next;
  }
  let r = 0;
  let least = Infinity;
  const end = bands[bands.length - 1].top;
  for (let k = 0; k < rows; k++) {
    const sum = sums[k + steepest] + ends(k, b.y, end);
    if (sum < least) [least, r] = [sum, k];
  }
  if (least === Infinity) return [];
  const path = [];
  for (let c = bands.length - 1; c >= 0; c--) {
    const at = c * rows + r;
    const shift = r > 0 && r < rows - 1 ? peakOffset(alone[at - 1], alone[at], alone[at + 1]) : 0;
    path.push({ x: bands[c].x, y: Math.min(Math.max(bands[c].top + r + shift, 0), height - 1) });
    r += from[at];
  }
  return path.reverse();
}

/** The crest nearest to a place and within `within` rows of it; the place itself where there is none. */
export function crest(grey, width, height, { x, y }, within = 3) {
  const reach = 8;
  const rows = 2 * within + 3;
  const top = Math.round(y) - within - 1;
  const found = crestsOf(bandsOf(grey, width, height, [{ x: Math.round(x), top: top - reach }], rows + 2 * reach), reach);
  let best = -1;
  for (let r = 1; r < rows - 1; r++) {
    const isPeak = found[r] > 0 && found[r] >= found[r - 1] && found[r] >= found[r + 1];
    if (isPeak && Math.abs(top + r - y) <= within && (best < 0 || found[r] > found[best])) best = r;
  }
  if (best < 0) return { x, y };
  return { x, y: Math.min(Math.max(top + best + peakOffset(found[best - 1], found[best], found[best + 1]), 0), height - 1) };
}
