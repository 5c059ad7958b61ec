// The editor alone, for a worker template inside A2I.
import { LayerEditor } from "./editor.js";

customElements.define("layer-editor", LayerEditor);
