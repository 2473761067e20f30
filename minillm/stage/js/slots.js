// The sequences admitted, a badge each: solid decodes, hatched prefills, a dashed outline in the
// warning colour stalls, hollow and struck is a dead slot, an empty outline a free one.

import { createBadge, el, keyed, setBadge, setText, toggle } from "./dom.js";
import { count } from "./narration.js";

const FREE_SLOTS = 16; // free slots are drawn where there are so few that they mean something

/** Admitted sequences in order of arrival: [{id, kind, tokens}]. */
export function slotRows(state) {
  const kinds = new Map(state.batch.map((row) => [row.id, row]));
  for (const id of state.stalled) kinds.set(id, { kind: "stalled", tokens: 0 });
  const rows = [];
  for (const id of state.sequences.keys()) {
    const row = kinds.get(id);
    if (row) rows.push({ id, kind: row.kind, tokens: row.tokens });
  }
  return rows;
}

export function createSlots(container, look) {
  const list = el("div", "ms-slots");
  const more = el("span", "ms-slots-more");
  container.append(list, more);

  function draw(rows, header, { room, selection }) {
    const slots = header.max_num_seqs;
    const free = slots <= FREE_SLOTS ? Math.max(0, slots - rows.length) : 0;
    const fits = rows.length + free <= room ? rows.length : Math.min(rows.length, room);
    const shown = rows.slice(0, fits);
    for (let i = 0; i < Math.min(free, room - fits); i++) shown.push({ id: `free ${i}`, kind: "free" });
    keyed(list, shown, (row) => row.id, (row) => {
      if (row.kind !== "free") return createBadge();
      return el("span", "ms-slot-free", { title: "free sequence slot" });
    }, (node, row) => {
      if (row.kind === "free") return;
      setBadge(node, row.id, look);
      if (node.dataset.kind !== row.kind) node.dataset.kind = row.kind;
      toggle(node, "ms-quiet", selection !== null && selection !== row.id);
    });
    const stalled = rows.filter((row) => row.kind === "stalled").length;
    const dead = rows.filter((row) => row.kind === "dead").length;
    const hidden = rows.length - Math.min(fits, rows.length);
    const facts = [];
    if (hidden) facts.push(`+${count(hidden)} more`);
    if (stalled) facts.push(`${count(stalled)} stalled`);
    if (dead) facts.push(`${count(dead)} dead`);
    setText(more, facts.join(" · "));
    toggle(more, "ms-warn", stalled > 0 || dead > 0);
  }

  return { draw };
}
