// The echogram as it is shown: grey values, averaged to the scale at hand, through gain, gamma and a colour map.

import { clamp } from "./geometry.js";

const TILE = 512; // pixels of a level, each way, that are coloured at once
const MOST_TILES = 160; // that are kept
const STRIP_ROWS = 256; // that are read from the browser's picture at once

const STOPS = {
  grey: [[0, 0, 0], [255, 255, 255]],
  // Nuñez, Anderton & Renslow 2018: the same to people with and without a colour blindness.
  cividis: [[0, 34, 78], [18, 53, 112], [59, 73, 108], [87, 93, 109], [112, 113, 115], [138, 134, 120], [165, 156, 116], [195, 179, 105], [225, 204, 85], [254, 232, 56]],
  magma: [[0, 0, 4], [24, 15, 61], [68, 15, 118], [114, 31, 129], [158, 47, 127], [205, 64, 113], [241, 96, 93], [253, 150, 104], [254, 202, 141], [252, 253, 191]],
};
export const COLOUR_MAPS = Object.keys(STOPS);

/** 256 colours as little-endian RGBA words. */
export function colourMap(name) {
  const stops = STOPS[name] ?? STOPS.grey;
  return Uint32Array.from({ length: 256 }, (_, i) => {
    const at = (i / 255) * (stops.length - 1);
    const k = Math.min(Math.floor(at), stops.length - 2);
    const [r, g, b] = [0, 1, 2].map((c) => Math.round(stops[k][c] + (at - k) * (stops[k + 1][c] - stops[k][c])));
    return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
  });
}

/** What becomes of grey values at a relative depth of 0 to 1: gain with depth, contrast by gamma, inversion; 256 places in a map. */
export function toneCurve({ invert, gamma, brightness, gain }, depth) {
  return Uint8Array.from({ length: 256 }, (_, i) => {
    const value = clamp((i / 255) * brightness * (1 + gain * depth), 0, 1) ** (1 / gamma);
    return Math.round(255 * (invert ? 1 - value : value));
  });
}

/** Means of 2 neighbouring pixels, across or down, of grey values (height, width). */
export function halved({ grey, width, height }, across) {
  const w = across ? Math.ceil(width / 2) : width;
  const h = across ? height : Math.ceil(height / 2);
  const out = new Uint8Array(w * h);
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      const at = across ? y * width + 2 * x : 2 * y * width + x;
      const last = across ? 2 * x + 1 >= width : 2 * y + 1 >= height;
      out[y * w + x] = last ? grey[at] : (grey[at] + grey[at + (across ? 1 : width)] + 1) >> 1;
    }
  }
  return { grey: out, width: w, height: h };
}

/** Grey values of a picture that the browser has loaded; throws where its origin does not let the page read it. */
export function greyOf(image) {
  const { naturalWidth: width, naturalHeight: height } = image;
  const grey = new Uint8Array(width * height);
  const strip = document.createElement("canvas");
  strip.width = width;
  strip.height = Math.min(STRIP_ROWS, height);
  const context = strip.getContext("2d", { willReadFrequently: true });
  for (let top = 0; top < height; top += STRIP_ROWS) {
    const rows = Math.min(STRIP_ROWS, height - top);
    context.drawImage(image, 0, top, width, rows, 0, 0, width, rows);
    const { data } = context.getImageData(0, 0, width, rows);
    for (let i = 0, at = top * width; i < data.length; i += 4) grey[at++] = data[i];
  }
  return grey;
}

export class Picture {
  levels = new Map();
  tiles = new Map();
  settings = { invert: false, gamma: 1, brightness: 1, gain: 0, map: "grey" };

  constructor(grey, width, height) {
    this.levels.set("0,0", { grey, width, height });
  }

  set(settings) {
    this.settings = { ...this.settings, ...settings };
    this.tiles.clear();
  }

  /** The echogram averaged over 2^kx traces and 2^ky rows. */
  level(kx, ky) {
    const key = `${kx},${ky}`;
    if (!this.levels.has(key)) this.levels.set(key, ky > 0 ? halved(this.level(kx, ky - 1), false) : halved(this.level(kx - 1, 0), true));
    return this.levels.get(key);
  }

  tile(kx, ky, column, row) {
    const key = `${kx},${ky},${column},${row}`;
    let tile = this.tiles.get(key);
    this.tiles.delete(key);
    tile ??= this.coloured(this.level(kx, ky), column * TILE, row * TILE);
    this.tiles.set(key, tile); // the one used last is the last to go
    if (this.tiles.size > MOST_TILES) this.tiles.delete(this.tiles.keys().next().value);
    return tile;
  }

  coloured({ grey, width, height }, left, top) {
    const w = Math.min(TILE, width - left);
    const h = Math.min(TILE, height - top);
    const tile = document.createElement("canvas");
    tile.width = w;
    tile.height = h;
    const context = tile.getContext("2d");
    const out = context.createImageData(w, h);
    const words = new Uint32Array(out.data.buffer);
    const colours = colourMap(this.settings.map);
    let curve = null;
    for (let y = 0; y < h; y++) {
      // Gain changes slowly with depth: sixteen rows share a curve.
      if (!curve || y % 16 === 0) curve = toneCurve(this.settings, (top + y) / height);
      for (let x = 0, at = (top + y) * width + left; x < w; x++) words[y * w + x] = colours[curve[grey[at + x]]];
    }
    context.putImageData(out, 0, 0);
    return tile;
  }

  /** Draw what is in sight onto a stage's canvas, whose pixels are `ratio` of the screen's. */
  draw(context, view, ratio) {
    const { sight } = view;
    const level = (scale) => Math.max(0, Math.floor(Math.log2(1 / (scale * ratio)) + 0.2));
    const [kx, ky] = [level(view.sx), level(view.sy)];
    const { width, height } = this.level(kx, ky);
    const [stepX, stepY] = [2 ** kx, 2 ** ky];
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#0a0f14";
    context.fillRect(0, 0, context.canvas.width, context.canvas.height);
    context.imageSmoothingEnabled = Math.min(view.sx, view.sy) * ratio < 2.5;
    const from = (value, step) => Math.max(0, Math.floor((value + 0.5) / step / TILE));
    const to = (value, step, size) => Math.min(Math.ceil(size / TILE) - 1, Math.floor((value + 0.5) / step / TILE));
    for (let row = from(sight.top, stepY); row <= to(sight.bottom, stepY, height); row++) {
      for (let column = from(sight.left, stepX); column <= to(sight.right, stepX, width); column++) {
        const tile = this.tile(kx, ky, column, row);
        // Edges on whole pixels, so that no seam shows between tiles.
        const edge = (pixel, step, scale, offset) => Math.round((pixel * step * scale + offset) * ratio);
        const x0 = edge(column * TILE, stepX, view.sx, view.tx);
        const y0 = edge(row * TILE, stepY, view.sy, view.ty);
        const x1 = edge(column * TILE + tile.width, stepX, view.sx, view.tx);
        const y1 = edge(row * TILE + tile.height, stepY, view.sy, view.ty);
        context.drawImage(tile, x0, y0, x1 - x0, y1 - y0);
      }
    }
  }
}
