import { draft } from "./drafts.js";
import { whenParsed } from "./page.js";

export class CrowdForm extends HTMLElement {
  connectedCallback() {
    // The form is connected before its fields; they have to be set up when it restores a draft into them.
    whenParsed(() => setTimeout(() => this.setUp()));
  }

  setUp() {
    const style = document.createElement("style");
    style.textContent = `
      crowd-form { display: flex; flex-direction: column; height: 100%; min-height: 0; }
      crowd-form > :first-child { flex: 1; min-height: 0; }
      .crowd-foot { display: flex; align-items: center; gap: 1rem; padding: .6rem 1rem; background: #182129; border-top: 1px solid #2a3742; }
      .crowd-foot p { margin: 0; flex: 1; font: 14px/1.4 system-ui, sans-serif; color: #93a4b3; }
      .crowd-foot p.wrong { color: #ffb199; }
      .crowd-foot button { font: 600 15px system-ui, sans-serif; padding: .55rem 1.6rem; border: 0; border-radius: 8px; background: #2d8fd5; color: #fff; cursor: pointer; }
      .crowd-foot button:hover:not(:disabled), .crowd-foot button:focus-visible { background: #4aa5e6; }
      .crowd-foot button.plain { background: none; color: #6cc4ff; padding: .3rem .4rem; font-weight: 500; }
      .crowd-foot button:disabled { opacity: .5; cursor: default; }`;
    this.foot = document.createElement("div");
    this.foot.className = "crowd-foot";
    this.message = document.createElement("p");
    this.message.setAttribute("role", "status");
    this.message.dataset.message = "";
    this.button = document.createElement("button");
    this.button.type = "button";
    this.button.textContent = "Submit";
    this.button.title = "Ctrl+Enter";
    this.button.dataset.action = "submit";
    this.button.addEventListener("click", () => this.submit());
    this.foot.append(this.message, this.button);
    this.append(style, this.foot);

    this.seconds = draft.load()?.seconds ?? 0;
    setInterval(() => {
      if (document.visibilityState === "visible") this.seconds += 1;
    }, 1000);
    this.restore();
    this.addEventListener("crowd-change", () => {
      this.changed = true;
      this.say("");
      this.keep();
    });
    addEventListener("beforeunload", (event) => {
      if (this.changed) event.preventDefault();
    });
    addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.submit();
    });
  }

  get fields() {
    return [...this.querySelectorAll("crowd-polyline[name], crowd-checkbox[name]")];
  }

  keep() {
    draft.save({ seconds: this.seconds, fields: Object.fromEntries(this.fields.map((f) => [f.getAttribute("name"), f.state])) });
  }

  restore() {
    const kept = draft.load();
    if (!kept?.fields) return;
    for (const field of this.fields) {
      if (kept.fields[field.getAttribute("name")] !== undefined) field.state = kept.fields[field.getAttribute("name")];
    }
    this.changed = true;
    const again = document.createElement("button");
    again.type = "button";
    again.className = "plain";
    again.dataset.action = "start-over";
    again.textContent = "Start over";
    again.addEventListener("click", () => {
      this.changed = false;
      draft.drop();
      location.reload();
    });
    this.say(`Your unfinished drawing of ${new Date(kept.saved).toLocaleString()} is back.`);
    this.message.append(" ", again);
  }

  say(text, wrong = false) {
    this.message.textContent = text;
    this.message.classList.toggle("wrong", wrong);
  }

  get answer() {
    const answer = {};
    for (const field of this.fields) {
      const name = field.getAttribute("name");
      answer[name] = field.localName === "crowd-checkbox" ? { ...answer[name], ...field.value } : field.value;
    }
    return answer;
  }

  async submit() {
    if (this.button.disabled) return;
    const problem = this.fields.map((field) => field.problem).find(Boolean);
    if (problem) return this.say(problem, true);
    this.button.disabled = true;
    this.say("Sending …");
    try {
      let answer = await this.post(document.body.dataset.token);
      if (answer.status === 403) answer = await this.post(await this.freshToken());
      const content = await answer.json().catch(() => ({ error: `The server answered with status ${answer.status}.` }));
      if (!answer.ok) throw new Error(content.error);
      this.changed = false;
      draft.drop();
      this.say("Saved. On to the next one …");
      location.assign(content.next);
    } catch (error) {
      const cause = error instanceof TypeError ? "The server did not answer." : error.message;
      this.say(`${cause} Nothing is lost: your drawing is kept here.`, true);
      this.button.disabled = false;
    }
  }

  post(token) {
    const body = JSON.stringify({ answerContent: this.answer, token, seconds: this.seconds });
    return fetch(`${location.pathname}/submit`, { method: "POST", headers: { "Content-Type": "application/json" }, body });
  }

  /** A server that was restarted knows only the tokens of pages that it has given out itself. */
  async freshToken() {
    const page = new DOMParser().parseFromString(await (await fetch(location.pathname)).text(), "text/html");
    return page.body.dataset.token ?? "";
  }
}
