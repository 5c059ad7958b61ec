import { alongTrack, clamp, dense, simplified } from "./geometry.js";
import { amongLines, bandsOf, crest, crestsOf, fallOf, fitness, guideOf, likenessOf, peakOffset, ridgePath } from "./live_wire.js";

function answerPaths() {
  let picture = null;
  onmessage = ({ data }) => {
    if (data.grey) picture = data;
    else postMessage({ id: data.id, path: ridgePath(picture.grey, picture.width, picture.height, data.a, data.b, data.beside) });
  };
}

/** Finds ways along ridges of an echogram: in a worker, or, where the page may have none, on the page's own thread. */
export class Tracker {
  waiting = new Map();
  asked = 0;
  others = () => []; // the lines that a way runs between

  constructor(grey, width, height) {
    Object.assign(this, { grey, width, height });
    this.start();
  }

  start() {
    const source = `${[bandsOf, crestsOf, likenessOf, peakOffset, fitness, fallOf, guideOf, amongLines, ridgePath, answerPaths].map(String).join("\n")}\nanswerPaths();`;
    try {
      const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
      this.worker = new Worker(address);
      this.worker.onmessage = ({ data }) => this.take(data);
      this.worker.onerror = (event) => {
        event.preventDefault();
        this.goOnWithoutWorker();
      };
      this.worker.postMessage({ grey: this.grey, width: this.width, height: this.height });
    } catch (error) {
      console.warn("The live-wire works without a worker.", error);
      this.worker = null;
    }
  }

  goOnWithoutWorker() {
    this.worker = null;
    for (const [id, { a, b, beside }] of this.waiting) this.take({ id, path: this.pathHere(a, b, beside) });
  }

  pathHere(a, b, beside) {
    return ridgePath(this.grey, this.width, this.height, a, b, beside);
  }

  /** Rows of the other lines at the traces about a way: [{start, rows}]. */
  besideWay(a, b) {
    const [first, end] = [Math.floor(a.x) - 1, Math.ceil(b.x) + 2];
    const parts = this.others().map(dense).map(({ start, rows }) => {
      const from = Math.max(first, start);
      return { start: from, rows: rows.slice(from - start, Math.max(0, end - start)) };
    });
    return parts.filter(({ rows }) => rows.length);
  }

  take({ id, path }) {
    this.waiting.get(id)?.done(path);
    this.waiting.delete(id);
  }

  /** The way from one place to another along the ridge, both ends with it, in the order of traces. */
  async between(from, to) {
    const [a, b] = from.x <= to.x ? [from, to] : [to, from];
    const beside = this.besideWay(a, b);
    const path = await new Promise((done) => {
      if (!this.worker) return done(this.pathHere(a, b, beside));
      const id = ++this.asked;
      this.waiting.set(id, { a, b, beside, done });
      return this.worker.postMessage({ id, a: { x: a.x, y: a.y }, b: { x: b.x, y: b.y }, beside });
    });
    return simplified(alongTrack([a, ...path, b]));
  }

  /** The way that runs as the lines beside it do, whatever the echogram shows; straight where there are none. */
  async aside(from, to) {
    const [a, b] = from.x <= to.x ? [from, to] : [to, from];
    const [first, last] = [Math.ceil(a.x + 0.5), Math.floor(b.x - 0.5)];
    const rows = last < first ? [] : [...guideOf(this.besideWay(a, b), a, b, first, last)];
    return simplified(alongTrack([a, ...rows.map((y, i) => ({ x: first + i, y: clamp(y, 0, this.height - 1) })), b]));
  }

  snapped(point) {
    return crest(this.grey, this.width, this.height, point);
  }
}
