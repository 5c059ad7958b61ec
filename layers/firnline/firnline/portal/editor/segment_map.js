// The map of a segment's track in the polar projection of its hemisphere, drawn of what the page gives: no tiles, no other host.
import { coastsOf, landIn, reaches } from "./coast.js";
import { ceilingTicks, element, niceStep, told } from "./segment_parts.js";

const MARGIN = 0.14;
const SMALLEST_KM = 1;
const GRID_STEPS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10];
const MERIDIAN_STEPS = [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30];
const ARC_POINTS = 48;
const INSET = 46;
const RIM_DEGREES = 55;
const REACH_PX = 40;
const LAND = { fill: "#1c2731", stroke: "#5f7383", "stroke-width": 0.8, "stroke-linejoin": "round", "pointer-events": "none" };

export function mapOf(svgMap, given, styles, point) {
  let scale = null;
  let marker = null;
  let drawn = [];
  const coasts = {};
  let [land, insetLand] = [null, null];

  const toPx = (x, y) => [scale.left + (x - scale.west) * scale.perKm, scale.top + (scale.north - y) * scale.perKm];

  function draw(frames, tickStep) {
    drawn = frames.filter((frame) => frame.shown && frame.shown.track);
    svgMap.replaceChildren();
    marker = null;
    const [width, height] = [svgMap.clientWidth, svgMap.clientHeight];
    if (!drawn.length || !width || !height) {
      svgMap.appendChild(element("text", { x: "50%", y: "50%", "text-anchor": "middle" }, "no positions known"));
      return;
    }
    const { projection } = drawn[0].shown.track;
    scale = scaleOf(drawn, width, height);
    drawLand(projection);
    drawGraticule(given.projections[projection], width, height);
    drawTrack(drawn, tickStep);
    drawScale(width, height, projection);
    drawInset(given.projections[projection], width, height);
    fillLand(projection);
    marker = svgMap.appendChild(element("g", { visibility: "hidden", "data-marker": "" }));
    marker.appendChild(element("circle", { r: 8, fill: "#0b0f14", "fill-opacity": 0.45, stroke: "#ffffff", "stroke-width": 2 }));
    marker.appendChild(element("circle", { r: 2, fill: "#ffffff" }));
  }

  /** Land lies below everything else, and comes later than the first frames do. */
  function drawLand(projection) {
    land = svgMap.appendChild(element("g", { "data-land": "" }));
    if (projection in coasts) return;
    coasts[projection] = null;
    fetch(given.projections[projection].coast)
      .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(`answer ${answer.status}`))))
      .then((file) => {
        coasts[projection] = coastsOf(file);
        fillLand(projection);
      })
      .catch((error) => {
        land.appendChild(element("text", { x: 12, y: 18, class: "title" }, `no coast: ${error.message}`));
      });
  }

  function fillLand(projection) {
    const known = coasts[projection];
    if (!known || !drawn.length || drawn[0].shown.track.projection !== projection) return;
    const { clientWidth: width, clientHeight: height } = svgMap;
    const [east, north] = [width / 2 / scale.perKm, height / 2 / scale.perKm];
    const [x, y] = scale.middle;
    const seen = { west: x - east, east: x + east, south: y - north, north: y + north };
    if (reaches(known, seen)) land.replaceChildren(element("path", { ...LAND, d: landIn(known, seen, toPx) }));
    const perKm = INSET / radiusAt(given.projections[projection], RIM_DEGREES);
    const rim = INSET / perKm;
    const all = landIn(known, { west: -rim, east: rim, south: -rim, north: rim }, (x, y) => [x * perKm, -y * perKm]);
    insetLand.replaceChildren(element("path", { fill: "#3a4b58", d: all }));
  }

  function drawTrack(shown, tickStep) {
    for (const frame of shown) {
      const { track, status } = frame.shown;
      const points = track.x.map((x, place) => toPx(x, track.y[place]).map((px) => px.toFixed(2)).join(" "));
      const link = svgMap.appendChild(element("a", { href: `${given.address}/${frame.frame}`, "data-track": frame.frame, tabindex: -1 }));
      link.appendChild(element("title", {}, `${frame.frame}: ${frame.state}`));
      const common = { d: `M${points.join("L")}`, fill: "none", "stroke-linecap": "round" };
      link.appendChild(element("path", { ...common, stroke: "transparent", "stroke-width": 14 }));
      link.appendChild(element("path", { ...common, stroke: "#0b0f14", "stroke-width": 6 }));
      link.appendChild(element("path", { ...common, stroke: status ? styles[status].colour : "#8a9aa8", "stroke-width": 3.5 }));
    }
    const first = shown[0].shown.track;
    const [x, y] = toPx(first.x[0], first.y[0]);
    svgMap.appendChild(element("circle", { cx: x, cy: y, r: 4.5, fill: "#0b0f14", stroke: "#ffffff", "stroke-width": 1.6 }));
    label(x, y, tickStep ? "0 km" : "start");
    if (tickStep) ticks(shown, tickStep);
  }

  function ticks(shown, tickStep) {
    const last = shown.at(-1);
    const total = last.from + last.length;
    const step = niceStep(Math.max(tickStep, total / 5));
    for (const at of ceilingTicks(step, total, step)) {
      const frame = shown.find((one) => at >= one.from && at <= one.from + one.length);
      if (!frame) continue;
      const { track } = frame.shown;
      const share = (at - frame.from) / frame.length;
      const nearest = track.at.reduce((best, one, place) => (Math.abs(one - share) < Math.abs(track.at[best] - share) ? place : best), 0);
      const [x, y] = toPx(track.x[nearest], track.y[nearest]);
      svgMap.appendChild(element("circle", { cx: x, cy: y, r: 3, fill: "#ffffff", "pointer-events": "none" }));
      label(x, y, `${told(at, step < 1 ? 1 : 0)}`);
    }
  }

  function label(x, y, said) {
    const halo = { stroke: "#0b0f14", "stroke-width": 4, "stroke-linejoin": "round", "paint-order": "stroke", "pointer-events": "none" };
    svgMap.appendChild(element("text", { x: x + 9, y: y - 7, ...halo }, said));
  }

  function drawGraticule(of, width, height) {
    const group = svgMap.appendChild(element("g", { fill: "none", stroke: "#41525f", "stroke-width": 1, "pointer-events": "none" }));
    const texts = svgMap.appendChild(element("g", { "pointer-events": "none", opacity: 0.75 }));
    const corners = [[0, 0], [width, 0], [0, height], [width, height]].map(([px, py]) => [
      scale.west + (px - scale.left) / scale.perKm,
      scale.north - (py - scale.top) / scale.perKm,
    ]);
    const poleInside = corners[0][0] < 0 && corners[3][0] > 0 && corners[3][1] < 0 && corners[0][1] > 0;
    const radii = corners.map(([x, y]) => Math.hypot(x, y));
    const nearest = poleInside ? 0 : nearestToPole(corners);
    const farthest = Math.max(...radii);
    const middle = Math.atan2(scale.middle[1], scale.middle[0]);
    const turns = corners.map(([x, y]) => turned(Math.atan2(y, x) - middle));
    const [first, last] = poleInside ? [-Math.PI, Math.PI] : [Math.min(...turns), Math.max(...turns)];
    const [equatorwards, polewards] = [degreesAt(of, farthest), poleInside ? 90 : degreesAt(of, nearest)];
    const step = GRID_STEPS.find((one) => (polewards - equatorwards) / one <= 7) || 10;
    for (const latitude of ceilingTicks(equatorwards, Math.min(polewards, 89.75), step)) {
      const radius = radiusAt(of, latitude);
      const points = Array.from({ length: ARC_POINTS + 1 }, (_, place) => {
        const angle = middle + first + ((last - first) * place) / ARC_POINTS;
        return toPx(radius * Math.cos(angle), radius * Math.sin(angle));
      });
      group.appendChild(element("path", { d: `M${points.map((one) => one.join(" ")).join("L")}` }));
      written(texts, points, width, height, `${told(latitude, step < 0.1 ? 2 : step < 1 ? 1 : 0)}° ${of.pole > 0 ? "N" : "S"}`, true);
    }
    const longitudeAt = (angle) => (of.pole > 0 ? of.straightDown + ((angle + Math.PI / 2) * 180) / Math.PI : 90 - (angle * 180) / Math.PI);
    const reached = [longitudeAt(middle + first), longitudeAt(middle + last)].sort((one, other) => one - other);
    const meridian = MERIDIAN_STEPS.find((one) => (reached[1] - reached[0]) / one <= 7) || 45;
    for (const longitude of ceilingTicks(reached[0], reached[1] - (poleInside ? meridian / 2 : 0), meridian)) {
      const angle = of.pole > 0 ? ((longitude - of.straightDown) * Math.PI) / 180 - Math.PI / 2 : Math.PI / 2 - (longitude * Math.PI) / 180;
      const points = Array.from({ length: ARC_POINTS + 1 }, (_, place) => {
        const radius = nearest + ((farthest - nearest) * place) / ARC_POINTS;
        return toPx(radius * Math.cos(angle), radius * Math.sin(angle));
      });
      group.appendChild(element("path", { d: `M${points[0].join(" ")}L${points.at(-1).join(" ")}` }));
      const east = ((((longitude + 180) % 360) + 360) % 360) - 180;
      const digits = meridian < 0.1 ? 2 : meridian < 1 ? 1 : 0;
      written(texts, points, width, height, `${told(Math.abs(east), digits)}° ${east < 0 ? "W" : "E"}`, false);
    }
  }

  function drawScale(width, height, projection) {
    const km = niceStep((width * 0.16) / scale.perKm);
    const long = km * scale.perKm;
    const [x, y] = [12, height - 14];
    const bar = svgMap.appendChild(element("g", { "pointer-events": "none", "data-scale": km }));
    bar.appendChild(element("rect", { x: x - 6, y: y - 24, width: Math.max(long, 112) + 14, height: 34, fill: "#0b0f14", "fill-opacity": 0.8, rx: 3 }));
    bar.appendChild(element("path", { d: `M${x} ${y - 5}V${y}H${x + long}V${y - 5}`, fill: "none", stroke: "#ffffff", "stroke-width": 1.5 }));
    bar.appendChild(element("text", { x, y: y - 9 }, `${told(km, km < 1 ? 1 : 0)} km · ${projection}`));
  }

  function drawInset(of, width, height) {
    const [x, y] = clearCorner(width, height);
    const rim = radiusAt(of, RIM_DEGREES);
    const group = svgMap.appendChild(element("g", { "pointer-events": "none", "data-inset": "" }));
    group.appendChild(element("circle", { cx: x, cy: y, r: INSET, fill: "#0b0f14", stroke: "#5f7080" }));
    group.appendChild(element("clipPath", { id: "inset" })).appendChild(element("circle", { r: INSET }));
    insetLand = group.appendChild(element("g", { transform: `translate(${x} ${y})`, "clip-path": "url(#inset)" }));
    for (const latitude of [60, 70, 80]) {
      group.appendChild(element("circle", { cx: x, cy: y, r: (INSET * radiusAt(of, latitude)) / rim, fill: "none", stroke: "#34444f" }));
    }
    for (let angle = 0; angle < 180; angle += 45) {
      const turn = ((angle - of.straightDown) * Math.PI) / 180;
      const [dx, dy] = [INSET * Math.sin(turn), INSET * Math.cos(turn)];
      group.appendChild(element("path", { d: `M${x - dx} ${y - dy}L${x + dx} ${y + dy}`, stroke: "#34444f" }));
    }
    const [px, py] = [(INSET * scale.middle[0]) / rim, (INSET * scale.middle[1]) / rim];
    group.appendChild(element("circle", { cx: x + px, cy: y - py, r: 3.5, fill: "#ff6f59", stroke: "#ffffff" }));
    group.appendChild(element("text", { x, y: y + INSET + 13, "text-anchor": "middle", class: "title" }, of.pole > 0 ? "Arctic" : "Antarctic"));
  }

  /** The middle of the inset in the corner that the track stays farthest from; the lower left one has the scale. */
  function clearCorner(width, height) {
    const away = INSET + 10;
    const corners = [[width - away, away], [width - away, height - away - 16], [away, away]];
    const points = drawn.flatMap(({ shown: { track } }) => track.x.map((x, place) => toPx(x, track.y[place])));
    const room = corners.map(([x, y]) => points.reduce((least, point) => Math.min(least, Math.hypot(point[0] - x, point[1] - y)), Infinity));
    return corners[room.indexOf(Math.max(...room))];
  }

  svgMap.addEventListener("pointermove", (event) => {
    if (!scale) return;
    const box = svgMap.getBoundingClientRect();
    const [px, py] = [event.clientX - box.left, event.clientY - box.top];
    let best = { away: REACH_PX };
    for (const frame of drawn) {
      const { track } = frame.shown;
      for (let place = 0; place < track.x.length; place += 1) {
        const [x, y] = toPx(track.x[place], track.y[place]);
        const away = Math.hypot(x - px, y - py);
        if (away < best.away) best = { away, frame, share: track.at[place] };
      }
    }
    if (best.frame) point(best.frame.number, best.share);
  });

  return {
    draw,
    point(place) {
      if (!marker) return;
      marker.setAttribute("visibility", place ? "visible" : "hidden");
      if (place) marker.setAttribute("transform", `translate(${toPx(place.x, place.y).join(" ")})`);
    },
  };
}

