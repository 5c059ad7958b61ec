import { clamp } from "./geometry.js";

const LARGEST_SCALE = 60; // screen pixels of a pixel of the echogram
const FOLLOW_PX = 40; // how near to the edge of the stage a place may be before the view follows it

/** Where the echogram lies on the stage: screen = (pixel + 0.5) * scale + offset. */
export class View {
  sx = 1;
  sy = 1;
  tx = 0;
  ty = 0;
  fitted = true;

  constructor(width, height) {
    this.width = width; // of the echogram
    this.height = height;
    this.stage = { width: 1, height: 1 };
  }

  toScreen({ x, y }) {
    return { x: (x + 0.5) * this.sx + this.tx, y: (y + 0.5) * this.sy + this.ty };
  }

  toPixel({ x, y }) {
    return { x: (x - this.tx) / this.sx - 0.5, y: (y - this.ty) / this.sy - 0.5 };
  }

  inside({ x, y }) {
    return { x: clamp(x, 0, this.width - 1), y: clamp(y, 0, this.height - 1) };
  }

  resize(width, height) {
    this.stage = { width, height };
    if (this.fitted) this.fit();
    else this.keepInSight();
  }

  fit() {
    const { stage } = this;
    Object.assign(this, { sx: stage.width / this.width, sy: stage.height / this.height, tx: 0, ty: 0, fitted: true });
  }

  square() {
    const scale = Math.max(1, Math.min(this.sx, this.sy));
    this.scale(scale, scale);
  }

  zoom(fx, fy, about) {
    this.scale(this.sx * fx, this.sy * fy, about);
  }

  scale(toX, toY, about = { x: this.stage.width / 2, y: this.stage.height / 2 }) {
    const sx = clamp(toX, (0.5 * this.stage.width) / this.width, LARGEST_SCALE);
    const sy = clamp(toY, (0.5 * this.stage.height) / this.height, LARGEST_SCALE);
    this.tx = about.x - ((about.x - this.tx) * sx) / this.sx;
    this.ty = about.y - ((about.y - this.ty) * sy) / this.sy;
    Object.assign(this, { sx, sy, fitted: false });
    this.keepInSight();
  }

  pan(tx, ty) {
    Object.assign(this, { tx, ty, fitted: false });
    this.keepInSight();
  }

  keepInSight() {
    const { stage } = this;
    this.tx = clamp(this.tx, 0.2 * stage.width - this.width * this.sx, 0.8 * stage.width);
    this.ty = clamp(this.ty, 0.2 * stage.height - this.height * this.sy, 0.8 * stage.height);
  }

  centre(point, leastScale = 0) {
    const sx = Math.max(this.sx, leastScale);
    const sy = Math.max(this.sy, leastScale);
    const { stage } = this;
    Object.assign(this, { sx, sy, tx: stage.width / 2 - (point.x + 0.5) * sx, ty: stage.height / 2 - (point.y + 0.5) * sy, fitted: false });
  }

  /** Move just so far that a place is in sight. */
  follow(point) {
    const { stage } = this;
    const at = this.toScreen(point);
    const edge = (size) => (this.fitted ? 0 : Math.min(FOLLOW_PX, size / 4));
    const dx = clamp(at.x, edge(stage.width), stage.width - edge(stage.width)) - at.x;
    const dy = clamp(at.y, edge(stage.height), stage.height - edge(stage.height)) - at.y;
    if (!dx && !dy) return;
    this.tx += dx;
    this.ty += dy;
    this.fitted = false;
  }

  /** The part of the echogram in sight: {left, right, top, bottom} in pixels, floats. */
  get sight() {
    const a = this.toPixel({ x: 0, y: 0 });
    const b = this.toPixel({ x: this.stage.width, y: this.stage.height });
    return { left: a.x, top: a.y, right: b.x, bottom: b.y };
  }
}
