// Everything that the chosen program loads and stores, in its order: a strip that is also the
// slider.

import { el, keyed, setText, toggle } from "../js/dom.js";

const WEIGHT = { k: 4, v: 4, table: 2, q: 2, out: 2, lengths: 0.6 };
const LETTER = { k: "K", v: "V" };

export function createLoads(region, look, say, seek) {
  const strip = el("div", "kx-strip", { role: "slider", tabindex: "0", "aria-label": say("kernel.loads"), "aria-valuemin": "1" });
  region.body.append(strip);
  let dragging = false;

  function reach(event) {
    const cell = [...strip.children].find((node) => {
      const { left, right } = node.getBoundingClientRect();
      return event.clientX >= left && event.clientX < right + 2;
    });
    if (cell) seek(Number(cell.dataset.step));
  }
  strip.addEventListener("pointerdown", (event) => {
    dragging = true;
    strip.setPointerCapture(event.pointerId);
    reach(event);
  });
  strip.addEventListener("pointermove", (event) => { if (dragging) reach(event); });
  strip.addEventListener("pointerup", () => { dragging = false; });
  strip.addEventListener("pointercancel", () => { dragging = false; });

  function create() {
    const node = el("div", "kx-load");
    const kind = el("b", "kx-load-kind");
    const what = el("span", "kx-load-what");
    node.append(kind, what);
    node.parts = { kind, what };
    return node;
  }

  function draw(program, at, words) {
    const weights = program.steps.map(({ kind }) => WEIGHT[kind]);
    const unit = strip.clientWidth / weights.reduce((sum, w) => sum + w, 0);
    keyed(strip, program.steps, ({ index }) => index, create, (node, step) => {
      node.dataset.step = String(step.index);
      node.dataset.kind = step.kind;
      node.style.flexGrow = String(WEIGHT[step.kind]);
      toggle(node, "kx-now", step.index === at);
      toggle(node, "kx-ahead", step.index > at);
      const room = unit * WEIGHT[step.kind] - 10;
      const [kind, what] = labels(step, room);
      setText(node.parts.kind, kind);
      setText(node.parts.what, what);
    });
    setText(region.figure, say("kernel.load_of", { n: at + 1, all: program.steps.length }));
    strip.setAttribute("aria-valuemax", String(program.steps.length));
    strip.setAttribute("aria-valuenow", String(at + 1));
    strip.setAttribute("aria-valuetext", words);
  }

  /** What fits of a load's name: its letter and blocks, the letter, nothing. */
  function labels({ kind, blocks }, room) {
    const name = LETTER[kind] ?? say(`kernel.kind_${kind}`);
    const numbers = blocks.map(({ block }) => block).join(" ");
    const per = 8.2 * look.scale;
    const wide = [...name].reduce((sum, c) => sum + (c.charCodeAt(0) > 0x2e80 ? 15 : per), 0);
    if (numbers && wide + (numbers.length + 1) * per <= room) return [name, numbers];
    return wide <= room ? [name, ""] : ["", ""];
  }

  return { draw };
}
