// The block table of the selected request, logical → physical: rows of physical blocks, each row
// led by the logical number of its first. The fill of each cell is the fill of its block.

import { el, keyed, paintHue, setShown, setText, toggle } from "./dom.js";
import { count } from "./messages.js";
import { plural } from "./narration.js";
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

export function createBlockTable(region, look) {
  const summary = el("div", "ms-table-summary");
  const prompt = el("div", "ms-table-prompt", { dir: "auto" });
  const grid = el("div", "ms-table-grid", { role: "table", "aria-label": "block table", tabindex: "0" });
  region.body.append(summary, prompt, grid);
  let length = 0;

  function create(item) {
    if (item.label) return el("span", "ms-table-label", { role: "rowheader" });
    return el("span", "ms-table-cell", { role: "cell" });
  }

  function draw(table, sequence, blockSize) {
    const held = plural(table.blocks.length, "block");
    const found = table.cached_tokens ? `, ${count(table.cached_tokens)} from the cache` : "";
    setText(summary, table.blocks.length ? `${count(table.computed)} tokens in ${held}${found}` : "holds no block");
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
      const title = `logical ${logical} → physical ${physical}: ${filled} of ${blockSize} slots`
        + (owners > 1 ? `, shared by ${owners}` : "");
      if (cell.title !== title) cell.title = title;
      toggle(cell, "ms-shared", owners > 1);
    });
    // The end is where it grows.
    if (table.blocks.length !== length) grid.scrollTop = grid.scrollHeight;
    length = table.blocks.length;
  }

  return { draw };
}
