// The parts of the stage that draw, each into its place in the frame.

import { createBlockTable } from "./block-table.js";
import { createControls } from "./controls.js";
import { createBatch } from "./draw-batch.js";
import { createBlocks } from "./draw-blocks.js";
import { createTimelineView } from "./draw-timeline.js";
import { createNotes } from "./notes.js";
import { createSentence } from "./sentence.js";
import { createSlots } from "./slots.js";
import { createWaiting } from "./waiting.js";
import { createWords } from "./words.js";

/** `act(action, value)`: what a control does; `widthOf`: a ruler of js/paint.js. */
export function createParts(frame, look, say, { act, live, widthOf }) {
  return {
    batch: createBatch(frame.batchCanvas, look, say),
    blocks: createBlocks(frame.blocksCanvas, look),
    timeline: createTimelineView(frame.timelineCanvas, look),
    waiting: createWaiting(frame.waiting, look, say),
    words: createWords(frame.text, look, say),
    table: createBlockTable(frame.table, look, say),
    slots: createSlots(frame.slots, look, say),
    notes: createNotes(frame.note, say),
    sentence: createSentence(frame, look, say, widthOf),
    controls: createControls(frame.controls, act, live, say),
  };
}
