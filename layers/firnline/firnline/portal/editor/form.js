import { Draft, hold } from "./drafts.js";
import { fileName, layersDocument } from "./layers_document.js";
import { actionButton, download, element, whenParsed } from "./page.js";

const SUBMIT_MS = 30_000; // after which a submission is given up
const CLAIM_MS = 300_000; // between two claims of the task
const FOCUS_CLAIM_MS = 60_000; // a page that gets the focus again claims no more often
const THROTTLED = 429; // API Gateway's answers, whose bodies are {message} and not {error}
const TOO_LARGE = 413;
const PAUSES_S = [2, 4, 8, 16, 30]; // between tries of a submission that was one request too many
const GONE = [404, 409, 410]; // statuses of a task that takes no answer any more

const STYLE = `
  crowd-form { display: flex; flex-direction: column; height: 100%; min-height: 0; }
  crowd-form > .task { flex: 1; min-height: 0; height: auto; }
  .crowd-foot { display: flex; flex-wrap: wrap; align-items: center; gap: 2px 1rem; padding: 3px .8rem; background: #182129; border-top: 1px solid #2a3742; font: 13px/1.35 system-ui, sans-serif; color: #dfe7ee; }
  .crowd-foot p { margin: 0; flex: 1 1 14rem; color: #a3b3c1; }
  .crowd-foot p.wrong { color: #ffb199; }
  .crowd-foot p.kept:empty { display: none; }
  .crowd-foot button { font: 600 14px system-ui, sans-serif; padding: .32rem 1.4rem; border: 0; border-radius: 6px; background: #1769aa; color: #fff; cursor: pointer; }
  .crowd-foot button:hover:not(:disabled) { background: #1f7cc4; }
  .crowd-foot button:focus-visible, .crowd-foot input:focus-visible { outline: 2px solid #8fd3ff; outline-offset: 2px; }
  .crowd-foot button.plain { background: none; color: #8fd3ff; padding: .2rem .4rem; font-weight: 500; text-decoration: underline; }
  .crowd-foot button:disabled { opacity: .55; cursor: default; }`;

export class CrowdForm extends HTMLElement {
  seconds = 0;
  edits = 0;
  confirmed = false; // an unedited proposal was submitted twice

  connectedCallback() {
    // The form is connected before its fields; they have to be set up when it restores a draft into them.
    whenParsed(() => setTimeout(() => this.setUp()));
  }

