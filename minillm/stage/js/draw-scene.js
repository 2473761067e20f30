// A frame: the three pictures and the texts around them.

import { drawText } from "./draw-text.js";

/** Draw `scene` (js/scene.js); true while something fades from what was drawn before. `axis`: the
 * timeline's (js/axis.js); `marks`: times (ns) to flag on it; `cross`: the step before or after
 * was drawn last, so blocks fade; the rest as for `drawText`. */
export function drawScene(frame, parts, scene, { now, cross, axis, marks, ...context }) {
  const { state, view, table } = scene;
  const { recording, player, selection } = context;
  const { block_size, max_num_batched_tokens } = recording.header;
  parts.batch.draw(state.batch, max_num_batched_tokens, selection);
  const crossing = parts.blocks.draw(view, { blockSize: block_size, selection, now,
    selectedBlocks: new Set(table ? table.blocks.map((entry) => entry[1]) : []), cross });
  const noted = player.notes.map((position) => recording.steps[position].t + recording.steps[position].d);
  parts.timeline.draw(recording.timeline, { time: scene.time, along: axis, selection,
    length: recording.length, notes: [...noted, ...marks] });
  drawText(frame, parts, scene, context);
  return crossing;
}
