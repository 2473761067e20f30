// Notes pinned to steps: a teacher's script. One is shown from its step on until the next is due,
// or for as long as it takes to read it at speed 1×.

import { el, setShown, setText } from "./dom.js";
import { visible } from "./text.js";

const LEAST = 24; // steps: three seconds at speed 1×
const PER_STEP = 2; // characters a reader takes in while a step passes at speed 1×

/** The notes to show at the step of number `n`: all of one step, or none. `notes` are in order of
 * their steps: [{note: number of its step, text, by?}]. */
export function notesAt(notes, n) {
  let low = 0;
  let high = notes.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (notes[middle].note <= n) low = middle + 1;
    else high = middle;
  }
  if (!low) return [];
  const { note } = notes[low - 1];
  const pinned = notes.slice(0, low).filter((each) => each.note === note);
  const length = pinned.reduce((sum, { text }) => sum + text.length, 0);
  return n - note <= Math.max(LEAST, length / PER_STEP) ? pinned : [];
}

/** Positions of the recording's steps that have notes, in order. */
export function notedPositions({ notes, steps }) {
  const first = steps[0]?.n ?? 0;
  const positions = [...new Set(notes.map(({ note }) => note - first))];
  return positions.filter((position) => position >= 0 && position < steps.length);
}

export function createNotes(region, say) {
  const step = el("span", "ms-note-step");
  const words = el("span", "ms-note-text", { dir: "auto" });
  const by = el("span", "ms-note-by");
  region.append(step, words, by);

  function draw(notes) {
    setShown(step, notes.length > 0);
    setText(step, notes.length ? say("stage.note_on", { n: notes[0].note }) : "");
    setText(words, notes.map(({ text }) => visible(text)).join(" · "));
    const authors = [...new Set(notes.map((note) => note.by).filter(Boolean))];
    setText(by, authors.length ? `— ${visible(authors.join(", "))}` : "");
  }

  return { draw };
}
