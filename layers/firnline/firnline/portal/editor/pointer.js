import { replaced } from "./geometry.js";
import { distanceTo, lineAt, vertexAt } from "./hits.js";

export const EDIT_PX = 4; // how near to a selected line, on the screen, a drag has to start to change it
const SELECT_PX = 9; // how near to a line a click has to be to select it
const MOVED_PX = 3; // a press that moves farther than that is a drag
const NEIGHBOURHOOD = 3; // traces to each side, for each row of a drag, in which the line is traced anew
const LEAST_NEIGHBOURHOOD = 8; // traces

/** What the mouse, a pen or a finger does on the stage. */
export class Pointer {
  drag = null;

  constructor(stage, editor) {
    this.stage = stage;
    this.editor = editor;
    stage.addEventListener("pointerdown", (event) => this.press(event));
    stage.addEventListener("pointermove", (event) => this.move(event));
    stage.addEventListener("pointerup", (event) => this.release(event));
    stage.addEventListener("pointercancel", () => this.cancel());
    stage.addEventListener("pointerleave", () => editor.leaveStage());
    stage.addEventListener("dblclick", (event) => this.doubleClick(event));
    stage.addEventListener("contextmenu", (event) => event.preventDefault());
    stage.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  /** A place on the stage of an event. */
  on(event) {
    const box = this.stage.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  pixel(at) {
    const { view } = this.editor;
    return view.inside(view.toPixel(at));
  }

  /** What a press at a place would take hold of. */
  under(at) {
    const { drawing, view, overlays } = this.editor;
    if (this.editor.looksAtOthers) return { kind: lineAt(overlays.overlay.lines, at, view, SELECT_PX) < 0 ? "nothing" : "line" };
    const { line } = drawing;
    if (line) {
      const vertex = vertexAt(line, at, view, EDIT_PX + 1);
      if (vertex >= 0) return { kind: "vertex", vertex };
    }
    const near = drawing.chosen.find((chosen) => distanceTo(chosen, at, view) <= EDIT_PX);
    if (near) return { kind: "insert", id: near.id };
    const index = lineAt(this.editor.shown, at, view, SELECT_PX);
    return index >= 0 ? { kind: "line", id: this.editor.shown[index].id } : { kind: "nothing" };
  }

  press(event) {
    const { editor, stage } = this;
    if (!editor.loaded || this.drag) return;
    stage.focus({ preventScroll: true });
    stage.setPointerCapture(event.pointerId);
    const at = this.on(event);
    const start = { at, moved: false, button: event.button, points: [this.pixel(at)] };
    editor.hideCursor();
    if (event.button !== 0 || editor.spaceHeld) this.drag = { ...start, kind: "pan", from: { tx: editor.view.tx, ty: editor.view.ty } };
    else if (editor.looksAtOthers) this.drag = { ...start, kind: "pan", from: { tx: editor.view.tx, ty: editor.view.ty }, picks: true };
    else if (editor.mode === "erase" || (event.shiftKey && !editor.growing)) this.drag = { ...start, kind: "box" };
    else if (editor.mode !== "edit") this.drag = { ...start, kind: "stroke" };
    else this.drag = this.pressToEdit(event, start);
    if (this.drag?.kind === "pan") editor.spacePanned = true;
  }

  pressToEdit(event, start) {
    const { editor } = this;
    const hit = this.under(start.at);
    if (hit.kind === "vertex" && event.altKey) {
      editor.do("delete_vertex", () => editor.drawing.deleteVertex(hit.vertex));
      return { ...start, kind: "done" };
    }
    if (hit.kind === "vertex") {
      editor.drawing.select(editor.drawing.selected, hit.vertex);
      editor.render("live", "panel");
    }
    if (hit.kind === "nothing") return { ...start, kind: "pan", from: { tx: editor.view.tx, ty: editor.view.ty }, background: true };
    return { ...start, ...hit };
  }

  move(event) {
    const { editor, drag } = this;
    if (!editor.loaded) return;
    const at = this.on(event);
    editor.showPlace(this.pixel(at));
    if (!drag) {
      if (editor.mode === "edit") this.hover(at);
      else editor.pull(this.pixel(at), event);
      return;
    }
    drag.moved ||= Math.hypot(at.x - drag.at.x, at.y - drag.at.y) > MOVED_PX;
    if (!drag.moved) return;
    if (drag.kind === "pan") {
      this.stage.dataset.panning = "";
      editor.view.pan(drag.from.tx + at.x - drag.at.x, drag.from.ty + at.y - drag.at.y);
      editor.render("view");
    } else if (drag.kind === "stroke") {
      for (const step of event.getCoalescedEvents?.() ?? [event]) drag.points.push(this.pixel(this.on(step)));
      editor.sketch(drag.points, editor.mode === "brush" && event.altKey);
    } else if (drag.kind === "box") editor.showBox(boxOf(drag.points[0], this.pixel(at)));
    else if (drag.kind === "vertex" || drag.kind === "insert") this.bend(drag, this.pixel(at), event);
  }

  hover(at) {
    const { kind } = this.under(at);
    this.stage.dataset.over = kind === "nothing" ? "" : kind;
  }

  /** Show the line at hand as it will be when the button is let go. */
  bend(drag, to, event) {
    const { editor } = this;
    if (drag.kind === "insert") {
      const { drawing } = editor;
      if (drag.id !== drawing.line.id) drawing.select([...drawing.selected.filter((id) => id !== drag.id), drag.id]);
      const { vertices } = drawing.line;
      const index = vertices.findIndex((v) => v.x > drag.points[0].x);
      if (index < 1) {
        this.drag = { ...drag, kind: "done" };
        return;
      }
      const vertex = { ...drag.points[0], set: true };
      Object.assign(drag, { kind: "vertex", vertex: index, vertices: [...vertices.slice(0, index), vertex, ...vertices.slice(index)] });
    }
    drag.vertices ??= editor.drawing.line.vertices;
    drag.to = editor.movedVertex(drag.vertices, drag.vertex, editor.snapped(to, event));
    editor.preview(replaced(drag.vertices, drag.vertex, drag.to), drag.vertex);
  }

  release(event) {
    const { editor, drag } = this;
    this.drag = null;
    delete this.stage.dataset.panning;
    if (!drag) return;
    const at = this.on(event);
    if (drag.kind === "box") this.releaseBox(drag, at, event);
    else if (drag.kind === "stroke" && editor.mode === "brush") this.releaseBrush(drag, event);
    else if (drag.kind === "stroke" && drag.moved) editor.addStroke(drag.points, event);
    else if (drag.kind === "stroke") editor.placePoint(this.pixel(at), event);
    else if (drag.kind === "vertex" && drag.moved && drag.to) this.releaseVertex(drag, event);
    else if (!drag.moved) this.click(drag, event);
    editor.render("live");
  }

  releaseBrush(drag, event) {
    if (!drag.moved) this.click(drag, event);
    else if (event.altKey) this.editor.crossOut(drag.points);
    else this.editor.brush(drag.points);
  }

  releaseVertex(drag, event) {
    const { editor } = this;
    const before = drag.vertices[drag.vertex];
    const reach = Math.max(LEAST_NEIGHBOURHOOD, NEIGHBOURHOOD * Math.abs(drag.to.y - before.y), Math.abs(drag.to.x - before.x));
    editor.bendTo(drag.vertices, drag.vertex, drag.to, event.altKey ? 0 : reach);
  }

  releaseBox(drag, at, event) {
    const { editor } = this;
    editor.showBox(null);
    const box = boxOf(drag.points[0], this.pixel(at));
    if (editor.mode === "erase") {
      if (drag.moved) editor.do("erase", () => editor.drawing.erase(box));
    } else if (drag.moved) editor.selectBox(box);
    else editor.selectAt(drag.at, event.shiftKey, SELECT_PX);
    editor.effort.count(drag.moved ? "drag" : "click");
  }

  click(drag, event) {
    const { editor } = this;
    if (drag.button !== 0 || drag.kind === "done") return;
    editor.effort.count("click");
    if (drag.kind === "vertex") return;
    if (drag.kind === "pan") {
      if (drag.picks) editor.overlays.pickAt(drag.at);
      else if (drag.background) editor.select([]);
      return;
    }
    editor.selectAt(drag.at, event.shiftKey, SELECT_PX);
  }

  cancel() {
    this.drag = null;
    delete this.stage.dataset.panning;
    this.editor.showBox(null);
    this.editor.preview(null);
  }

  doubleClick(event) {
    const { editor } = this;
    if (event.button !== 0) return;
    if (editor.growing) {
      editor.finish();
      return;
    }
    const at = this.on(event);
    if (editor.mode === "edit" && this.under(at).kind === "insert") {
      editor.do("insert_vertex", () => editor.drawing.insertVertex(editor.snapped(this.pixel(at), event)));
    }
  }

  wheel(event) {
    event.preventDefault();
    const delta = event.deltaY || event.deltaX; // with Shift, some browsers turn the wheel sideways
    const factor = Math.exp(-Math.min(Math.max(delta, -200), 200) * 0.0022);
    this.editor.view.zoom(event.altKey ? 1 : factor, event.shiftKey ? 1 : factor, this.on(event));
    this.editor.render("view");
  }
}

export const boxOf = (a, b) => ({ left: Math.min(a.x, b.x), right: Math.max(a.x, b.x), top: Math.min(a.y, b.y), bottom: Math.max(a.y, b.y) });
