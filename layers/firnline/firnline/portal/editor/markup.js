// The editor's own HTML and CSS.

export const EDITOR_CSS = `
  :host { display: block; container-type: size; height: 100%; min-height: 240px; font: 13px/1.4 system-ui, sans-serif; color: #dfe7ee; }
  * { box-sizing: border-box; }
  [hidden] { display: none !important; }
  .editor { display: grid; grid-template: auto minmax(0, 1fr) 18px / 46px minmax(0, 1fr) 196px; height: 100%; background: #131b23; overflow: hidden; }
  .tools { grid-column: 1 / 4; display: flex; gap: 3px 8px; align-items: center; padding: 3px 6px; background: #182129; border-bottom: 1px solid #2a3742; overflow-x: auto; scrollbar-width: thin; }
  .group { display: flex; gap: 2px; }
  .group + .group { border-left: 1px solid #33424f; padding-left: 8px; }
  button, select { font: inherit; color: inherit; background: #24303b; border: 1px solid #3b4b59; border-radius: 5px; padding: 2px 7px; cursor: pointer; white-space: nowrap; }
  .tools button { padding: 2px 5px; border-color: transparent; background: none; }
  .tools button[data-label] { border-color: #3b4b59; }
  button:hover:not(:disabled) { background: #2f3e4b; }
  button:disabled { opacity: .45; cursor: default; }
  button[aria-pressed="true"], button[aria-selected="true"] { background: #17609c; border-color: #5db2f0; color: #fff; }
  button:focus-visible, select:focus-visible, input:focus-visible, summary:focus-visible, .stage:focus-visible { outline: 2px solid #8fd3ff; outline-offset: -2px; }
  kbd { font: 11px/1 ui-monospace, monospace; color: #9fb0be; margin-left: 4px; }
  button[aria-pressed="true"] kbd { color: #d7ebfa; }
  @container (max-width: 1190px) { .tools kbd { display: none; } }
  @container (max-width: 900px) { .tools .more { display: none; } }
  .swatch { display: inline-block; width: 14px; height: 0; border-top: 4px solid currentColor; margin-right: 5px; vertical-align: middle; flex: none; }
  .swatch.dashed { border-top-style: dashed; }
  .axis { display: block; width: 100%; height: 100%; background: #131b23; }
  .down { grid-area: 2 / 1; } .along { grid-area: 3 / 2; }
  .stage { grid-area: 2 / 2; position: relative; overflow: hidden; min-height: 0; touch-action: none; background: #0a0f14; cursor: default; }
  .stage[data-mode]:not([data-mode="edit"]) { cursor: crosshair; }
  .stage[data-over="vertex"] { cursor: move; } .stage[data-over="line"] { cursor: pointer; } .stage[data-over="insert"] { cursor: copy; }
  .stage[data-panning] { cursor: grabbing; }
  .stage canvas { position: absolute; inset: 0; width: 100%; height: 100%; pointer-events: none; }
  .stage.hidden .lines, .stage.hidden .live { visibility: hidden; }
  aside { grid-area: 2 / 3 / 4 / 4; display: flex; flex-direction: column; border-left: 1px solid #2a3742; background: #161f28; min-height: 0; }
  .tabs { display: flex; border-bottom: 1px solid #2a3742; }
  .tabs button { flex: 1; border: 0; border-radius: 0; background: none; padding: 4px; }
  .tabs button[aria-selected="true"] { background: #24303b; box-shadow: inset 0 -2px #5db2f0; }
  .sheet { flex: 1; min-height: 0; overflow-y: auto; padding: 6px 8px; }
  .sheet.list { display: flex; flex-direction: column; gap: 4px; }
  h2, h3 { font-size: 12px; font-weight: 600; color: #b4c2ce; margin: 6px 0 3px; } h2:first-child { margin-top: 0; }
  ol { list-style: none; margin: 0; padding: 0; }
  .layers { flex: 1; min-height: 44px; overflow-y: auto; }
  .layers button { display: grid; grid-template-columns: auto 1fr auto; align-items: center; width: 100%; background: none; border-color: transparent; padding: 1px 4px; text-align: left; gap: 0 2px; }
  .layers button[aria-pressed="true"] { background: #2a4054; border-color: #5db2f0; color: inherit; }
  .layers small { line-height: 1.1; color: #a3b3c1; font-variant-numeric: tabular-nums; }
  .layers .length { grid-column: 2 / 3; } .layers .sure { text-align: right; }
  .crossings button { border-color: #ff8d80; color: #ffc9c2; padding: 0 5px; margin: 0 2px 2px 0; }
  .differences { max-height: 45%; overflow-y: auto; flex: none; }
  .differences button { padding: 0 5px; } [data-places] button { margin: 0 2px 2px 0; }
  .sheet .differences ul { list-style: none; padding: 0; margin: 3px 0 0; }
  .differences li { display: flex; flex-wrap: wrap; align-items: center; gap: 2px; margin-bottom: 3px; }
  .differences b { flex: 1 0 100%; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; } .differences small { color: #a3b3c1; }
  [data-overlays] { display: flex; flex-wrap: wrap; gap: 2px; } [data-overlays] button { max-width: 100%; overflow: hidden; text-overflow: ellipsis; }
  label { display: grid; grid-template-columns: 74px 1fr; align-items: center; gap: 6px; margin: 2px 0; }
  label.tick { display: flex; }
  input[type=range] { width: 100%; margin: 0; accent-color: #5db2f0; }
  summary { cursor: pointer; font-weight: 600; color: #b4c2ce; }
  .sheet ul { padding-left: 1.1em; margin: .4em 0; }
  dl { display: grid; grid-template-columns: auto 1fr; gap: 1px 8px; margin: 4px 0; } dt { color: #dfe7ee; white-space: nowrap; } dd { margin: 0; color: #a3b3c1; }
  .status { border-top: 1px solid #2a3742; padding: 4px 8px; color: #a3b3c1; min-height: 5.4em; display: flex; flex-direction: column; }
  .status .wrong { color: #ffb199; } .status .place { margin-top: auto; font-variant-numeric: tabular-nums; color: #dfe7ee; }
  @container (max-width: 760px) { .editor { grid-template-columns: 40px minmax(0, 1fr) 150px; } .status { min-height: 3em; font-size: 12px; } }
  @container (max-height: 330px) { .status [data-hint] { display: -webkit-box; -webkit-line-clamp: 2; -webkit-box-orient: vertical; overflow: hidden; } }`;

