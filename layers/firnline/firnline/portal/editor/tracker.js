import { alongTrack, simplified } from "./geometry.js";
import { bandsOf, crest, crestsOf, fitness, likenessOf, peakOffset, ridgePath } from "./live_wire.js";

function answerPaths() {
  let picture = null;
  onmessage = ({ data }) => {
    if (data.grey) picture = data;
    else postMessage({ id: data.id, path: ridgePath(picture.grey, picture.width, picture.height, data.a, data.b) });
  };
}

/** Finds ways along ridges of an echogram: in a worker, or, where the page may have none, on the page's own thread. */
export class Tracker {
  waiting = new Map();
  asked = 0;

  constructor(grey, width, height) {
    Object.assign(this, { grey, width, height });
    this.start();
  }

  start() {
    const source = `${[bandsOf, crestsOf, likenessOf, peakOffset, fitness, ridgePath, answerPaths].map(String).join("\n")}\nanswerPaths();`;
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
    for (const [id, { a, b }] of this.waiting) this.take({ id, path: this.pathHere(a, b) });
  }

  pathHere(a, b) {
    return ridgePath(this.grey, this.width, this.height, a, b);
  }

  take({ id, path }) {
    this.waiting.get(id)?.done(path);
    this.waiting.delete(id);
  }

  /** The way from one place to another along the ridge, both ends with it, in the order of traces. */
  async between(from, to) {
    const [a, b] = from.x <= to.x ? [from, to] : [to, from];
    const path = await new Promise((done) => {
      if (!this.worker) return done(this.pathHere(a, b));
      const id = ++this.asked;
      this.waiting.set(id, { a, b, done });
      return this.worker.postMessage({ id, a: { x: a.x, y: a.y }, b: { x: b.x, y: b.y } });
    });
    return simplified(alongTrack([a, ...path, b]));
  }

  snapped(point) {
    return crest(this.grey, this.width, this.height, point);
  }
}
