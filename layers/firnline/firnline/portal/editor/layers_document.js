import { byDepth } from "./geometry.js";

/** Lines [{label, vertices}] of a frame {frameId, width, height} as the document that can be uploaded beside it. */
export function layersDocument({ frameId, width, height }, lines, complete) {
  const px = (value) => Math.round(value * 100) / 100;
  return {
    schema: "firnline.layers/1",
    frame_id: frameId,
    image: { width, height },
    source: { kind: "human", created: new Date().toISOString() },
    coverage: complete ? "complete" : "partial",
    layers: byDepth(lines).map((index) => ({
      label: lines[index].label,
      vertices: lines[index].vertices.map(({ x, y }) => ({ x: px(x), y: px(y) })),
    })),
  };
}

/** The name that the document is taken under when it is uploaded. */
export const fileName = ({ frameId }) => `${frameId.split("/").pop()}.layers.json`;
