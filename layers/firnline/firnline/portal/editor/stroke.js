import { alongTrack, mended, simplified } from "./geometry.js";

/** A line, or a stretch of one, while it is drawn: places that a person has set, and the ways between them. */
export class Stroke {
  steps = []; // [{to, vertices, done}]
  together = []; // all their vertices, from left to right

  constructor(start = null) {
    this.start = start; // where a line is drawn on from
    if (start) this.together = [start];
  }

  get drawn() {
    return this.steps.length > 0;
  }

  /** The place that the next way starts from. */
  get last() {
    return this.steps[this.steps.length - 1]?.to ?? this.start;
  }

  /** Go to a place: along the ridge with a tracker, else straight. Resolves when the way is found. */
  goTo(point, tracker) {
    const from = this.last;
    const to = { ...point, set: true };
    const step = { to, vertices: from ? alongTrack([from, to]) : [to], done: Promise.resolve() };
    this.steps.push(step);
    this.gather();
    if (from && tracker) {
      step.done = tracker.between(from, to).then((vertices) => {
        step.vertices = vertices;
        this.gather();
      });
    }
    return step.done;
  }

  /** What was drawn with the button held: it is kept whole, and only then simplified. */
  follow(points) {
    const all = alongTrack(points);
    const set = simplified(all).map((v) => ({ ...v, set: true }));
    this.steps.push({ to: { ...points[points.length - 1], set: true }, vertices: set, done: Promise.resolve() });
    this.gather();
  }

  takeBack() {
    this.steps.pop();
    this.gather();
  }

  gather() {
    const first = this.start ? [this.start] : [];
    this.together = this.steps.reduce((all, step) => mended(all, step.vertices), first);
  }

  async finished() {
    await Promise.all(this.steps.map((step) => step.done));
    return this.together;
  }
}
