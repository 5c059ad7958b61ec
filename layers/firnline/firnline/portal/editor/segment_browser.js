// A flight segment as one radargram: its frames side by side along the track, their layers, and the map of the track.
// Every frame is asked for by itself, a few at once, and everything is laid out anew when one has come.
import { mapOf } from "./segment_map.js";
import { ceilingTicks, element, niceStep, taking, told } from "./segment_parts.js";

const given = JSON.parse(document.body.dataset.given);
const find = (name) => document.querySelector(`[data-${name}]`);
const svg = find("radargram");
const scroller = find("scroller");
const times = find("times");

// Told apart with each of the three colour blindnesses (tests/unit/test_colours.py); the dashes tell it once more.
const STYLES = {
  reviewed: { colour: "#56b4e9", dash: "", said: "reviewed: a person's" },
  imported: { colour: "#a855f7", dash: "9 3 2 3", said: "imported: a person's, uploaded" },
  accepted: { colour: "#f0e442", dash: "7 4", said: "accepted: a model's, nobody looked at them" },
  unreviewed: { colour: "#ff6a2a", dash: "2 3.5", said: "unreviewed: a model's, not decided yet" },
};
// Lines of a narrow frame lie close together, and what they lie on is to be seen, too.
const NARROW_PX = 100;
const TOP = 34;
const BOTTOM = 40;
const TRIES = 3;
const AT_ONCE = 4;
const ZOOMS = [1, 2, 4, 8];

const frames = given.frames.map((frame, number) => ({ ...frame, number, shown: null, failed: "", x: 0, width: 0, size: 0 }));
const map = mapOf(find("map"), given, STYLES, (number, share) => pointAt(number, share));
let zoom = 1;
let view = null;
let planned = false;

// ------------------------------------------------------------------------------------------------ what is where

/** Positions along the segment in km, or in columns of the pictures where a frame tells no positions. */
function placed() {
  const known = frames.filter((frame) => frame.shown);
  const inKm = known.length > 0 && known.every((frame) => frame.shown.track);
  const length = (frame) => (inKm ? frame.shown.track.km.at(-1) / spread(frame) : frame.shown.columns);
  const usual = known.length ? known.reduce((sum, frame) => sum + length(frame), 0) / known.length : 1;
  let at = 0;
  let before = null;
  for (const frame of frames) {
    frame.gap = inKm && before && frame.shown ? gap(before, frame) : 0;
    at += frame.gap;
    frame.from = at;
    frame.length = frame.shown ? length(frame) : usual;
    at += frame.length;
    before = frame.shown ? frame : null;
  }
  const timed = known.length > 0 && known.every((frame) => frame.shown.top !== null);
  const upper = Math.min(...known.map((frame) => (timed ? frame.shown.top : 0)));
  const lower = Math.max(...known.map((frame) => (timed ? frame.shown.bottom : frame.shown.rows)));
  return { inKm, total: at || 1, timed, upper, lower };
}

/** The share of the picture between the first and the last known position. */
function spread(frame) {
  const { at } = frame.shown.track;
  return Math.max(at.at(-1) - at[0], 1e-6);
}

function gap(before, frame) {
  const [one, other] = [before.shown.track.ends[1], frame.shown.track.ends[0]];
  const edges = before.length * (1 - before.shown.track.at.at(-1)) + (frame.shown.track.km.at(-1) / spread(frame)) * frame.shown.track.at[0];
  const apart = Math.hypot(one[0] - other[0], one[1] - other[1], one[2] - other[2]) - edges;
  return apart > 0.05 ? apart : 0;
}

function plan() {
  if (planned) return;
  planned = true;
  requestAnimationFrame(() => {
    planned = false;
    lay();
  });
}

function lay() {
  const height = scroller.parentElement.clientHeight - scrollbar();
  const wide = Math.max(200, scroller.clientWidth) * zoom;
  const tall = Math.max(60, height - TOP - BOTTOM);
  view = { ...placed(), wide, tall, height };
  svg.setAttribute("width", wide);
  svg.setAttribute("height", height);
  times.setAttribute("height", height);
  const toX = (at) => (at / view.total) * wide;
  for (const frame of frames) {
    [frame.x, frame.width] = [toX(frame.from), toX(frame.length)];
    frame.top = frame.shown ? TOP + tall * share(view.timed ? frame.shown.top : 0) : TOP;
    frame.bottom = frame.shown ? TOP + tall * share(view.timed ? frame.shown.bottom : frame.shown.rows) : TOP + tall;
    drawFrame(frame);
  }
  drawAxes();
  fetchPictures();
  find("progress").textContent = progress();
}

function share(vertical) {
  return (vertical - view.upper) / (view.lower - view.upper || 1);
}

function scrollbar() {
  return zoom > 1 ? scroller.offsetHeight - scroller.clientHeight : 0;
}

