import { Draft } from "./drafts.js";
import { Drawing } from "./drawing.js";
import { fileName, layersDocument } from "./layers_document.js";
import { actionButton, download, element } from "./page.js";

/** On the page of a task that is gone: what was drawn for it in this browser, to be downloaded. */
export class LeftoverDraft extends HTMLElement {
  async connectedCallback() {
    const kept = await new Draft(location.pathname, () => {}).load();
    const states = Object.values(kept?.fields ?? {});
    const editor = states.find((state) => state?.about);
    if (!editor) return;
    const drawing = new Drawing();
    drawing.state = editor.drawing;
    const complete = !states.includes(false);
    const button = actionButton("download", "Download the drawing");
    button.addEventListener("click", () => {
      download(fileName(editor.about), JSON.stringify(layersDocument(editor.about, drawing.lines, complete), null, 1));
    });
    this.append(element("p", {}, "What you drew here is kept in this browser. Uploaded beside the frame, the file teaches the next model too."), button);
  }
}
