import assert from "node:assert/strict";
import { test } from "node:test";

import { applyStep, emptyState } from "../../minillm/stage/js/fold.js";
import { createSpeaker } from "../../minillm/stage/js/messages.js";
import { narrate, plain } from "../../minillm/stage/js/narration.js";

const say = createSpeaker("en");

const HEADER = { block_size: 16, num_blocks: 64, max_num_seqs: 8, max_num_batched_tokens: 256 };

const added = (id, prompt = 40) => ["added", id, 0, prompt, 99];
const admitted = (id, cached = 0) => ["admitted", id, cached];

/** Fold `steps` (numbered and timed here) and tell the last. */
function tell(...steps) {
  const state = emptyState(HEADER);
  steps.forEach((step, n) => applyStep(state, { n, t: n * 10, d: 10, w: [], ...step }));
  return plain(narrate(state, HEADER, say));
}

const EIGHT = { e: [0, 1, 2, 3, 4, 5, 6, 8].flatMap((i) => [added(`${i}`, 8), admitted(`${i}`)]),
  p: [0, 1, 2, 3, 4, 5, 6, 8].map((i) => [`${i}`, 8]) };

test("one long prompt takes the budget", () => {
  const long = { e: [added("7", 1100), admitted("7"), added("9")], p: [["7", 248]], w: [["9", "token_budget", ["7"], 40, 0]] };
  assert.equal(tell(EIGHT, long), "Eight decodes take 8 of 256 tokens; [7] prefills 248 of its 1,100. "
    + "[9] waits: the token budget is spent, most of it on [7].");
});

test("no blocks: how many it needs", () => {
  const full = { e: [added("9", 900)], w: [["9", "no_kv_blocks", ["*running"], 57, 37]] };
  assert.match(tell(EIGHT, full), /\[9\] waits: it needs 57 KV blocks, 37 are free\.$/);
});

test("preemption leads", () => {
  const lost = { e: [["preempted", "8", "2"], ["free", "8"]], w: [["8", "preempted", ["2"]]] };
  assert.match(tell(EIGHT, lost), /^\[8\] is preempted: \[2\] needs the room; 8 computed tokens must be computed again\./);
});

test("a hit in the prefix cache", () => {
  assert.match(tell({ e: [added("3", 240), admitted("3", 192)], p: [["3", 48]] }),
    /^\[3\] finds 192 of its 240 prompt tokens in the cache\./);
});

test("decodes stall behind a prefill", () => {
  const stall = { e: [added("9", 100), admitted("9")], p: [["9", 100]], w: [["*running", "prefill_in_progress", ["9"]]] };
  assert.match(tell(EIGHT, stall), /^Eight running requests stall while \[9\] prefills 100 tokens\./);
});

test("dead slots of a static batch name who keeps it running", () => {
  const done = { a: [["done", "0"], ["done", "1"], ["done", "2"], ["done", "3"], ["done", "4"], ["done", "5"], ["done", "6"]] };
  assert.equal(tell(EIGHT, done, { e: [added("9")], w: [["*waiting", "batch_not_finished", ["*running"]]] }),
    "Seven slots are dead: [0] [1] [2] and four more are done, but the batch runs until [8] ends. "
    + "[9] waits: the batch must finish first, and [8] still writes.");
});

test("a finish, a refusal, a first token", () => {
  assert.match(tell(EIGHT, { a: [["finished", "2", "stop"]] }), /\[2\] finishes after 2 tokens\.$/);
  assert.match(tell(EIGHT, { e: [["rejected", "x", 0, "9,000 tokens are too many"]] }), /^\[x\] is refused: 9,000 tokens are too many/);
  assert.match(tell({ e: [added("1"), admitted("1")], p: [["1", 40]] }), /^\[1\] prefills all its 40 tokens.*\[1\] writes its first token\.$/);
});

test("markup in an id or a message stays text in a part", () => {
  const state = emptyState(HEADER);
  applyStep(state, { n: 0, t: 0, d: 1, e: [["rejected", "<b>", 0, "<img>"]] });
  assert.deepEqual(narrate(state, HEADER, say)[0], { id: "<b>" });
});
