// The block table of the selected request, logical → physical: rows of physical blocks, each row
// led by the logical number of its first. The fill of each cell is the fill of its block.

import { el, keyed, paintHue, setShown, setText, toggle } from "./dom.js";
import { tail, visible } from "./text.js";

const PER_ROW = 5;

/** Plain data: {id, phase, computed, cached_tokens, blocks: [[logical, physical, filled, owners]]}. */
export function blockTable(state, view, id, blockSize) {
  const sequence = state.sequences.get(id);
  if (!sequence) return null;
  return {
    id, phase: sequence.phase, computed: sequence.computed, cached_tokens: sequence.cached_tokens,
    blocks: sequence.blocks.map((physical, logical) => [logical, physical,
      Math.max(0, Math.min(blockSize, sequence.computed - logical * blockSize)), view.owners[physical]]),
  };
}

export function createBlockTable(region, look, say) {
  const summary = el("div", "ms-table-summary");
  const prompt = el("div", "ms-table-prompt", { dir: "auto" });
  const grid = el("div", "ms-table-grid", { role: "group", "aria-label": say("stage.table"), tabindex: "0" });
  region.body.append(summary, prompt, grid);
  let length = 0;

  function create(item) {
    if (item.label) return el("span", "ms-table-label");
    return el("span", "ms-table-cell");
  }

  function summaryOf(table) {
    const n = table.blocks.length;
    if (!n) return say("stage.no_block");
    const tokens = say("stage.tokens_in_blocks", { tokens: table.computed, n });
    return table.cached_tokens ? say("stage.from_cache", { tokens, cached: table.cached_tokens }) : tokens;
  }

  function draw(table, sequence, blockSize) {
    setText(summary, summaryOf(table));
    setText(prompt, sequence.prompt ? `“${visible(tail(sequence.prompt, 60))}”` : "");
    setShown(prompt, Boolean(sequence.prompt));
    const items = [];
    for (const entry of table.blocks) {
      if (entry[0] % PER_ROW === 0) items.push({ label: `${entry[0]} →` });
      items.push({ entry });
    }
    keyed(grid, items, ({ label, entry }) => label ?? `${entry[0]}:${entry[1]}`, create, (cell, item) => {
      if (item.label) return setText(cell, item.label);
      const [logical, physical, filled, owners] = item.entry;
      setText(cell, String(physical));
      paintHue(cell, table.id, look);
      const fill = `${Math.round((100 * filled) / blockSize)}%`;
      if (cell.style.getPropertyValue("--fill") !== fill) cell.style.setProperty("--fill", fill);
      const its = say("stage.cell", { logical: String(logical), physical: String(physical), filled, size: blockSize });
      const title = owners > 1 ? say("stage.cell_shared", { cell: its, n: owners }) : its;
      if (cell.title !== title) cell.title = title;
      toggle(cell, "ms-shared", owners > 1);
    });
    // The end is where it grows.
    if (table.blocks.length !== length) grid.scrollTop = grid.scrollHeight;
    length = table.blocks.length;
  }

  return { draw };
}
