// The stage's texts: the clock, the figures beside the headings, the lists and the sentence.

import { setShown, setText } from "./dom.js";
import { seconds } from "./waiting.js";

/** `scene`: of js/scene.js; `room`: of js/layout.js; `selection`: an id or null. */
export function drawText(frame, parts, scene, { recording, player, live, room, selection, say }) {
  const { state, view, slots, waiting } = scene;
  const { header, timeline } = recording;
  const last = recording.length ? recording.steps.at(-1).n : -1;
  setText(frame.time, clock(scene.time));
  setText(frame.step, state.n < 0 ? say("stage.no_step") : say("stage.step_of", { step: state.n, last }));
  setShown(frame.past, live && !player.following);
  setText(frame.past, say("stage.past", { n: last - state.n }));
  parts.sentence.draw(scene, { room: room.sentence, isPlaying: player.isPlaying });
  parts.waiting.draw(waiting, Math.max(1, ...waiting.map((row) => row.tokens)), room.waiting);
  const tokens = state.batch.reduce((sum, row) => sum + row.tokens, 0);
  setText(frame.batch.figure, say("stage.load", { tokens, budget: header.max_num_batched_tokens,
    sequences: slots.length, most: header.max_num_seqs }));
  parts.slots.draw(slots, { room: room.slots, selection });
  setText(frame.blocks.figure, [say("stage.held", { n: view.held, all: view.owner.length }),
    header.prefix_caching ? say("stage.cached", { n: view.reusable }) : "",
    say("stage.free", { n: view.free }),
    view.swapped ? say("stage.swapped", { n: view.swapped }) : ""].filter(Boolean).join(" · "));
  parts.words.draw(state, { rows: room.text, characters: room.characters * room.lines, selection });
  const selected = selection === null ? null : state.sequences.get(selection);
  setShown(frame.table.body, Boolean(selected));
  setText(frame.table.figure, selection === null || selected ? say("stage.mapping")
    : absence(timeline.lanes.get(selection), selection, state.time, say));
  if (selected) parts.table.draw(scene.table, selected, header.block_size);
  const { timelineCanvas } = frame;
  timelineCanvas.setAttribute("aria-valuemax", String(Math.max(0, last)));
  timelineCanvas.setAttribute("aria-valuenow", String(Math.max(0, state.n)));
  if (!player.isPlaying) timelineCanvas.setAttribute("aria-valuetext", `${frame.step.textContent}, ${frame.time.textContent}`);
  parts.controls.draw({ isPlaying: player.isPlaying, speed: player.speed,
    atStart: player.position <= 0, atEnd: player.position >= player.length - 1,
    following: player.following, stalls: timeline.stalls.length,
    preemptions: timeline.preemptions.length, notes: player.notes.length });
  parts.notes.draw(scene.notes);
}

function absence(lane, id, time, say) {
  return say(lane && lane.arrival <= time ? "stage.has_left" : "stage.to_come", { id });
}

function clock(ns) {
  const value = ns / 1e9;
  return value >= 1e-2 || value === 0 ? `${value.toFixed(3)} s` : seconds(value);
}
