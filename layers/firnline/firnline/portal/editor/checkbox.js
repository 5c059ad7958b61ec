import { element, whenParsed } from "./page.js";

export class CrowdCheckbox extends HTMLElement {
  connectedCallback() {
    if (!this.box) whenParsed(() => this.setUp());
  }

  setUp() {
    if (this.box) return;
    const label = element("label", { style: "display: inline-flex; gap: .5rem; align-items: center; cursor: pointer" });
    this.box = element("input", { type: "checkbox" });
    this.initial = this.box.checked = this.hasAttribute("checked");
    this.box.disabled = this.hasAttribute("disabled");
    this.box.addEventListener("change", () => this.dispatchEvent(new CustomEvent("crowd-change", { bubbles: true })));
    label.append(this.box, ...this.childNodes);
    this.append(label);
  }

  get value() {
    return { [this.getAttribute("value") || "on"]: this.box.checked };
  }

  get state() {
    return this.box.checked;
  }

  set state(checked) {
    this.box.checked = checked;
  }

  get touched() {
    return this.box.checked !== this.initial;
  }

  get problem() {
    return this.hasAttribute("required") && !this.box.checked ? `Please check “${this.textContent.trim()}”.` : "";
  }
}