function progress() {
  const here = frames.filter((frame) => frame.shown).length;
  const failed = frames.filter((frame) => frame.failed);
  const length = view.inKm ? `${told(view.total, 1)} km, ` : "";
  const said = `${length}${frames.length} ${frames.length === 1 ? "frame" : "frames"}`;
  if (failed.length) return `${said}, ${failed.length} of them not shown: ${failed[0].failed}`;
  return here < frames.length ? `reading frame ${here + 1} of ${frames.length}` : said;
}

// ------------------------------------------------------------------------------------------------ frames

function drawFrame(frame) {
  if (!frame.group) {
    const link = given.whole ? { href: `${given.address}/${frame.frame}` } : {};
    frame.group = element(given.whole ? "a" : "g", { ...link, class: "frame", "data-frame": frame.frame });
    frame.tip = frame.group.appendChild(element("title"));
    frame.strip = frame.group.appendChild(element("rect", { y: TOP - 9, height: 6, rx: 1 }));
    frame.name = frame.group.appendChild(element("text", { y: TOP - 15 }));
    frame.bare = frame.group.appendChild(element("rect", { fill: "#1b2530" }));
    frame.image = frame.group.appendChild(element("image", { preserveAspectRatio: "none" }));
    frame.lines = frame.group.appendChild(element("g"));
    frame.edge = frame.group.appendChild(element("rect", { class: "edge", fill: "none", stroke: "#dfe7ee", "stroke-opacity": 0.16 }));
    frame.hole = svg.appendChild(element("rect", { fill: "url(#hole)", "pointer-events": "none" }));
    frame.hole.appendChild(element("title", {}, "no frame"));
    svg.appendChild(frame.group);
  }
  const whose = frame.shown ? frame.shown.status : frame.status;
  frame.tip.textContent = `${frame.frame}: ${frame.state}${frame.failed ? `, ${frame.failed}` : ""}`;
  const box = { x: frame.x, y: frame.top, width: Math.max(frame.width, 0.5), height: Math.max(frame.bottom - frame.top, 1) };
  for (const part of [frame.bare, frame.image, frame.edge]) set(part, box);
  set(frame.strip, { x: frame.x + 0.5, width: Math.max(frame.width - 1, 0.5), fill: whose ? STYLES[whose].colour : "#5f7080" });
  const hole = (frame.gap / view.total) * view.wide;
  set(frame.hole, { x: frame.x - hole, y: TOP, width: hole, height: view.tall, "data-hole": hole > 0 ? "" : "none" });
  frame.lines.setAttribute("transform", `translate(${frame.x} ${frame.top}) scale(${box.width} ${box.height})`);
  frame.lines.setAttribute("class", frame.width < NARROW_PX ? "narrow" : "");
  if (frame.shown && !frame.drawn) drawLines(frame);
}

function drawLines(frame) {
  frame.drawn = true;
  const style = STYLES[frame.shown.status];
  if (!style) return;
  const lines = frame.shown.lines || [];
  for (const main of [false, true]) {
    const path = lines
      .filter((line) => (line.label !== "layer") === main)
      .map((line) => `M${line.at.map(([x, y]) => `${x} ${y}`).join("L")}`)
      .join("");
    if (!path) continue;
    const common = { d: path, fill: "none", "vector-effect": "non-scaling-stroke", "data-lines": frame.shown.status };
    const weight = main ? "main" : "fine";
    frame.lines.appendChild(element("path", { ...common, class: `halo ${weight}`, stroke: "#05080b" }));
    frame.lines.appendChild(element("path", { ...common, class: weight, stroke: style.colour, "stroke-dasharray": style.dash || "none" }));
  }
  hideLines();
}

/** Names of frames mostly begin with the segment's, which stands above. */
function shared() {
  const first = frames[0].frame;
  const end = first.lastIndexOf("_") + 1;
  return frames.length > 1 && frames.every((frame) => frame.frame.startsWith(first.slice(0, end)) && frame.frame.length > end) ? end : 0;
}

function nameFrames() {
  const common = shared();
  let free = 0;
  for (const frame of frames) {
    const name = given.whole ? frame.frame.slice(common) : frame.frame;
    const room = 7.2 * name.length + 10;
    const shown = frame.x >= free && frame.x + room - 10 <= view.wide;
    frame.name.textContent = shown ? name : "";
    set(frame.name, { x: frame.x + 1 });
    if (shown) free = frame.x + room;
  }
}

// ------------------------------------------------------------------------------------------------ axes

const hatched = svg.appendChild(element("defs")).appendChild(element("pattern", { id: "hole", width: 8, height: 8, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }));
hatched.appendChild(element("rect", { width: 1, height: 8, fill: "#2a3742" }));
const overlay = svg.appendChild(element("g", { "pointer-events": "none" }));
const cross = element("g", { "pointer-events": "none", visibility: "hidden" });
const crossLine = cross.appendChild(element("line", { stroke: "#ffffff", "stroke-opacity": 0.85, "stroke-width": 1 }));
const crossDot = cross.appendChild(element("circle", { r: 4, fill: "none", stroke: "#ffffff", "stroke-width": 1.5 }));

