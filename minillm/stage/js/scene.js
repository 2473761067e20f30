// All that a frame shows, worked out of the folded state before anything is drawn.

import { blockTable } from "./block-table.js";
import { blockView, waitsBySequence } from "./fold.js";
import { narrate } from "./narration.js";
import { notesAt } from "./notes.js";
import { slotRows } from "./slots.js";
import { waitingRows } from "./waiting.js";

/** What the recording shows at `position` with `selection` (an id or null) picked out. `moment`:
 * the time (ns) that is to be seen, where that is not the step's end; null otherwise. */
export function sceneAt(recording, position, { selection, noted, moment, say }) {
  const { header, notes } = recording;
  const state = recording.stateAt(position);
  const view = blockView(state, header.block_size);
  const waits = waitsBySequence(state);
  return {
    state, view, waits,
    time: moment === null ? state.time : Math.min(moment, state.time),
    table: selection === null ? null : blockTable(state, view, selection, header.block_size),
    narration: narrate(state, header, say),
    notes: noted ? notesAt(notes, state.n) : [],
    waiting: waitingRows(state, waits, header, say),
    slots: slotRows(state),
  };
}

/** Ids of those that hold `block` in a scene. */
export function ownersIn({ state }, block) {
  return [...state.sequences.values()].filter((s) => s.blocks.includes(block)).map((s) => s.id);
}
