import { differences, inTheWay, isAs, namesOf, neighbourOf, placeOf } from "./answers.js";
import { Drawing } from "./drawing.js";
import { lineAt } from "./hits.js";

const PLACE_SCALE = 1.5; // at which a difference is shown, at least
const PICK_PX = 9; // how near to a line a click has to be to pick it

/** The lines that can be looked at in place of one's own: the proposal, what was uploaded, and for an arbiter each person's answer.
 * One of their lines can be picked and taken. */
export class Overlays {
  shown = "mine";
  last = ""; // what O flickers to
  place = null; // the difference that is looked at
  picked = null; // a line of the overlay that is shown

  constructor(editor, answers) {
    this.editor = editor;
    const names = namesOf(answers);
    this.answers = answers.map(({ polylines, complete, verdict }, who) => ({
      key: `answer-${who}`,
      name: names[who],
      lines: verdict ? null : new Drawing(polylines).lines,
      note: verdict ? { polarity_wrong: "says that the polarity is wrong", unusable: `says that it is unusable: ${verdict.reason}` }[verdict.kind] : complete === false ? "says that layers are missing" : "",
    }));
    this.drawn = this.answers.filter(({ lines }) => lines);
    this.places = differences(this.drawn.map(({ lines }) => lines));
    this.last = this.drawn[0]?.key ?? "model";
  }

  /** All there are: [{key, name, lines}]. */
  get all() {
    const { drawing, annotation } = this.editor;
    const [model, uploaded] = [{ key: "model", name: this.answers.length ? "Proposal" : "Model's", lines: drawing.proposal }, { key: "annotation", name: "Uploaded", lines: annotation }];
    return [model, ...this.drawn, ...(annotation.length ? [uploaded] : [])];
  }

  get overlay() {
    return this.all.find(({ key }) => key === this.shown);
  }

  show(key) {
    if (key !== "mine") this.last = key;
    if (key !== this.shown) this.picked = null;
    this.shown = key;
    this.editor.render("lines", "live", "panel");
  }

  showNext() {
    const keys = ["mine", ...this.all.map(({ key }) => key)];
    this.show(keys[(keys.indexOf(this.shown) + 1) % keys.length]);
  }

  showPlace(n) {
    const place = this.places[n];
    if (!place) return;
    this.place = place;
    this.picked = null;
    const { view } = this.editor;
    if (Math.min(view.sx, view.sy) < PLACE_SCALE) view.centre(place, PLACE_SCALE);
    this.editor.follow(place);
    this.editor.render("panel");
  }

  showNextPlace() {
    if (this.places.length) this.showPlace((this.places.indexOf(this.place) + 1) % this.places.length);
  }

  /** Pick the line of the overlay at a place on the screen. */
  pickAt(at) {
    const { lines } = this.overlay;
    this.pick(lines[lineAt(lines, at, this.editor.view, PICK_PX)] ?? null);
  }

  pickNeighbour(by) {
    const { lines } = this.overlay;
    if (lines.length) this.pick(lines[neighbourOf(lines, this.picked, by)], true);
  }

  pick(line, follow = false) {
    this.picked = line;
    const who = this.drawn.indexOf(this.overlay);
    if (line) {
      const place = this.placeOfPicked(who);
      if (who >= 0) this.place = place;
      if (follow) this.editor.follow(place);
    }
    this.editor.render("lines", "live", "panel");
  }

  placeOfPicked(who) {
    if (who < 0) return placeOf(this.picked, 0, [this.overlay.lines], []);
    return placeOf(this.picked, who, this.drawn.map(({ lines }) => lines), this.places);
  }

  /** Take what an overlay has: of the picked line, or of the place that is looked at. */
  takeLine(key = this.shown) {
    const { editor } = this;
    const overlay = this.all.find((one) => one.key === key);
    if (!overlay) return editor.say("V shows the lines of others, one after the other: T takes the line that you pick there.", true);
    const who = this.drawn.indexOf(overlay);
    const picked = key === this.shown && this.picked;
    const place = picked ? this.placeOfPicked(who) : this.place;
    if (!place || (!picked && who < 0)) return editor.say("Click on the line to take, or go to it with [ and ].", true);
    return this.take("take_line", inTheWay(editor.drawing.lines, place), place.lines[Math.max(who, 0)], `Your lines are as ${overlay.name} has them here.`);
  }

  takeAll(key = this.shown) {
    const { editor } = this;
    const overlay = this.all.find((one) => one.key === key);
    if (!overlay) return editor.say("V shows the lines of others, one after the other: Shift+T takes all that are shown.", true);
    return this.take("take_answer", editor.drawing.lines, overlay.lines, `Your lines are all as ${overlay.name} has them.`);
  }

  take(kind, out, lines, already) {
    const { editor } = this;
    this.picked = null;
    if (editor.do(kind, () => editor.drawing.exchange(out, lines))) editor.say(`${already} Ctrl+Z takes it back.`);
    else editor.say(already);
  }

  /** Whether one's own lines are as a person has them, at the place that is looked at. */
  isTaken(answer) {
    return Boolean(this.place && answer.lines) && isAs(this.editor.drawing.lines, this.place, this.drawn.indexOf(answer));
  }

  get advice() {
    const { shown, overlay, place, places, picked } = this;
    const name = shown === "mine" ? "your own lines" : `${overlay.name} lines`;
    if (picked) return `T takes this ${picked.label}, Shift+T all of them. O shows your own.`;
    const n = places.indexOf(place);
    if (shown !== "mine" && !(n >= 0 && this.drawn.includes(overlay))) return `You see ${this.drawn.includes(overlay) ? `the lines of ${overlay.name}` : name}. Click on one and press T to take it. O shows your own.`;
    if (n >= 0 && shown !== "mine") return `Difference ${n + 1} of ${places.length}, as ${overlay.name} has it: T takes it. V shows the next one's.`;
    if (n >= 0) return `Difference ${n + 1} of ${places.length}, in your own lines. V shows what the others have, T takes it, D goes on.`;
    if (places.length) return `The reviewers differ in ${places.length} ${places.length > 1 ? "places" : "place"}: D shows the next.`;
    return "";
  }
}
