// The KV cache's physical blocks, as on the stage: owner is hue, slots in use are height. Numbers
// are the order in which the chosen program reads them; the ones being read stand out.

import { el, keyed, setText, toggle } from "../js/dom.js";
import { gridLayout } from "../js/draw-blocks.js";
import { blocksAt, readersOf } from "./anatomy.js";
import { idOf } from "./draw-grid.js";

export function createPool(region, look, say) {
  const cells = el("div", "kx-pool-cells", { role: "list" });
  const legend = el("div", "ms-legend");
  region.body.append(cells);
  region.node.append(legend);
  for (const kind of ["now", "read", "coming", "not"]) {
    const entry = el("span", "ms-legend-entry");
    const words = el("span");
    words.textContent = say(`kernel.legend_${kind}`);
    entry.append(el("i", `kx-swatch kx-swatch-${kind}`, { "aria-hidden": "true" }), words);
    legend.append(entry);
  }

  function create() {
    const node = el("div", "kx-block", { role: "listitem" });
    const fill = el("i", "kx-fill");
    const order = el("b", "kx-order");
    const number = el("span", "kx-number");
    node.append(fill, order, number);
    node.parts = { fill, order, number };
    return node;
  }

  function draw(seen, program, step) {
    const { clientWidth: width, clientHeight: height } = cells;
    const { columns, cellWidth, cellHeight } = gridLayout(seen.owners.length, Math.max(60, width), Math.max(60, height), 140 * look.scale);
    cells.style.gridTemplateColumns = `repeat(${columns}, ${cellWidth}px)`;
    cells.style.gridAutoRows = `${cellHeight}px`;
    toggle(cells, "kx-small", cellHeight < 36);
    const at = program.steps[step];
    const now = new Map(blocksAt(program, step).map((part) => [part.block, part]));
    const done = new Set(program.steps.slice(0, step).filter(({ kind }) => kind === "k")
      .flatMap(({ blocks }) => blocks.map(({ block }) => block)));
    const blocks = seen.owners.map((owned, number) => ({ number, ...owned }));
    keyed(cells, blocks, ({ number }) => number, create, (node, { number, owners, filled }) => {
      const { fill, order, number: label } = node.parts;
      const mine = program.order.has(number);
      const hues = owners.map((id) => look.hue(id));
      node.style.setProperty("--hue", hues[0] ?? "transparent");
      node.style.setProperty("--other", hues[1] ?? hues[0] ?? "transparent");
      toggle(node, "kx-free", owners.length === 0);
      toggle(node, "kx-shared", owners.length > 1);
      toggle(node, "kx-mine", mine);
      toggle(node, "kx-reading", now.has(number) && at.kind !== "table");
      toggle(node, "kx-sought", now.has(number) && at.kind === "table");
      toggle(node, "kx-done", done.has(number));
      fill.style.height = `${(filled / seen.case.block_size) * 100}%`;
      setText(order, mine ? String(program.order.get(number)) : "");
      setText(label, String(number));
      const words = told(seen, number, owners);
      if (node.title !== words) {
        node.title = words;
        node.setAttribute("aria-label", words);
      }
    });
    setText(region.figure, say("kernel.pool_of", { blocks: seen.owners.length, size: seen.case.block_size }));
  }

  function told(seen, block, owners) {
    if (!owners.length) return say("kernel.block_free", { block });
    const readers = readersOf(seen.programs, block);
    const names = readers.slice(0, 8).map((id) => idOf(id, seen.grid)).join("; ") + (readers.length > 8 ? " …" : "");
    return say("kernel.block", { block, owners: owners.join(", "), readers: readers.length, names });
  }

  return { draw };
}
