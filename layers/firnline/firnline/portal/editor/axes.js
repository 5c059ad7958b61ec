// What the edges of the echogram measure: traces or km along the track; samples, microseconds or metres of ice in depth.

const SPACING_PX = 70; // between labels, on the screen

/** Units in which an axis can be read, the first always known, with value = zero + pixel * scale. */
export function units(axes = {}) {
  const along = [{ name: "trace", zero: 0, scale: 1 }];
  if (axes?.trace_spacing_m) along.push({ name: "km", zero: 0, scale: axes.trace_spacing_m / 1000 });
  const down = [{ name: "sample", zero: 0, scale: 1 }];
  if (axes?.sample_interval_s) down.push({ name: "µs", zero: (axes.first_sample_s ?? 0) * 1e6, scale: axes.sample_interval_s * 1e6 });
  if (axes?.metres_per_sample) down.push({ name: "m", zero: 0, scale: axes.metres_per_sample });
  return { along, down };
}

/** A round step, 1, 2 or 5 times a power of ten, of at least that size. */
export function roundStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((n) => n * power).find((step) => step >= least * (1 - 1e-9));
}

/** Places of labels between two pixels of an axis, `scale` screen pixels each: [{pixel, text}]. */
export function ticks(unit, from, to, scale) {
  const step = roundStep((SPACING_PX / scale) * unit.scale);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const found = [];
  const low = unit.zero + Math.max(from, 0) * unit.scale;
  const high = unit.zero + to * unit.scale;
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + 1e-9; n++) {
    found.push({ pixel: (n * step - unit.zero) / unit.scale, text: (n * step).toFixed(digits) });
  }
  return found;
}
