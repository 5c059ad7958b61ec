// Firnline's own crowd-form, crowd-polyline and crowd-checkbox: what AWS's hosted script gives a worker template inside A2I,
// for where A2I is not to be had.
import { CrowdCheckbox } from "./checkbox.js";
import { CrowdPolyline } from "./editor.js";
import { CrowdForm } from "./form.js";

customElements.define("crowd-checkbox", CrowdCheckbox);
customElements.define("crowd-polyline", CrowdPolyline);
customElements.define("crowd-form", CrowdForm);
