import { lastOf, firstOf } from "./geometry.js";
import { COLOUR_MAPS } from "./picture.js";
import { element } from "./page.js";

const REASONS = ["no echo", "too noisy", "not an echogram", "cut or distorted", "cannot be judged"];

/** Move the one tab stop of a row of buttons with the arrow keys, as a toolbar does. */
export function roving(row, keys = ["ArrowLeft", "ArrowRight"]) {
  const buttons = () => [...row.querySelectorAll("button:not(:disabled)")].filter((button) => button.offsetParent);
  row.addEventListener("keydown", (event) => {
    const by = keys.indexOf(event.key) * 2 - 1;
    if (!keys.includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    const all = buttons();
    const next = all[(all.indexOf(event.target.closest("button")) + by + all.length) % all.length];
    setStop(row, next);
    next?.focus();
  });
  row.addEventListener("focusin", (event) => setStop(row, event.target.closest("button")));
}

export function setStop(row, button) {
  for (const other of row.querySelectorAll("button")) other.tabIndex = other === button ? 0 : -1;
}

/** What stands beside the echogram. It reads the editor and asks it to act, and holds nothing of its own. */
export class Panel {
  constructor(root, editor) {
    this.root = root;
    this.editor = editor;
    this.at = (selector) => root.querySelector(selector);
    const tabs = this.at(".tabs");
    roving(tabs);
    tabs.addEventListener("click", (event) => this.open(event.target.closest("button")));
    tabs.addEventListener("focusin", (event) => this.open(event.target.closest("button")));
    roving(this.at(".tools"));
    setStop(this.at(".tools"), this.at(".tools button"));
    roving(this.at(".layers"), ["ArrowUp", "ArrowDown"]);
    roving(this.at("[data-crossings] [role=toolbar]"));
    this.at("[data-reason]").append(...REASONS.map((reason) => element("option", {}, reason)));
    this.at('[data-setting="map"]').append(...COLOUR_MAPS.map((name) => element("option", {}, name)));
    this.at("[data-least]").addEventListener("input", (event) => editor.hideBelow(Number(event.target.value) / 100));
  }

  open(tab) {
    if (!tab) return;
    for (const other of this.root.querySelectorAll('[role="tab"]')) {
      other.setAttribute("aria-selected", String(other === tab));
      this.at(`#${other.getAttribute("aria-controls")}`).hidden = other !== tab;
    }
    setStop(this.at(".tabs"), tab);
  }

  /** Buttons for labels, overlays and units, which depend on the task. */
  fill() {
    const { editor } = this;
    this.at(".labels").append(
      ...editor.labels.map((label, index) => {
        const swatch = element("span", { class: `swatch${label === "bed" ? " dashed" : ""}`, style: `color: ${editor.colourOf(label)}` });
        const title = `Label of the selected lines, and of the next one (${index + 1})`;
        return element("button", { type: "button", "data-label": label, title, tabindex: -1 }, swatch, label);
      }),
    );
    this.at("[data-overlays]").append(
      ...[{ key: "mine", name: "Mine" }, ...editor.overlays.all].map(({ key, name }) => element("button", { type: "button", "data-overlay": key, title: name }, name)),
    );
    roving(this.at("[data-overlays]"));
    this.fillAnswers();
    for (const axis of ["along", "down"]) {
      this.at(`[data-setting="${axis}"]`).append(...editor.units[axis].map(({ name }) => element("option", { value: name }, name)));
    }
    const sure = editor.drawing.proposal.some((line) => line.confidence !== null);
    this.at("[data-confidence]").hidden = !sure;
    this.at('[data-action="polarity-wrong"]').hidden = !editor.hasAttribute("polarity"); // only a picture's can be wrong
    this.at("[data-header]").textContent = editor.getAttribute("header") || "";
    for (const part of ["short", "full"]) this.at(`.${part}`).append(...(editor.querySelector(`${part}-instructions`)?.childNodes ?? []));
  }

  /** For an arbiter: the places where the reviewers differ, and of each reviewer what can be looked at and taken. */
  fillAnswers() {
    const { places, answers } = this.editor.overlays;
    this.at("[data-differences]").hidden = !answers.length;
    this.at("[data-places]").append(
      ...places.map(({ label, x, stretches }, n) =>
        element("button", { type: "button", "data-difference": n, tabindex: n ? -1 : 0, title: `${label} at trace ${x}, ${stretches.length > 1 ? `${stretches.length} stretches` : "one stretch"}` }, `${n + 1} ${label}`)),
    );
    roving(this.at("[data-places]"));
    for (const { key, name, lines, note } of answers) {
      const button = (attribute, text, says, title) => element("button", { type: "button", [attribute]: key, title, "aria-label": `${says}: ${name}` }, text);
      const does = lines ? [
        button("data-overlay", "Show", "Show", "Look at these lines (V: the next ones)"),
        button("data-take", "Take", "Take here", "Take what is drawn at this difference (T, while it is shown)"),
        button("data-take-all", "All", "Take all", "Take the whole drawing (Shift+T, while it is shown)"),
      ] : [];
      const row = element("li", {}, element("b", { title: name }, name), ...(note ? [element("small", {}, note)] : []), ...does);
      this.at("[data-answers]").append(row);
    }
    roving(this.at("[data-answers]"));
    setStop(this.at("[data-answers]"), this.at("[data-answers] button"));
  }

  drawAnswers() {
    const { places, place, answers, shown } = this.editor.overlays;
    places.forEach((one, n) => this.at(`[data-difference="${n}"]`).setAttribute("aria-pressed", String(one === place)));
    for (const answer of answers.filter(({ lines }) => lines)) {
      this.at(`[data-answers] [data-overlay="${answer.key}"]`).setAttribute("aria-pressed", String(answer.key === shown));
      const take = this.at(`[data-take="${answer.key}"]`);
      take.disabled = !place;
      take.setAttribute("aria-pressed", String(this.editor.overlays.isTaken(answer)));
    }
  }

  showSettings(settings) {
    for (const input of this.root.querySelectorAll("[data-setting]")) {
      const value = settings[input.dataset.setting];
      if (input.type === "checkbox") input.checked = value;
      else if (value !== undefined) input.value = value;
    }
  }

  draw() {
    const { editor } = this;
    const { drawing } = editor;
    const { order } = drawing;
    this.at("[data-count]").textContent = `(${order.length})`;
    this.drawList(order);
    this.drawCrossings();
    this.drawAnswers();
    for (const mode of ["edit", "draw", "mend", "extend", "erase"]) this.press(mode, mode === editor.mode);
    this.press("wire", editor.follows);
    const label = editor.mode !== "draw" && drawing.line ? drawing.line.label : editor.label;
    for (const button of this.at(".labels").children) button.setAttribute("aria-pressed", String(button.dataset.label === label));
    for (const button of this.at("[data-overlays]").children) {
      button.setAttribute("aria-pressed", String(button.dataset.overlay === editor.overlays.shown));
    }
    const below = drawing.below(editor.least).length;
    const canDelete = drawing.vertex >= 0 || drawing.selected.length > 0;
    const usable = {
      extend: drawing.line, retrack: drawing.line && editor.tracker, join: drawing.selected.length > 1, split: drawing.line,
      part: drawing.line, "delete-vertex": canDelete, undo: drawing.past.length || editor.stroke.drawn, redo: drawing.future.length,
      "start-over": drawing.changed, "delete-below": below, wire: editor.tracker,
    };
    for (const [action, can] of Object.entries(usable)) this.at(`[data-action="${action}"]`).disabled = !can;
    this.at('[data-action="delete-below"]').textContent = below ? `Delete ${below} hidden` : "Delete hidden";
    const least = Math.round(100 * editor.least);
    this.at("[data-least]").value = least;
    this.at("[data-least]").setAttribute("aria-valuetext", `${least} %`);
    this.at("[data-least]").title = `${least} %`;
    this.press("polarity-wrong", editor.verdict?.kind === "polarity_wrong");
    this.press("unusable", editor.verdict?.kind === "unusable");
  }

  press(action, pressed) {
    this.at(`[data-action="${action}"]`).setAttribute("aria-pressed", String(Boolean(pressed)));
  }

  drawList(order) {
    const { drawing } = this.editor;
    const list = this.at(".layers");
    const down = this.editor.unit("down", "m");
    const along = this.editor.unit("along");
    while (list.childElementCount > order.length) list.lastElementChild.remove();
    while (list.childElementCount < order.length) {
      list.append(element("li", {}, element("button", { type: "button", tabindex: list.childElementCount ? -1 : 0 },
        element("span", { class: "swatch" }), element("span"), element("small"), element("small", { class: "length" }), element("small", { class: "sure" }))));
    }
    order.forEach((index, place) => {
      const line = drawing.lines[index];
      const button = list.children[place].firstChild;
      const [swatch, name, depth, length, sure] = button.children;
      button.dataset.selectLayer = index;
      button.setAttribute("aria-pressed", String(drawing.selected.includes(line.id)));
      swatch.style.color = this.editor.colourOf(line.label);
      swatch.classList.toggle("dashed", line.label === "bed");
      name.textContent = `${place + 1} ${line.label}`;
      const mean = format(down.zero + drawing.meanRow(line) * down.scale);
      depth.textContent = down.name === "sample" ? `row ${mean}` : `${mean} ${down.name}`;
      const extent = (lastOf(line).x - firstOf(line).x) * along.scale;
      length.textContent = along.name === "km" ? `${extent.toPrecision(3)} km long` : `${Math.round(extent) + 1} traces`;
      sure.textContent = line.confidence === null ? "" : `${Math.round(100 * line.confidence)} %`;
      button.style.opacity = line.confidence !== null && line.confidence < this.editor.least ? 0.6 : 1;
    });
  }

  drawCrossings() {
    const { crossed } = this.editor;
    this.at("[data-crossings]").hidden = !crossed.length;
    this.at("[data-crossings] [role=toolbar]").replaceChildren(
      ...crossed.slice(0, 12).map(({ x }, n) =>
        element("button", { type: "button", "data-crossing": n, tabindex: n ? -1 : 0, title: "Show where lines cross" }, `trace ${x}`)),
    );
  }

  reveal(index) {
    this.at(`[data-select-layer="${index}"]`)?.scrollIntoView({ block: "nearest" });
  }

  hint(text, wrong = false) {
    const hint = this.at("[data-hint]");
    if (hint.textContent === text) return;
    hint.textContent = text;
    hint.classList.toggle("wrong", wrong);
  }

  place(text) {
    this.at("[data-place]").textContent = text;
  }

  get reason() {
    return this.at("[data-reason]").value;
  }
}

const format = (value) => (Math.abs(value) < 100 ? value.toFixed(1) : value.toFixed(0));
