// Small parts of the segment browser: SVG elements, ticks, and work that is done a few pieces at a time.

const SVG = "http://www.w3.org/2000/svg";
const WAIT_MS = 800;

export function element(name, attributes = {}, text = "") {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

/** The smallest of 1, 2 and 5 times a power of ten that is at least `least`. */
export function niceStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].find((times) => times * power >= least * (1 - 1e-9)) * power;
}

export function ceilingTicks(from, to, step) {
  const found = [];
  for (let number = Math.ceil(from / step - 1e-9); number * step <= to * (1 + 1e-12); number += 1) found.push(number * step);
  return found;
}

export function told(value, decimals) {
  return value.toFixed(decimals).replace(/^-(0(\.0*)?)$/, "$1");
}

/** A function that does pieces of work, `atOnce` of them at a time; each is tried `tries` times, unless it is refused for good. */
export function taking(atOnce, tries) {
  const waiting = [];
  let busy = 0;
  const next = async () => {
    if (busy >= atOnce || !waiting.length) return;
    busy += 1;
    const { work, done, failed } = waiting.shift();
    for (let attempt = 1; ; attempt += 1) {
      try {
        done(await work());
        break;
      } catch (error) {
        if (attempt >= tries || [401, 403, 404].includes(error.cause)) {
          failed(error);
          break;
        }
        await new Promise((resolve) => setTimeout(resolve, WAIT_MS * attempt));
      }
    }
    busy -= 1;
    next();
  };
  return (work) =>
    new Promise((done, failed) => {
      waiting.push({ work, done, failed });
      next();
    });
}