  async setUp() {
    this.content = [...this.children].filter((child) => child.localName !== "style");
    this.foot = element("div", { class: "crowd-foot" });
    this.message = element("p", { role: "status", "data-message": "" });
    this.storage = element("p", { class: "kept wrong", role: "status", "data-storage": "" });
    this.button = actionButton("submit", "Submit", { title: "Ctrl+Enter" });
    // The second click of a double click is not a second thought.
    this.button.addEventListener("click", (event) => event.detail < 2 && this.submit());
    this.foot.append(...this.querySelectorAll("[data-foot]"), this.message, this.storage, this.button);
    this.append(element("style", {}, STYLE), this.foot);
    this.draft = new Draft(location.pathname, (sentence) => this.warnOfStorage(sentence));

    setInterval(() => {
      if (document.visibilityState === "visible" && !this.elsewhere) this.seconds += 1;
    }, 1000);
    setInterval(() => this.claim(), CLAIM_MS);
    addEventListener("focus", () => Date.now() - (this.claimed ?? 0) > FOCUS_CLAIM_MS && this.claim());
    this.addEventListener("crowd-change", () => {
      this.changed = true;
      this.confirmed = false;
      this.edits += 1;
      this.say("");
      this.keep();
    });
    addEventListener("beforeunload", (event) => {
      if (this.changed && !this.draft.kept) event.preventDefault();
    });
    addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.repeat && (event.ctrlKey || event.metaKey)) this.submit();
    });
    this.claimed = Date.now(); // opening the page claims the task
    this.freeze(true); // what is done before the draft is read would be kept in its place
    await this.work(false);
  }

  /** Let the person work here, if no other tab holds the task, or if this one is to take it over. */
  async work(takeOver) {
    const held = await hold(location.pathname, () => this.leaveToOtherTab(), takeOver);
    if (!held) return this.leaveToOtherTab();
    this.elsewhere = false;
    this.say("");
    await this.restore();
    this.freeze(this.elsewhere); // another tab may have taken it over meanwhile
    this.dataset.ready = "";
  }

  leaveToOtherTab() {
    this.elsewhere = true;
    this.freeze(true);
    this.say("This task is open in another tab. Go on there, or ", true);
    const here = actionButton("work-here", "work here instead", { class: "plain" });
    here.addEventListener("click", () => this.work(true));
    this.message.append(here);
  }

  freeze(frozen) {
    for (const part of this.content) part.inert = frozen;
    this.button.disabled = frozen;
  }

  get fields() {
    return [...this.querySelectorAll("layer-editor[name], crowd-polyline[name], crowd-checkbox[name]")];
  }

  keep() {
    if (this.elsewhere) return;
    this.draft.save(() => ({
      seconds: this.seconds,
      saved: Date.now(),
      fields: Object.fromEntries(this.fields.map((field) => [field.getAttribute("name"), field.state])),
    }));
  }

  async restore() {
    const kept = await this.draft.load();
    if (kept?.fields) {
      for (const field of this.fields) {
        const state = kept.fields[field.getAttribute("name")];
        if (state !== undefined) field.state = state;
      }
      this.seconds = kept.seconds ?? 0;
      this.changed = true;
      this.say(`Your unfinished drawing of ${new Date(kept.saved).toLocaleString()} is back. `);
      const again = actionButton("start-over", "Start over", { class: "plain", title: "Can be undone with Ctrl+Z" });
      again.addEventListener("click", () => {
        for (const field of this.fields) field.startOver?.();
        this.say("The proposal is back. Undo (Ctrl+Z) brings your drawing back.");
      });
      this.message.append(again);
    }
  }

  say(text, wrong = false) {
    this.message.textContent = text;
    this.message.classList.toggle("wrong", wrong);
  }

  warnOfStorage(sentence) {
    if (this.storage.dataset.sentence === sentence) return;
    this.storage.dataset.sentence = sentence;
    this.storage.textContent = sentence;
    if (sentence) this.offerDownload(this.storage);
  }

  offerDownload(place) {
    const button = actionButton("download", "Download the drawing", { class: "plain" });
    button.addEventListener("click", () => {
      const { about, drawing } = this.fields.find((one) => one.about);
      const complete = this.fields.every((one) => one.localName !== "crowd-checkbox" || one.state);
      download(fileName(about), JSON.stringify(layersDocument(about, drawing.lines, complete), null, 1));
    });
    place.append(" ", button);
  }

  get answer() {
    const answer = {};
    for (const field of this.fields) {
      const name = field.getAttribute("name");
      answer[name] = field.localName === "crowd-checkbox" ? { ...answer[name], ...field.value } : field.value;
      Object.assign(answer, field.extras?.(this.seconds));
    }
    return answer;
  }

  async submit() {
    if (this.button.disabled || this.submitting) return;
    this.submitting = true;
    try {
      await this.submitOnce();
    } finally {
      this.submitting = false;
    }
  }

  async submitOnce() {
    await Promise.all(this.fields.map((field) => field.settled?.()));
    const problem = this.fields.map((field) => field.problem).find(Boolean);
    if (problem) {
      this.say(problem, true);
      return;
    }
    if (!this.confirmed && !this.fields.some((field) => field.touched)) {
      this.confirmed = true;
      this.say("You have changed nothing. Submit again if the proposal is right as it stands.");
      return;
    }
    this.button.disabled = true;
    this.say("Sending …");
    try {
      const answer = await this.send();
      if (!answer) {
        this.say("You have gone on drawing, and nothing was sent. Submit again when it is done.", true);
        this.button.disabled = false;
        return;
      }
      const content = await answer.json().catch(() => ({}));
      const { status } = answer;
      if (!answer.ok) throw Object.assign(new Error(content.error ?? `The server answered with status ${status}.`), { status });
      this.changed = false;
      await this.draft.drop();
      this.say("Saved. On to the next one …");
      location.assign(content.next);
    } catch (error) {
      this.explain(error);
      this.button.disabled = false;
    }
  }

  /** The server's answer to the submission. One that came while there were too many requests is sent again after a pause, unless the
   * person goes on drawing meanwhile: then there is no answer. */
  async send() {
    const { edits } = this;
    for (const pause of [...PAUSES_S, 0]) {
      let answer = await this.post("submit", document.body.dataset.token, this.body);
      const token = answer.status === 403 && (await this.freshToken());
      if (token) answer = await this.post("submit", token, this.body);
      if (answer.status !== THROTTLED || !pause) return answer;
      this.say(`Too many people send at once. Nothing is lost: your drawing is kept here, and is sent again in ${pause} seconds.`);
      await new Promise((resolve) => setTimeout(resolve, 1000 * pause));
      if (this.edits !== edits) return null;
      this.say("Sending …");
    }
  }

  explain(error) {
    if (error.status === TOO_LARGE) {
      this.explainSize();
      return;
    }
    const gone = GONE.includes(error.status);
    const causes = { TypeError: "The server did not answer.", AbortError: "The server did not answer within 30 seconds." };
    const cause = error.status === THROTTLED ? "Too many people send at once, for a minute now." : (causes[error.name] ?? error.message);
    this.say(`${cause} Nothing is lost: your drawing is kept here.${gone ? "" : " Submit again to try once more."}`, true);
    this.offerDownload(this.message);
  }

  explainSize() {
    const editor = this.fields.find((one) => one.lessen);
    const count = () => editor.drawing.lines.reduce((sum, { vertices }) => sum + vertices.length, 0);
    this.say(`Your drawing has ${count()} vertices, more than can be sent at once. Nothing is lost: it is kept here. Delete lines that you do not need, or `, true);
    const fewer = actionButton("lessen", "leave out vertices", { class: "plain", title: "No line moves by more than a pixel; what you have set stays. Can be undone with Ctrl+Z" });
    fewer.addEventListener("click", () => {
      const before = count();
      editor.lessen();
      this.say(before > count() ? `${before - count()} vertices are left out, ${count()} stay. Submit again.` : "Every vertex is needed. Delete lines, then submit again.", before === count());
    });
    this.message.append(fewer, ".");
    this.offerDownload(this.message);
  }

  get body() {
    return { answerContent: this.answer, seconds: this.seconds };
  }

  /** Send to an address of the task. It is given up after a while, and the person may try again. */
  async post(where, token, content) {
    const control = new AbortController();
    const timer = setTimeout(() => control.abort(), SUBMIT_MS);
    try {
      return await fetch(`${location.pathname}/${where}`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ ...content, token }),
        signal: control.signal,
      });
    } finally {
      clearTimeout(timer);
    }
  }

  /** A server that was restarted knows only the tokens of pages that it has given out itself. */
  async freshToken() {
    const page = new DOMParser().parseFromString(await (await fetch(location.pathname)).text(), "text/html");
    return page.body.dataset.token ?? "";
  }

  /** Say to the server that somebody is still at this task, so that nobody else is given it. */
  async claim() {
    if (document.visibilityState !== "visible" || this.elsewhere) return;
    this.claimed = Date.now();
    try {
      const answer = await this.post("claim", document.body.dataset.token, {});
      if (answer.status !== 409) return;
      const { error } = await answer.json();
      this.say(`${error} Your drawing is kept here.`, true);
      this.offerDownload(this.message);
    } catch (error) {
      console.warn("The task could not be claimed again; its submission will tell.", error);
    }
  }
}
