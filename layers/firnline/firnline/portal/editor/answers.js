// What several people drew of one frame, for the arbiter who decides between them: pure functions on lines {label, vertices}.
import { byDepth, dense } from "./geometry.js";

const WITHIN_PX = 2; // these four as firnline.review.agreement has them
const AGREED_SHARE = 0.8;
const SETTLED_SHARE = 0.8;
const SHARED_SHARE = 0.5;
const ALIKE_SHARE = 0.5; // of the traces that two lines share, those within WITHIN_PX, from which on one takes the other's place
const NEAR_PX = 30; // rows between lines of different people that may be meant as one layer
const BRIDGED = 8; // traces of agreement between two stretches of difference that are shown as one

/** Names under which answers are shown: where two have the same, each has its number with it. */
export function namesOf(answers) {
  return answers.map(({ name }, i) => (answers.every((other, k) => k === i || other.name !== name) ? name : `${name} ${i + 1}`));
}

/** Of two lines: traces that both have, how many of them lie within WITHIN_PX, how far apart they are on average, and the share of
 * the shorter one that the other has. */
function overlap(one, other) {
  const [a, b] = [dense(one), dense(other)];
  const start = Math.max(a.start, b.start);
  const end = Math.min(a.start + a.rows.length, b.start + b.rows.length);
  const found = { shared: Math.max(0, end - start), within: 0, apart: Infinity, of: 0 };
  if (!found.shared || a.low > b.high + NEAR_PX || b.low > a.high + NEAR_PX) return found;
  let sum = 0;
  for (let x = start; x < end; x++) {
    const off = Math.abs(a.rows[x - a.start] - b.rows[x - b.start]);
    sum += off;
    if (off <= WITHIN_PX) found.within += 1;
  }
  found.apart = sum / found.shared;
  found.of = found.shared / Math.min(a.rows.length, b.rows.length);
  return found;
}

const closer = (one, other, share) => {
  const { shared, within, of } = overlap(one, other);
  return of >= SHARED_SHARE && within >= share * shared;
};

/** Whether two lines are one layer, as the answers are compared. */
export const agree = (one, other) => one.label === other.label && closer(one, other, AGREED_SHARE);

/** Whether one line stands where the other would, whatever their labels: both would be one too many. */
export const alike = (one, other) => closer(one, other, ALIKE_SHARE);

/** Whether a majority of all people decides where a layer is that some of them drew: of two, one who goes on alone is none. */
function isSettled(lines, people) {
  const drawn = new Map();
  for (const { start, rows } of lines.map(dense)) for (let x = start; x < start + rows.length; x++) drawn.set(x, (drawn.get(x) ?? 0) + 1);
  const counts = [...drawn.values()];
  return counts.filter((count) => 2 * count !== people).length >= SETTLED_SHARE * counts.length;
}

/** Stretches [{left, right, top, bottom}] in which lines of some people are not met by lines of the same label of all the others. */
function stretchesOf(answers) {
  const all = answers.map((lines) => lines.map((line) => ({ label: line.label, ...dense(line) })));
  const stretches = [];
  const first = Math.min(...all.flat().map(({ start }) => start));
  const end = Math.max(...all.flat().map(({ start, rows }) => start + rows.length));
  const isMet = (one, x, others) => others.some((other) => other.label === one.label && Math.abs(other.rows[x - other.start] - one.rows[x - one.start]) <= WITHIN_PX);
  for (let x = first; x < end; x++) {
    const here = all.map((lines) => lines.filter(({ start, rows }) => x >= start && x < start + rows.length));
    const off = here.flatMap((own, who) => own.filter((one) => here.some((others, k) => k !== who && !isMet(one, x, others))));
    if (!off.length) continue;
    const rows = off.map((one) => one.rows[x - one.start]);
    const [top, bottom] = [Math.min(...rows), Math.max(...rows)];
    const last = stretches[stretches.length - 1];
    if (last && x - last.right <= BRIDGED) Object.assign(last, { right: x, top: Math.min(last.top, top), bottom: Math.max(last.bottom, bottom) });
    else stretches.push({ left: x, right: x, top, bottom });
  }
  return stretches;
}

