// Firnline's own crowd-form and crowd-checkbox, what AWS's hosted script gives a worker template inside A2I, and the editor, under its
// own name and as crowd-polyline.
import { CrowdCheckbox } from "./checkbox.js";
import { CrowdForm } from "./form.js";
import { LayerEditor } from "./editor.js";
import { LeftoverDraft } from "./leftover.js";

customElements.define("crowd-checkbox", CrowdCheckbox);
customElements.define("layer-editor", LayerEditor);
customElements.define("crowd-polyline", class extends LayerEditor {});
customElements.define("crowd-form", CrowdForm);
customElements.define("leftover-draft", LeftoverDraft);
