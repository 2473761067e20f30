// How the stage divides the box it is given, and how much of each list fits into its part.

import { measure, setShown, toggle } from "./dom.js";

const NARROW = 880; // CSS px of width below which the stage folds

/** The room there is before the stage has a box. */
export const FIRST_ROOM = { waiting: 4, text: 7, slots: 20, characters: 60, sentence: 900, lines: 2 };

/** Fold the stage to its box, measure its canvases, and return its room: rows of the waiting list
 * and of the text, lines per row of text, badges of slots, characters per line of text, CSS px of
 * the sentence. `compact`: fold or not (undefined: by width); `selected`: whether a request is;
 * `timeline`: of the recording, undefined before there is one. */
export function layOut(root, frame, look, { compact, live, selected, timeline }) {
  const { scale } = look;
  const width = root.clientWidth;
  const height = root.clientHeight;
  const folded = compact ?? width < NARROW * scale;
  toggle(root, "ms-compact", folded);
  toggle(root, "ms-tight", width < 1180 * scale);
  setShown(frame.table.node, selected);
  toggle(frame.right, "ms-chosen", selected);
  const lanes = timeline ? timeline.order.length : 0;
  const wanted = (live ? 14 : lanes) * 14.4 * scale + 66 * scale;
  toggle(root, "ms-short", height < 560 * scale);
  // The blocks keep some room in a stage that is low.
  const most = Math.min(height * (folded ? 0.36 : 0.335), height - (folded ? 330 : 390) * scale);
  root.style.setProperty("--timeline", `${Math.round(Math.max(96 * scale, Math.min(wanted, most)))}px`);
  measure(frame.canvases);
  const longest = timeline?.order.at(-1)?.id.length ?? 2;
  const badge = Math.max(34, 14 + 9 * longest); // CSS px, with the gap behind it
  const tall = frame.text.body.clientHeight;
  // Two lines each where that leaves room for all who ever run together, else one.
  const lines = selected || (timeline?.most ?? 0) * 42 * scale <= tall ? 2 : 1;
  toggle(frame.text.node, "ms-one-line", lines === 1);
  return {
    lines,
    waiting: frame.waiting.body.clientHeight / (70 * scale),
    slots: Math.max(1, Math.floor((frame.slots.clientWidth - 90 * scale) / (badge * scale))),
    sentence: frame.sentence.parentNode.clientWidth - 60 * scale,
    characters: Math.max(8, Math.floor((frame.text.body.clientWidth - 40 * scale) / (8.1 * scale)) - 2),
    text: Math.max(1, Math.floor((tall - (lines === 1 ? 20 * scale : 0)) / ((lines === 2 ? 42 : 27) * scale))),
  };
}