const tool = (action, text, key, title, more = "") =>
  `<button type="button" tabindex="-1" data-action="${action}" title="${title} (${key})"${more}>${text}<kbd aria-hidden="true">${key}</kbd></button>`;

const slider = (name, text, low, high, step, value) =>
  `<label>${text} <input type="range" data-setting="${name}" min="${low}" max="${high}" step="${step}" value="${value}"></label>`;

export const EDITOR_HTML = `
<div class="editor">
  <div class="tools" role="toolbar" aria-label="Drawing tools">
    <span class="group">
      ${tool("edit", "Edit", "Esc", "Select lines, move their vertices")}
      ${tool("draw", "New line", "N", "Draw a line: it follows the reflection between clicks")}
      ${tool("mend", "Redraw", "M", "Draw a stretch of a line anew; again: the next stretch")}
      ${tool("extend", "Extend", "E", "Draw on from the nearer end of the selected line")}
      ${tool("brush", "Brush", "G", "Draw over lines where they are wrong, one stroke after the other")}
      ${tool("erase", "Erase", "B", "Erase what lies in a box, of the selected lines or of all")}
      ${tool("wire", "Follow", "W", "Lines follow the reflection; off, or Alt held: straight; Shift held: as the lines beside run")}
    </span>
    <span class="group labels" role="group" aria-label="Label"></span>
    <span class="group">
      ${tool("retrack", "Re-track", "R", "The selected lines anew along the reflection, through the vertices that you have set")}
      ${tool("join", "Join", "J", "The selected lines as one")}
      ${tool("split", "Split", "X", "Cut the selected line in two, at the vertex or at the cursor")}
      ${tool("part", "Part", "P", "Move the selected line and the one that it touches or crosses apart")}
      ${tool("delete-vertex", "Delete", "Del", "Delete the selected vertex, or the selected lines")}
    </span>
    <span class="group">
      ${tool("undo", "↶", "Ctrl+Z", "Undo", ' aria-label="Undo"').replace(/<kbd.*<\/kbd>/, "")}
      ${tool("redo", "↷", "Ctrl+Y", "Redo", ' aria-label="Redo"').replace(/<kbd.*<\/kbd>/, "")}
      ${tool("start-over", "Start over", "undo brings it back", "The proposal again").replace(/<kbd.*<\/kbd>/, "")}
    </span>
    <span class="group more">
      ${tool("fit", "Fit", "F", "The whole frame")}
      ${tool("square", "1:1", "0", "Square pixels")}
    </span>
  </div>
  <canvas class="axis down" aria-hidden="true"></canvas>
  <div class="stage" tabindex="0" role="application" aria-label="Echogram. Arrow keys move a cursor, Space presses there; the tab Help lists all keys.">
    <canvas class="echogram" aria-hidden="true"></canvas><canvas class="lines" aria-hidden="true"></canvas><canvas class="live" aria-hidden="true"></canvas>
  </div>
  <canvas class="axis along" aria-hidden="true"></canvas>
  <aside aria-label="Lines and view">
    <div class="tabs" role="tablist" aria-label="Side panel">
      <button type="button" role="tab" id="tab-lines" aria-controls="sheet-lines" aria-selected="true">Lines</button>
      <button type="button" role="tab" id="tab-view" aria-controls="sheet-view" aria-selected="false" tabindex="-1">View</button>
      <button type="button" role="tab" id="tab-help" aria-controls="sheet-help" aria-selected="false" tabindex="-1">Help</button>
    </div>
    <div class="sheet list" role="tabpanel" id="sheet-lines" aria-labelledby="tab-lines">
      <div class="crossings" data-crossings hidden><h2>Crossings</h2><div role="toolbar" aria-label="Crossings"></div></div>
      <div class="differences" data-differences hidden><h2>Differences <kbd aria-hidden="true">D</kbd></h2>
        <div role="toolbar" aria-label="Differences between the reviewers" data-places></div>
        <ul data-answers aria-label="Reviewers"></ul></div>
      <h2>Lines <span data-count></span></h2>
      <ol class="layers" aria-label="Lines, from top to bottom"></ol>
      <div data-confidence>
        <label title="Lines of which the model is less sure are hidden">Hide below <input type="range" data-least min="0" max="100" step="1" value="0" aria-valuetext="0 %"></label>
        <button type="button" data-action="delete-below" disabled>Delete</button>
      </div>
      <details><summary>Cannot be traced</summary>
        <p style="margin: 4px 0"><button type="button" data-action="polarity-wrong" aria-pressed="false" title="Dark is strong here: predict the frame anew the other way round">Polarity is wrong</button></p>
        <button type="button" data-action="unusable" aria-pressed="false" title="Close the frame; nothing is learned from it">Unusable</button>
        <select data-reason aria-label="Why it is unusable"></select>
      </details>
    </div>
    <div class="sheet" role="tabpanel" id="sheet-view" aria-labelledby="tab-view" hidden>
      <h2>Lines shown (O flickers, V next)</h2>
      <div role="group" aria-label="Lines shown" data-overlays></div>
      ${slider("opacity", "Opacity", 0.1, 1, 0.05, 0.95)}
      <h2>Picture</h2>
      <label class="tick"><input type="checkbox" data-setting="invert"> Invert (I)</label>
      ${slider("brightness", "Brightness", 0.3, 3, 0.05, 1)}
      ${slider("gamma", "Gamma", 0.3, 3, 0.05, 1)}
      ${slider("gain", "Gain w. depth", 0, 4, 0.1, 0)}
      <label>Colours <select data-setting="map"></select></label>
      <h2>Axes</h2>
      <label>Along <select data-setting="along"></select></label>
      <label>Down <select data-setting="down"></select></label>
      <p><button type="button" data-action="reset-view">As it was</button></p>
    </div>
    <div class="sheet" role="tabpanel" id="sheet-help" aria-labelledby="tab-help" hidden tabindex="0">
      <h2 data-header></h2>
      <div class="short"></div>
      <h2>Mouse</h2><dl>
        <dt>Click</dt><dd>select a line, a vertex</dd><dt>Shift+click</dt><dd>select several</dd><dt>Shift+drag</dt><dd>select by a box</dd>
        <dt>Drag line</dt><dd>bend it there (selected)</dd><dt>Alt+click</dt><dd>delete a vertex</dd><dt>Double-click</dt><dd>insert a vertex</dd>
        <dt>Right, middle, Space + drag</dt><dd>pan, always</dd><dt>Wheel</dt><dd>zoom (Shift: track, Alt: depth)</dd>
        <dt>Alt, brush</dt><dd>delete what is crossed out</dd><dt>Shift, drawing</dt><dd>as the lines beside run</dd><dt>Alt</dt><dd>straight</dd><dt>Ctrl</dt><dd>no snap to the crest</dd></dl>
      <h2>Keys</h2><dl>
        <dt>N M E</dt><dd>new, redraw, extend</dd><dt>G B</dt><dd>brush, erase</dd><dt>Enter</dt><dd>end the drawing</dd><dt>Backspace</dt><dd>take back a click</dd>
        <dt>Arrows</dt><dd>vertex 1 px, cursor 10 px (Shift: 0.2, 1)</dd><dt>Space</dt><dd>press at the cursor</dd><dt>Shift+Space</dt><dd>corner of a selection box</dd>
        <dt>, .</dt><dd>vertex before, next</dd><dt>[ ]</dt><dd>line above, below</dd><dt>A</dt><dd>all lines of the label</dd><dt>1 2 3</dt><dd>label</dd>
        <dt>R J X P</dt><dd>re-track, join, split, part</dd><dt>K</dt><dd>next crossing</dd><dt>Del</dt><dd>delete (Shift: lines)</dd>
        <dt>W</dt><dd>follow on, off</dd><dt>I C</dt><dd>invert, colours</dd><dt>O V H</dt><dd>flicker; next overlay; hide lines while held</dd><dt>D</dt><dd>next difference</dd><dt>T</dt><dd>take the overlay's line (Shift: all)</dd>
        <dt>F 0 + -</dt><dd>fit, 1:1, zoom</dd><dt>Ctrl+Z, Y</dt><dd>undo, redo</dd><dt>Ctrl+Enter</dt><dd>submit</dd></dl>
      <details><summary>What counts as a layer</summary><div class="full"></div></details>
    </div>
    <div class="status"><span role="status" data-hint></span><span class="place" data-place></span></div>
  </aside>
</div>`;
