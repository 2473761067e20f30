// The same tile in each layout of the cache: the bytes that the first warp asks for, on a ruler of
// lines of 128 bytes, and what the whole load costs.

import { el, setText, toggle } from "../js/dom.js";
import { count } from "../js/messages.js";
import { shape } from "./frame.js";
import { LINE, SECTOR, costOf, sameLoad, sectorsOf, totalOf, warpLines, winners } from "./traffic.js";

const PITCH = 17; // CSS px of a line on the ruler
const THICK = 11;

export function createLayouts(region, look, say, chooseLayout) {
  const columns = el("div", "kx-layout-columns");
  region.body.append(columns);
  let shown = null;
  const parts = new Map();

  function create(name) {
    const node = el("section", "kx-layout", { "aria-label": name, "data-layout": name });
    const head = el("header", "kx-layout-head");
    const choose = el("button", "kx-layout-name", { type: "button" });
    choose.textContent = name;
    choose.addEventListener("click", () => chooseLayout(name));
    const axes = el("span", "kx-layout-axes");
    const mark = el("span", "kx-winner");
    head.append(choose, axes, mark);
    const ruler = el("div", "kx-ruler");
    const main = el("p", "kx-cost");
    const more = el("p", "kx-cost-more");
    node.append(head, ruler, main, more);
    parts.set(name, { node, axes, mark, ruler, main, more, choose });
    return node;
  }

  /** `seen`: {layout: anatomy | null}; `program` and `step` say which load; `current`: the layout
   * that the rest of the picture is of. */
  function draw(seen, program, step, current) {
    const names = Object.keys(seen);
    if (shown !== names.join()) {
      shown = names.join();
      parts.clear();
      columns.replaceChildren(...names.map(create));
    }
    const load = loadOf(program, step);
    const accesses = Object.fromEntries(names.map((name) => [name, load && seen[name]
      ? sameLoad(seen[name], program.id, load.tensor, load.ordinal) : null]));
    const found = Object.entries(accesses).filter(([, access]) => access?.lines);
    const costs = Object.fromEntries(found.map(([name, access]) => [name, costOf(access)]));
    const best = winners(costs);
    const same = best.length === 0 && found.length > 1;
    setText(region.figure, load ? say(same ? "kernel.layouts_same" : "kernel.layouts_of",
      { what: load.tensor === "k_cache" ? "K" : "V", tile: load.ordinal + 1 }) : "");
    for (const name of names) {
      const { node, axes, mark, ruler, main, more, choose } = parts.get(name);
      toggle(node, "kx-on", name === current);
      choose.disabled = !seen[name];
      choose.setAttribute("aria-pressed", String(name === current));
      toggle(node, "kx-best", best.includes(name));
      setText(mark, best.includes(name) ? say("kernel.fewest") : "");
      if (!costs[name]) {
        setText(axes, "");
        ruler.replaceChildren();
        setText(main, seen[name] ? say("kernel.layout_nothing") : say("kernel.layout_none"));
        setText(more, "");
        continue;
      }
      setText(axes, `[${seen[name].tensors.get(load.tensor).axes.map((axis) => say(`kernel.axis_${axis}`)).join(", ")}]`);
      axes.title = axes.textContent;
      paintRuler(ruler, accesses[name]);
      const { lines, sectors, requests, ofLines, ofSectors } = costs[name];
      setText(main, say("kernel.cost_lines", { n: lines, used: percent(ofLines), sectors, of: percent(ofSectors) }));
      setText(more, say("kernel.cost_more", { n: requests, all: totalOf(seen[name], "lines") }));
    }
  }

  function paintRuler(ruler, access) {
    const width = Math.max(150, ruler.clientWidth);
    const pitch = PITCH * look.scale;
    const thick = THICK * look.scale;
    const rows = Math.max(2, Math.floor(ruler.clientHeight / pitch));
    const lines = warpLines(access);
    const label = 60 * look.scale;
    const most = Math.max(1, Math.min(4, Math.floor(width / (label + 80))));
    const places = Math.min(most, Math.max(2, Math.ceil(lines.length / rows)));
    const wide = width / places;
    const bar = Math.min(wide - label - 12, 220);
    const drawn = lines.length > rows * places ? lines.slice(0, rows * places - 1) : lines;
    const drawing = shape("svg", { width, height: rows * pitch, role: "img",
      "aria-label": say("kernel.ruler", { n: lines.length, threads: lines.reduce((sum, { parts: all }) => sum + all.length, 0), bytes: access.thread_bytes }) });
    drawn.forEach((line, i) => {
      const x = Math.floor(i / rows) * wide;
      const y = (i % rows) * pitch;
      drawing.append(shape("text", { x: x + label - 6, y: y + thick + 1, "text-anchor": "end", class: "kx-address" }, count(line.line * LINE)));
      const group = shape("g", { transform: `translate(${x + label} ${y + 1})` });
      paintLine(group, line, bar, thick);
      drawing.append(group);
    });
    if (drawn.length < lines.length) {
      const i = drawn.length;
      drawing.append(shape("text", { x: Math.floor(i / rows) * wide + label, y: (i % rows) * pitch + thick + 1, class: "kx-address" },
        say("kernel.more_lines", { n: lines.length - i })));
    }
    ruler.replaceChildren(drawing);
  }

  function paintLine(group, line, bar, thick) {
    const scale = bar / LINE;
    for (let sector = 0; sector < LINE / SECTOR; sector++) {
      const fetched = sectorsOf(line).includes(sector);
      group.append(shape("rect", { x: sector * SECTOR * scale, y: 0, width: SECTOR * scale, height: thick,
        class: fetched ? "kx-sector kx-fetched" : "kx-sector" }));
    }
    for (const { thread, from, to } of line.parts) {
      const part = shape("rect", { x: from * scale + 0.5, y: 1, width: Math.max(0.8, (to - from) * scale - 1), height: thick - 2, class: "kx-thread" });
      part.append(shape("title", {}, say("kernel.thread", { thread, from: line.line * LINE + from, to: line.line * LINE + to - 1 })));
      group.append(part);
    }
  }

  return { draw };
}

/** Which load of K or V the layouts show at `step`: the one there, else the next, else the last. */
function loadOf(program, step) {
  const loads = program.steps.filter(({ kind }) => kind === "k" || kind === "v");
  const found = loads.find(({ index }) => index >= step) ?? loads.at(-1);
  if (!found) return null;
  const { tensor } = found.access;
  const ordinal = loads.filter((load) => load.access.tensor === tensor).indexOf(found);
  return { tensor, ordinal };
}

function percent(share) {
  return `${Math.round(share * 100)} %`;
}
