// The read-out: a plain object that says what is drawn, for tests and for who reads the page
// without seeing it. While the stage plays it is written a few times a second.

import { setText } from "./dom.js";
import { plain } from "./narration.js";

const READOUT_EVERY = 200; // ms between read-outs while playing

/** `whole`: with each block, which takes milliseconds where there are thousands. */
export function readoutOf(scene, { recording, player, parts, live, selection, theme }, whole) {
  if (!scene) return { step: -1, length: 0, live, playing: player.isPlaying };
  const { state, view, waits, table, waiting, slots, narration, notes } = scene;
  return {
    step: state.n, time: scene.time, position: player.position, length: recording.length, live,
    following: player.following, playing: player.isPlaying, speed: player.speed, theme,
    narration: plain(narration),
    waiting: waiting.map(({ id, reason, holders, tokens }) => ({ id, reason, holders, tokens })),
    batch: slots,
    waits: Object.fromEntries(waits),
    blocks: { held: view.held, cached: view.reusable, free: view.free, ...(whole ? { owner: view.owner,
      owners: Array.from(view.owners), filled: Array.from(view.filled) } : {}) },
    drawn: { blocks: parts.blocks.painted(), sheets: parts.timeline.sheets() },
    sequences: [...state.sequences.values()].map((s) => ({ id: s.id, phase: s.phase,
      computed: s.computed, outputs: s.outputs, blocks: s.blocks.length })),
    selection, table, notes: notes.map(({ text }) => text),
    stalls: recording.timeline.stalls.length, preemptions: recording.timeline.preemptions.length,
  };
}

/** Writes `read(whole)` into `node`: whole at rest, and seldom while it plays. */
export function createReadout(node, read) {
  let last = 0;
  let later = 0; // timer of a read-out that waits for its turn
  let readAs = false; // playing or not, in the last read-out

  function publish(now, isPlaying) {
    const wait = READOUT_EVERY - (now - last);
    if (isPlaying() && isPlaying() === readAs && wait > 0) {
      later ||= setTimeout(() => {
        later = 0; // a timer may come a moment early, and then another is needed
        publish(performance.now(), isPlaying);
      }, wait);
      return;
    }
    clearTimeout(later);
    later = 0;
    last = now;
    readAs = isPlaying();
    setText(node, JSON.stringify(read(!readAs)));
  }

  return { publish, stop: () => clearTimeout(later) };
}
