// Coasts of the polar maps: closed rings in km of the projection, as `firnline.portal.coastline` keeps them.

const LEAST_PX = 0.7;

/** The rings of the page's file, where each corner is counted from the one before, with the box of each. */
export function coastsOf(file) {
  const rings = file.rings.map((steps) => {
    const ring = { x: [], y: [], west: Infinity, east: -Infinity, south: Infinity, north: -Infinity };
    let [x, y] = [0, 0];
    for (let place = 0; place < steps.length; place += 2) {
      x += steps[place] * file.unit_km;
      y += steps[place + 1] * file.unit_km;
      ring.x.push(x);
      ring.y.push(y);
      [ring.west, ring.east] = [Math.min(ring.west, x), Math.max(ring.east, x)];
      [ring.south, ring.north] = [Math.min(ring.south, y), Math.max(ring.north, y)];
    }
    return ring;
  });
  return { rings, reach: file.reach_km };
}

export function reaches(coasts, { west, east, south, north }) {
  return Math.hypot(Math.max(-west, east), Math.max(-south, north)) <= coasts.reach;
}

/** An SVG path of the land in a box of km. Corners that lie on the same pixel go. */
export function landIn(coasts, { west, east, south, north }, toPx) {
  const seen = coasts.rings.filter((ring) => ring.east > west && ring.west < east && ring.north > south && ring.south < north);
  return seen.map((ring) => outline(ring, toPx)).join("");
}

function outline(ring, toPx) {
  const points = [];
  let before = [Infinity, Infinity];
  for (let place = 0; place < ring.x.length; place += 1) {
    const [px, py] = toPx(ring.x[place], ring.y[place]);
    if (Math.abs(px - before[0]) + Math.abs(py - before[1]) < LEAST_PX) continue;
    before = [px, py];
    points.push(`${px.toFixed(1)} ${py.toFixed(1)}`);
  }
  return points.length > 2 ? `M${points.join("L")}Z` : "";
}
