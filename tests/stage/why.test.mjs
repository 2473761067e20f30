import assert from "node:assert/strict";
import { test } from "node:test";

import { applyStep, blockView, emptyState, waitsBySequence } from "../../minillm/stage/js/fold.js";
import { createSpeaker } from "../../minillm/stage/js/messages.js";
import { createRecording } from "../../minillm/stage/js/recording.js";
import { slotRows } from "../../minillm/stage/js/slots.js";
import { waitingRows } from "../../minillm/stage/js/waiting.js";
import { explanation } from "../../minillm/stage/js/why.js";

const HEADER = { block_size: 4, num_blocks: 8, max_num_seqs: 4, max_num_batched_tokens: 16,
  scheduler: "sarathi", model: "pocket", device: "cpu" };
const STEPS = [
  { n: 0, t: 0, d: 5e8, e: [["added", "a", 0, 6, 9], ["admitted", "a", 0], ["alloc", "a", [0, 1]]], p: [["a", 6]], w: [] },
  { n: 1, t: 5e8, d: 5e8, e: [["added", "b", 4e8, 6, 9]], w: [["b", "token_budget", ["a"], 6, 0]] },
];
const REGIONS = ["narration", "waiting", "batch", "blocks", "timeline", "table", "text", "scheduler",
  "memory", "budget", "model", "time"];

function scene(steps, more = {}) {
  const recording = createRecording(HEADER);
  recording.append(STEPS);
  const state = emptyState(HEADER);
  for (const step of STEPS.slice(0, steps)) applyStep(state, step);
  const say = createSpeaker("en");
  return { state, header: HEADER, recording, view: blockView(state, 4), slots: slotRows(state),
    waiting: waitingRows(state, waitsBySequence(state), HEADER, say), selection: "a", live: false,
    small: false, lanes: null, ...more };
}

test("every region explains itself in two sentences, in both languages", () => {
  for (const [language, end] of [["en", /[.](?= |$)/g], ["zh", /。/g]]) {
    const say = createSpeaker(language);
    for (const at of [1, 2]) {
      for (const more of [{}, { live: true, small: true, lanes: 30, selection: "b" }, { selection: "gone" }]) {
        for (const region of REGIONS) {
          const words = explanation(region, scene(at, more), say);
          assert.equal(words.match(end)?.length, 2, words);
          assert.doesNotMatch(words, /undefined|NaN|[{}]/);
        }
      }
    }
  }
});

test("with the figures of the moment", () => {
  const say = createSpeaker("en");
  assert.match(explanation("batch", scene(2), say), /batch of step 1, to scale: 1 of the 16 tokens.*Solid are the 1 that decode.*hatched the 0/);
  assert.match(explanation("waiting", scene(2), say), /^1 request has arrived.*b is the next in the queue and has waited 0\.60 s\.$/);
  assert.match(explanation("waiting", scene(1), say), /nobody waits/);
  assert.match(explanation("blocks", scene(2), say), /2 of 8 are held, 0 wait to be reused and 6 are free/);
  assert.match(explanation("table", scene(2), say), /Request a sees its 7 tokens.*its 2 blocks/);
  assert.match(explanation("budget", scene(1), say), /Step 0 computes 6\.$/);
});

test("nothing is explained before the first step, nor what is no region", () => {
  const say = createSpeaker("en");
  assert.equal(explanation("batch", scene(0), say), null);
  assert.equal(explanation("nonsense", scene(1), say), null);
});