function scaleOf(drawn, width, height) {
  const bounds = (name) => {
    const values = drawn.flatMap((frame) => frame.shown.track[name]);
    return [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
  };
  const [west, east] = bounds("x");
  const [south, north] = bounds("y");
  const middle = [(west + east) / 2, (south + north) / 2];
  const room = 1 - 2 * MARGIN;
  const perKm = Math.min((width * room) / Math.max(east - west, SMALLEST_KM), (height * room) / Math.max(north - south, SMALLEST_KM));
  return { west: middle[0], north: middle[1], left: width / 2, top: height / 2, perKm, middle };
}

function radiusAt(of, latitude) {
  const next = Math.max(1, of.parallels.findIndex(([degrees]) => degrees >= latitude));
  const [[lower, wide], [upper, narrow]] = [of.parallels[next - 1], of.parallels[next]];
  return wide + ((latitude - lower) / (upper - lower)) * (narrow - wide);
}

function degreesAt(of, radius) {
  const next = of.parallels.findIndex(([, reached]) => reached <= radius);
  if (next < 0) return 90;
  if (next === 0) return of.parallels[0][0];
  const [[lower, wide], [upper, narrow]] = [of.parallels[next - 1], of.parallels[next]];
  return lower + ((wide - radius) / (wide - narrow)) * (upper - lower);
}

function nearestToPole(corners) {
  const [xs, ys] = [corners.map((one) => one[0]), corners.map((one) => one[1])];
  const x = Math.max(Math.min(...xs), Math.min(0, Math.max(...xs)));
  const y = Math.max(Math.min(...ys), Math.min(0, Math.max(...ys)));
  return Math.hypot(x, y);
}

function turned(angle) {
  return angle - 2 * Math.PI * Math.round(angle / (2 * Math.PI));
}

/** Write a line's name where it enters the map, at the left edge or at the upper one, unless another name is there. */
function written(texts, points, width, height, said, atLeft) {
  const inside = points.filter(([x, y]) => x >= 4 && x <= width - 64 && y >= 16 && y <= height - 44);
  if (!inside.length) return;
  const [x, y] = inside.reduce((best, one) => ((atLeft ? one[0] < best[0] : one[1] < best[1]) ? one : best));
  const there = [...texts.children].some((one) => Math.abs(one.getAttribute("x") - x) < 56 && Math.abs(one.getAttribute("y") - y) < 18);
  if (!there) texts.appendChild(element("text", { x: x + 3, y: y - 3, "font-size": 11 }, said));
}
