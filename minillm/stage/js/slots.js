// The sequences admitted, a badge each: solid decodes, hatched prefills, a dashed outline in the
// warning colour stalls, hollow and struck is a dead slot.

import { createBadge, el, keyed, setBadge, setText, toggle } from "./dom.js";

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

export function createSlots(container, look, say) {
  const list = el("div", "ms-slots");
  const more = el("span", "ms-slots-more");
  container.append(list, more);

  function draw(rows, { room, selection }) {
    // How many more there are takes the room of two.
    const shown = rows.slice(0, rows.length > room ? Math.max(1, room - 2) : room);
    keyed(list, shown, (row) => row.id, createBadge, (node, row) => {
      setBadge(node, row.id, look, say);
      if (node.dataset.kind !== row.kind) node.dataset.kind = row.kind;
      toggle(node, "ms-quiet", selection !== null && selection !== row.id);
    });
    const stalled = rows.filter((row) => row.kind === "stalled").length;
    const dead = rows.filter((row) => row.kind === "dead").length;
    const hidden = rows.length - shown.length;
    const facts = [];
    if (hidden) facts.push(say("stage.more", { n: hidden }));
    if (stalled) facts.push(say("stage.stalled", { n: stalled }));
    if (dead) facts.push(say("stage.dead", { n: dead }));
    setText(more, facts.join(" · "));
    toggle(more, "ms-warn", stalled > 0 || dead > 0);
  }

  return { draw };
}
