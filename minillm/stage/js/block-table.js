// The block table of the selected request: logical → physical, drawn as a grid, with how far the
// last block is filled.

import { createBadge, el, keyed, setBadge, setText, paintHue, setShown } from "./dom.js";
import { count, plural } from "./narration.js";
import { tail, visible } from "./text.js";

/** Plain data, for the panel and the read-out: {id, phase, tokens, blocks: [[logical, physical, filled, owners]]}. */
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
  const head = el("div", "ms-table-head");
  const badge = createBadge();
  const summary = el("span", "ms-table-summary");
  head.append(badge, summary);
  const prompt = el("div", "ms-table-prompt", { dir: "auto" });
  const legend = el("div", "ms-table-legend");
  setText(legend, "logical → physical block");
  const grid = el("div", "ms-table-grid", { role: "table", "aria-label": "block table" });
  region.body.append(head, prompt, legend, grid);

  function create() {
    const cell = el("div", "ms-table-cell", { role: "cell" });
    const logical = el("span", "ms-table-logical");
    const physical = el("span", "ms-table-physical");
    cell.append(logical, physical);
    cell.parts = { logical, physical };
    return cell;
  }

  function draw(table, sequence, blockSize) {
    setBadge(badge, table.id, look);
    const held = plural(table.blocks.length, "block");
    const found = table.cached_tokens ? `, ${count(table.cached_tokens)} from the cache` : "";
    setText(summary, `${PHASES[table.phase]} · ${count(table.computed)} tokens in ${held}${found}`);
    setText(prompt, sequence.prompt ? `“${visible(tail(sequence.prompt, 90))}”` : "");
    setShown(prompt, Boolean(sequence.prompt));
    setText(legend, table.blocks.length ? "logical → physical block" : "holds no block");
    keyed(grid, table.blocks, ([logical, physical]) => `${logical}:${physical}`, create,
      (cell, [logical, physical, filled, owners]) => {
        const { logical: l, physical: p } = cell.parts;
        setText(l, String(logical));
        setText(p, String(physical));
        paintHue(cell, table.id, look);
        const fill = `${Math.round((100 * filled) / blockSize)}%`;
        if (cell.style.getPropertyValue("--fill") !== fill) cell.style.setProperty("--fill", fill);
        const title = `logical ${logical} → physical ${physical}: ${filled} of ${blockSize} slots`
          + (owners > 1 ? `, shared by ${owners}` : "");
        if (cell.title !== title) cell.title = title;
        cell.classList.toggle("ms-shared", owners > 1);
      });
  }

  return { draw };
}

const PHASES = {
  waiting: "waits", prefill: "prefills", decode: "decodes", done: "done", finished: "finished",
};
