// The grid of program instances: a cell each, coloured by whose queries it has, with a mark for
// every block that it reads, in order, tile by tile. All stand at the same number of loads.

import { el, keyed, paintHue, setText, toggle } from "../js/dom.js";

const KNOWN = { _paged_attention: "paged", _attend: "simple" };

export function createGrid(region, look, say, choose) {
  const axes = el("p", "kx-axes");
  const table = el("div", "kx-grid-cells", { role: "listbox", tabindex: "0", "aria-label": say("kernel.grid") });
  region.body.append(axes, table);
  table.addEventListener("click", (event) => {
    const node = event.target.closest("[data-program]");
    if (node) choose(Number(node.dataset.program));
  });
  let shown = null;
  let chosen = null;

  function create() {
    const node = el("div", "kx-cell", { role: "option" });
    const head = el("span", "kx-cell-head");
    const name = el("span", "kx-cell-id");
    const badge = el("span", "ms-badge ms-badge-small");
    head.append(badge, name);
    const marks = el("span", "kx-marks");
    node.append(head, marks);
    node.parts = { name, marks, badge, head };
    return node;
  }

  function fill(node, index, program) {
    const { name, marks, badge, head } = node.parts;
    node.dataset.program = String(index);
    node.id = `kx-program-${index}`;
    setText(name, idOf(program.id, shown.grid));
    toggle(node, "kx-spare", program.spare);
    marks.replaceChildren();
    if (program.spare) {
      badge.remove();
      marks.textContent = say("kernel.spare");
      node.style.removeProperty("--hue");
      return;
    }
    head.prepend(badge);
    setText(badge, program.sequence);
    paintHue(node, program.sequence, look);
    for (const step of program.steps) {
      if (step.kind !== "k") continue;
      const tile = el("span", "kx-mark-tile");
      tile.step = step.index;
      for (const { block } of step.blocks) tile.append(el("i", "kx-mark", { "data-block": block }));
      marks.append(tile);
    }
  }

  function draw(seen, selected, step) {
    if (shown !== seen) {
      shown = seen;
      const columns = seen.grid[1] * seen.grid[2];
      table.style.setProperty("--columns", String(columns));
      toggle(table, "kx-four", columns > 2 && columns <= 4);
      toggle(table, "kx-many", columns > 4);
      setText(axes, say(`kernel.axes_${KNOWN[seen.kernel] ?? "any"}`));
      setText(region.figure, seen.grid.filter((n, i) => i < 2 || n > 1).join(" × "));
      const entries = byPlace(seen.programs);
      keyed(table, entries, ({ index }) => index, create, (node, { index, program }) => fill(node, index, program));
    }
    for (const node of table.children) {
      const index = Number(node.dataset.program);
      const program = seen.programs[index];
      const on = index === selected;
      toggle(node, "kx-on", on);
      node.setAttribute("aria-selected", String(on));
      const words = program.spare ? say("kernel.spare_of", { id: idOf(program.id, seen.grid) })
        : say("kernel.cell", { id: idOf(program.id, seen.grid), sequence: program.sequence, blocks: program.order.size, n: program.rows.length });
      node.setAttribute("aria-label", words);
      node.title = words;
      for (const tile of node.querySelectorAll(".kx-mark-tile")) {
        const until = step - tile.step;
        // K, then V: a tile is being read for two loads.
        toggle(tile, "kx-now", until === 0 || until === 1);
        toggle(tile, "kx-done", until > 1);
      }
    }
    table.setAttribute("aria-activedescendant", `kx-program-${selected}`);
    // Only when it changes: whoever scrolls the grid is left alone.
    if (selected !== chosen) reveal(table.querySelector(".kx-on"));
    chosen = selected;
  }

  /** Scroll the grid, and nothing around it, until the chosen cell is seen. */
  function reveal(node) {
    const over = node.offsetTop + node.offsetHeight - table.offsetTop - table.clientHeight;
    const under = node.offsetTop - table.offsetTop;
    table.scrollTop = Math.max(over, Math.min(table.scrollTop, under));
  }

  function resized() {
    chosen = null;
  }

  return { draw, resized };
}

/** Row by row of the picture: axis 0 goes down, axes 1 and 2 to the right. */
function byPlace(programs) {
  return programs.map((program, index) => ({ index, program }))
    .sort((a, b) => a.program.id.map((x, i) => x - b.program.id[i]).find((d) => d !== 0) ?? 0);
}

/** A program's id without the axes that the grid does not have. */
export function idOf(id, grid) {
  return id.filter((_, axis) => axis < 2 || grid[axis] > 1).join(",");
}