function drawAxes() {
  overlay.replaceChildren();
  times.replaceChildren();
  if (!frames.some((frame) => frame.shown)) return;
  nameFrames();
  const floor = TOP + view.tall;
  const step = niceStep(view.total / (view.wide / 110));
  for (const at of ceilingTicks(0, view.total, step)) {
    const x = (at / view.total) * view.wide;
    overlay.appendChild(element("line", { x1: x, x2: x, y1: floor, y2: floor + 5, stroke: "#93a4b3" }));
    const anchor = x < 12 ? "start" : x > view.wide - 24 ? "end" : "middle";
    overlay.appendChild(element("text", { x, y: floor + 18, "text-anchor": anchor }, told(at, step < 1 ? 2 : 0)));
  }
  const name = view.inKm ? "distance along the track, km" : "columns of the pictures, which tell no positions";
  const shownWidth = scroller.clientWidth;
  overlay.appendChild(element("text", { x: scroller.scrollLeft + shownWidth / 2, y: floor + 34, "text-anchor": "middle", class: "title", "data-axis": "" }, name));
  const vertical = niceStep((view.lower - view.upper) / (view.tall / 45));
  for (const at of ceilingTicks(view.upper, view.lower, vertical)) {
    const y = TOP + view.tall * share(at);
    times.appendChild(element("line", { x1: 56, x2: 62, y1: y, y2: y, stroke: "#93a4b3" }));
    times.appendChild(element("text", { x: 52, y: y + 4, "text-anchor": "end" }, told(at, decimals(vertical))));
  }
  const middle = TOP + view.tall / 2;
  const said = view.timed ? "two-way time, µs" : "row of the picture";
  times.appendChild(element("text", { x: 13, y: middle, "text-anchor": "middle", class: "title", transform: `rotate(-90 13 ${middle})` }, said));
  set(crossLine, { y1: TOP - 10, y2: floor });
  svg.append(overlay, cross);
  map.draw(frames, view.inKm ? step : 0);
}

function decimals(step) {
  return Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
}

// ------------------------------------------------------------------------------------------------ pointing

svg.addEventListener("pointermove", (event) => {
  const box = svg.getBoundingClientRect();
  const x = event.clientX - box.left;
  const frame = frames.find((one) => x >= one.x && x < one.x + one.width);
  if (!frame || !view) return unpoint();
  pointAt(frame.number, (x - frame.x) / frame.width, event.clientY - box.top);
});
svg.addEventListener("pointerleave", unpoint);
find("map").addEventListener("pointerleave", unpoint);

function unpoint() {
  cross.setAttribute("visibility", "hidden");
  map.point(null);
  read([["Place", `Point at the radargram or at the track.${given.whole ? " A click opens the frame." : ""}`]]);
}

/** Show the same place on the radargram, on the map and in words. */
function pointAt(number, at, y = null) {
  const frame = frames[number];
  const x = frame.x + at * frame.width;
  set(crossLine, { x1: x, x2: x });
  set(crossDot, { cx: x, cy: y ?? -10 });
  cross.setAttribute("visibility", "visible");
  const place = frame.shown && frame.shown.track ? along(frame.shown.track, at) : null;
  map.point(place);
  const style = STYLES[frame.shown ? frame.shown.status : frame.status];
  const rows = [["Frame", frame.frame], ["State", frame.state]];
  if (style) rows.push(["Lines", `${frame.shown && frame.shown.lines ? `${frame.shown.lines.length}, ` : ""}${frame.shown ? frame.shown.status : frame.status}`]);
  if (frame.confidence !== null) rows.push(["Confidence", `${Math.round(100 * frame.confidence)}%`]);
  if (view.inKm) rows.push(["Along track", `${told(frame.from + at * frame.length, 2)} km`]);
  if (place) rows.push(["Position", `${degrees(place.latitude, "N", "S")}  ${degrees(place.longitude, "E", "W")}`]);
  if (y !== null && frame.shown && y >= TOP && y <= TOP + view.tall) {
    const vertical = view.upper + ((y - TOP) / view.tall) * (view.lower - view.upper);
    rows.push(view.timed ? ["Two-way time", `${told(vertical, 3)} µs`] : ["Row", told(vertical, 0)]);
  }
  read(rows);
}