/** Places where people disagree: [{x, y, label, lines, stretches}], from above to below. `answers` are the lines of each.
 *
 * `lines` are those of each person that are meant as one layer, if they are, and none where a person has none. `stretches` says where
 * they part, and (x, y) is the middle of the longest. Lines that most people drew alike and about equally far are no place, unless there is no other. */
export function differences(answers) {
  const all = answers.flatMap((lines, who) => lines.map((line) => ({ who, line, agreed: new Map([[who, line]]) })));
  all.forEach((one, i) => {
    for (const other of all.slice(i + 1)) {
      if (one.who === other.who || !agree(one.line, other.line)) continue;
      one.agreed.set(other.who, other.line);
      other.agreed.set(one.who, one.line);
    }
  });
  const open = all.filter(({ agreed }) => 2 * agreed.size <= answers.length || !isSettled([...agreed.values()], answers.length));
  const groups = grouped(open.length ? open : all);
  const found = groups.map((members) => {
    const lines = answers.map((_, who) => members.filter((one) => one.who === who).map(({ line }) => line));
    const stretches = stretchesOf(lines);
    if (!stretches.length) return null;
    const longest = stretches.reduce((best, one) => (one.right - one.left > best.right - best.left ? one : best));
    return { x: Math.round((longest.left + longest.right) / 2), y: (longest.top + longest.bottom) / 2, label: members[0].line.label, lines, stretches };
  });
  return found.filter(Boolean).sort((a, b) => a.y - b.y);
}

/** Lines of different people together that are meant as one layer: the nearest first, and never two of one person in the same trace. */
function grouped(members) {
  const pairs = [];
  members.forEach((one, i) => {
    for (let k = i + 1; k < members.length; k++) {
      const other = members[k];
      if (other.who === one.who) continue;
      const { apart, of } = overlap(one.line, other.line);
      if (of >= SHARED_SHARE && apart <= (other.line.label === one.line.label ? NEAR_PX : WITHIN_PX)) pairs.push({ apart, i, k });
    }
  });
  const groups = members.map((one) => [one]);
  for (const { i, k } of pairs.sort((a, b) => a.apart - b.apart)) {
    const [into, from] = [groups[i], groups[k]];
    const twice = ({ who, line }) => into.some((one) => one.who === who && overlap(one.line, line).shared);
    if (into === from || from.some(twice)) continue;
    into.push(...from);
    members.forEach((_, m) => {
      if (groups[m] === from) groups[m] = into;
    });
  }
  return [...new Set(groups)];
}

/** Whether a drawing has, at a place, just what a person drew there. */
export function isAs(lines, place, who) {
  const wanted = place.lines[who];
  const here = lines.filter((line) => place.lines.some((theirs) => theirs.some((one) => alike(line, one))));
  const same = (own, line) => agree(own, line) && isSettled([own, line], 2);
  return wanted.every((line) => here.some((own) => same(own, line))) && here.every((own) => wanted.some((line) => same(own, line)));
}

/** The lines of a drawing that make way at a place. */
export const inTheWay = (lines, place) => lines.filter((line) => place.lines.some((theirs) => theirs.some((one) => alike(line, one))));

/** The place of one line of the person `who`: where people disagree on it, or else what all drew alike. */
export function placeOf(line, who, answers, places) {
  const known = places.find((place) => place.lines[who]?.includes(line));
  if (known) return known;
  const { rows, start } = dense(line);
  const middle = rows.length >> 1;
  const lines = answers.map((theirs, k) => (k === who ? [line] : theirs.filter((one) => alike(one, line))));
  return { x: start + middle, y: rows[middle] ?? line.vertices[0].y, label: line.label, lines, stretches: [] };
}

/** Index of the next line above (-1) or below (1) of the one at hand, null for none yet. */
export function neighbourOf(lines, line, by) {
  const order = byDepth(lines);
  const at = line ? order.indexOf(lines.indexOf(line)) : -1;
  return order[at < 0 ? 0 : Math.min(Math.max(at + by, 0), order.length - 1)];
}