function along(track, at) {
  let next = track.at.findIndex((one) => one >= at);
  if (next < 0) next = track.at.length - 1;
  const last = Math.max(next - 1, 0);
  const part = next === last ? 0 : Math.min(1, Math.max(0, (at - track.at[last]) / (track.at[next] - track.at[last])));
  const between = (values) => values[last] + part * (values[next] - values[last]);
  const turned = Math.abs(track.longitude[next] - track.longitude[last]) > 180;
  return {
    x: between(track.x),
    y: between(track.y),
    latitude: between(track.latitude),
    longitude: turned ? track.longitude[last] : between(track.longitude),
  };
}

function degrees(value, positive, negative) {
  return `${Math.abs(value).toFixed(4)}° ${value >= 0 ? positive : negative}`;
}

function read(rows) {
  find("reading").replaceChildren(
    ...rows.flatMap(([name, value]) => {
      const [term, description] = [document.createElement("dt"), document.createElement("dd")];
      [term.textContent, description.textContent] = [name, value];
      return [term, description];
    }),
  );
}

// ------------------------------------------------------------------------------------------------ what is fetched

const take = taking(AT_ONCE, TRIES);

function fetchFrames() {
  for (const frame of frames) {
    take(async () => {
      const answer = await fetch(`${given.address}/${frame.frame}/shown`);
      if (!answer.ok) throw new Error(answer.status === 401 ? "you are signed out; reload the page" : `answer ${answer.status}`, { cause: answer.status });
      frame.shown = await answer.json();
      plan();
    }).catch((error) => {
      frame.failed = error.message;
      plan();
    });
  }
}

/** Ask for the pictures that are in sight, as large as they are seen, once the frames before them are known. */
function fetchPictures() {
  if (frames.some((frame) => !frame.shown && !frame.failed)) return;
  const sizes = Object.entries(given.pictures).filter(([, [columns]]) => !given.whole || columns <= 512);
  const [from, to] = [scroller.scrollLeft - 200, scroller.scrollLeft + scroller.clientWidth + 200];
  for (const frame of frames) {
    if (!frame.shown || frame.x > to || frame.x + frame.width < from) continue;
    const wanted = Math.min(frame.width * devicePixelRatio, frame.shown.columns);
    const [name, [columns]] = sizes.find(([, [columns]]) => columns >= wanted) || sizes.at(-1);
    if (columns <= frame.size) continue;
    frame.size = columns;
    const address = `${given.address}/${frame.frame}/picture/${frame.revision}/${name}`;
    take(async () => {
      const picture = new Image();
      picture.src = address;
      await picture.decode();
      frame.image.setAttribute("href", address);
      frame.group.dataset.pictured = name;
    }).catch(() => {
      frame.tip.textContent = `${frame.frame}: its picture did not come; reload the page`;
    });
  }
}

// ------------------------------------------------------------------------------------------------ legend and zoom

const hidden = new Set();

function drawLegend() {
  const used = new Set(frames.map((frame) => frame.status));
  for (const [status, style] of Object.entries(STYLES)) {
    if (!used.has(status)) continue;
    const label = document.createElement("label");
    const box = label.appendChild(document.createElement("input"));
    Object.assign(box, { type: "checkbox", checked: true });
    box.addEventListener("change", () => {
      hidden[box.checked ? "delete" : "add"](status);
      hideLines();
    });
    const sample = label.appendChild(element("svg", { viewBox: "0 0 46 12" }));
    sample.appendChild(element("rect", { width: 46, height: 12, fill: "#4a5560", rx: 2 }));
    sample.appendChild(element("line", { x1: 3, x2: 43, y1: 6, y2: 6, stroke: style.colour, "stroke-width": 2.2, "stroke-dasharray": style.dash || "none" }));
    label.append(style.said);
    label.dataset.legendOf = status;
    find("legend").append(label);
  }
}

function hideLines() {
  for (const path of svg.querySelectorAll("[data-lines]")) path.style.display = hidden.has(path.dataset.lines) ? "none" : "";
}

function drawZoom() {
  for (const times of ZOOMS) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = times === 1 ? "whole" : `${times} ×`;
    button.setAttribute("aria-pressed", times === zoom);
    button.addEventListener("click", () => {
      const middle = (scroller.scrollLeft + scroller.clientWidth / 2) / view.wide;
      zoom = times;
      for (const other of find("zoom").children) other.setAttribute("aria-pressed", other === button);
      lay();
      scroller.scrollLeft = middle * view.wide - scroller.clientWidth / 2;
    });
    find("zoom").append(button);
  }
}

function set(target, attributes) {
  for (const [name, value] of Object.entries(attributes)) target.setAttribute(name, value);
}

scroller.addEventListener("scroll", () => {
  const title = svg.querySelector("[data-axis]");
  if (title) title.setAttribute("x", scroller.scrollLeft + scroller.clientWidth / 2);
  fetchPictures();
});
for (const seen of [scroller, find("map").parentElement]) new ResizeObserver(plan).observe(seen);
drawLegend();
drawZoom();
unpoint();
fetchFrames();
