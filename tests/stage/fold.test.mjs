import assert from "node:assert/strict";
import { test } from "node:test";

import { applyStep, blockView, copyState, emptyState, stateFromKeyframe, waitsBySequence } from "../../minillm/stage/js/fold.js";
import { createRecording } from "../../minillm/stage/js/recording.js";
import { DECODE, LOST, PREFILL, STALLED, WAITING, nextAfter } from "../../minillm/stage/js/timeline.js";

const HEADER = { block_size: 4, num_blocks: 8, max_num_seqs: 4, max_num_batched_tokens: 16 };

// Two requests: "a" prefills in two chunks; "b" waits, is admitted with a prefix hit, stalls "a",
// then "a" is preempted.
const STEPS = [
  { n: 0, t: 0, d: 10, e: [["added", "a", 0, 6, 9], ["admitted", "a", 0], ["alloc", "a", [0, 1]]], p: [["a", 4]] },
  { n: 1, t: 10, d: 10, e: [["cached", [0]], ["added", "b", 5, 6, 9]], p: [["a", 2]], x: { a: "Hi" },
    w: [["b", "token_budget", ["a"], 6, 0]] },
  { n: 2, t: 20, d: 10, e: [["admitted", "b", 4], ["alloc", "b", [0, 2]]], p: [["b", 2]],
    w: [["*running", "prefill_in_progress", ["b"]]], x: { b: "Yo" } },
  { n: 3, t: 30, d: 10, w: [], x: { a: " there" }, future: 1, e: [["unheard-of", "a"]] },
  { n: 4, t: 40, d: 10, e: [["preempted", "a", "b"], ["free", "a"]], w: [["a", "preempted", ["b"]]],
    a: [["finished", "b", "stop"], ["free", "b"]] },
  { n: 5, t: 50, d: 10, e: [["admitted", "a", 0], ["alloc", "a", [1, 2]]], p: [["a", 8]], w: [] },
];

function upTo(n) {
  const state = emptyState(HEADER);
  for (const step of STEPS.slice(0, n + 1)) applyStep(state, step);
  return state;
}

test("a prefill in chunks computes its tokens and then samples the first", () => {
  assert.equal(upTo(0).sequences.get("a").phase, "prefill");
  assert.equal(upTo(0).sequences.get("a").computed, 4);
  const a = upTo(1).sequences.get("a");
  assert.deepEqual([a.phase, a.computed, a.outputs, a.text, a.first_token_at], ["decode", 6, 1, "Hi", 20]);
});

test("a copy keeps its block tables while the state it was made of goes on, and the records theirs", () => {
  const steps = structuredClone(STEPS);
  const state = emptyState(HEADER);
  const copies = steps.map((step) => copyState(applyStep(state, step)));
  copies.forEach((copy, n) => assert.deepEqual(blockView(copy, 4), blockView(upTo(n), 4)));
  for (const copy of copies) applyStep(copy, { n: 9, t: 99, d: 1, e: [["alloc", "a", [7]], ["alloc", "a", [6]]] });
  assert.deepEqual(state.sequences.get("a").blocks, upTo(5).sequences.get("a").blocks);
  const forked = applyStep(copies[5], { n: 10, t: 100, d: 1, a: [["forked", "a", "a.1", [1]], ["alloc", "a.1", [5]]] });
  assert.deepEqual(forked.sequences.get("a.1").blocks, [1, 5]);
  assert.deepEqual(forked.sequences.get("a").blocks, [1, 2, 7, 6]);
  assert.deepEqual(steps, STEPS);
});

test("a prefix hit needs no compute; the block is shared", () => {
  const state = upTo(2);
  const b = state.sequences.get("b");
  assert.deepEqual([b.computed, b.cached_tokens, b.outputs], [6, 4, 1]);
  const view = blockView(state, 4);
  assert.deepEqual([view.owner[0], view.second[0], view.owners[0]], ["a", "b", 2]);
  assert.deepEqual([view.filled[0], view.filled[1], view.filled[2]], [4, 2, 2]);
  assert.deepEqual([view.held, view.reusable, view.free], [3, 0, 5]);
});

test("waits name groups; who is in the batch does not wait", () => {
  const state = upTo(2);
  assert.deepEqual(state.stalled, ["a"]);
  assert.equal(state.sequences.get("a").outputs, 1);
  assert.deepEqual([...waitsBySequence(state)], [["a", { reason: "prefill_in_progress", holders: ["b"], needs: null, free: null }]]);
  assert.deepEqual([...waitsBySequence(upTo(1)).keys()], ["b"]);
});

test("waits stay in force until others are recorded; unknown events are skipped", () => {
  const state = upTo(2);
  applyStep(state, { n: 3, t: 30, d: 10 });
  assert.deepEqual(state.stalled, ["a", "b"]);
  assert.deepEqual(upTo(3).batch.map((row) => row.id), ["a", "b"]);
});

test("a preempted sequence loses its tokens and computes prompt and output again", () => {
  const state = upTo(4);
  const a = state.sequences.get("a");
  assert.deepEqual([a.phase, a.computed, a.target, a.preemptions, a.blocks.length], ["waiting", 0, 8, 1, 0]);
  assert.equal(state.notes[0].lost, 7);
  assert.equal(state.sequences.get("b").phase, "finished");
  const view = blockView(state, 4);
  assert.deepEqual([view.held, view.reusable, view.free], [0, 1, 7]);
  const after = upTo(5);
  assert.equal(after.sequences.has("b"), false);
  assert.deepEqual([after.sequences.get("a").computed, after.sequences.get("a").outputs], [8, 3]);
});

test("several tokens in a step count as many", () => {
  const state = upTo(3);
  applyStep(state, { n: 4, t: 40, d: 1, k: { a: [5, 6, 7], b: [1] } });
  assert.equal(state.sequences.get("a").outputs, 5);
  assert.equal(state.sequences.get("a").computed, 10);
});

test("a copy is independent of what it was made of", () => {
  const state = upTo(1);
  const copy = copyState(state);
  applyStep(state, STEPS[2]);
  applyStep(state, STEPS[3]);
  assert.equal(copy.sequences.get("a").text, "Hi");
  assert.equal(copy.sequences.get("b").blocks.length, 0);
  assert.equal(copy.n, 1);
});

test("a keyframe starts a state", () => {
  const state = stateFromKeyframe(HEADER, { keyframe: 7, time: 99, cached: [3],
    sequences: [{ id: "q", phase: "decode", arrival: 1, prompt_len: 4, max_tokens: 9, computed: 5, target: 6, outputs: 2, blocks: [0, 1] }] });
  applyStep(state, { n: 8, t: 99, d: 1 });
  assert.deepEqual([state.n, state.sequences.get("q").computed, state.cached[3]], [8, 6, 1]);
});

test("seeking anywhere gives what folding from the start gives", () => {
  const steps = [{ n: 0, t: 0, d: 5, e: [["added", "a", 0, 3, 1000], ["admitted", "a", 0], ["alloc", "a", [0]]], p: [["a", 3]] }];
  for (let n = 1; n < 500; n++) steps.push({ n, t: n * 5, d: 5, x: { a: String(n % 10) } });
  const recording = createRecording(HEADER);
  recording.append(steps.slice(0, 200));
  recording.append(steps.slice(150)); // overlaps
  assert.equal(recording.length, 500);
  for (const position of [499, 3, 128, 127, 129, 0, 320, -1, 64]) {
    const state = recording.stateAt(position);
    assert.equal(state.n, position);
    if (position >= 0) assert.equal(state.sequences.get("a").outputs, position + 1);
  }
  assert.equal(recording.positionAt(52), 9);
  for (const [position, { t, d }] of recording.steps.entries()) {
    assert.equal(recording.underWayAt(t + d), position, "at its end");
    if (d > 1) assert.equal(recording.underWayAt(t + 1), position, "and before");
  }
  assert.equal(recording.underWayAt(1e15), recording.length - 1);
});

test("notes are kept in order, once, however often they are sent", () => {
  const recording = createRecording(HEADER);
  const step = (n) => ({ n, t: n * 5, d: 5 });
  const records = [step(0), { note: 0, text: "first", by: "t" }, { note: 0, text: "second" }, step(1), { note: 1, text: "first" }];
  recording.append(records);
  recording.append(records.slice(1));
  assert.deepEqual(recording.notes.map((each) => [each.note, each.text, each.by]),
    [[0, "first", "t"], [0, "second", undefined], [1, "first", undefined]]);
  assert.equal(recording.length, 2);
});

test("a stretch cut out of a run: who ran before it has no wait in its lane", () => {
  const recording = createRecording(HEADER);
  const sequence = { arrival: 0, prompt_len: 4, max_tokens: 9 };
  recording.append([
    { keyframe: -1, time: 100, sequences: [
      { ...sequence, id: "a", phase: "decode", target: 5, computed: 4, outputs: 1, admitted_at: 3, first_token_at: 9 },
      { ...sequence, id: "b", phase: "waiting", target: 4 },
    ] },
    { n: 0, t: 100, d: 10, w: [["*waiting", "head_of_line", ["a"]]] },
  ]);
  const { lanes } = recording.timeline;
  assert.deepEqual(lanes.get("a").segments, [DECODE, 100, 110]);
  assert.deepEqual(lanes.get("b").segments, [WAITING, 100, 110]);
  assert.equal(recording.timeline.begin, 100);
  assert.equal(recording.stateAt(-1).sequences.size, 2);
  assert.equal(recording.stateAt(0).sequences.get("a").outputs, 2);
});

test("very long recordings keep a bounded number of keyframes and still seek", () => {
  const recording = createRecording(HEADER);
  const steps = [{ n: 0, t: 0, d: 5, e: [["added", "a", 0, 3, 1e6], ["admitted", "a", 0]], p: [["a", 3]] }];
  for (let n = 1; n < 60000; n++) steps.push({ n, t: n * 5, d: 5 });
  recording.append(steps);
  for (const position of [59999, 12, 41000]) {
    assert.equal(recording.stateAt(position).sequences.get("a").outputs, position + 1);
  }
});

test("the timeline: stretches, stalls and preemptions", () => {
  const recording = createRecording(HEADER);
  recording.append(STEPS);
  const { lanes, stalls, preemptions, order } = recording.timeline;
  assert.deepEqual(order.map((lane) => lane.id), ["a", "b"]);
  assert.deepEqual(lanes.get("a").segments, [PREFILL, 0, 20, STALLED, 20, 30, DECODE, 30, 40, LOST, 40, 50, PREFILL, 50, 60]);
  assert.deepEqual(lanes.get("b").segments, [WAITING, 5, 20, PREFILL, 20, 30, DECODE, 30, 50]);
  assert.equal(lanes.get("b").end, 50);
  assert.deepEqual(stalls, [2]);
  assert.deepEqual(preemptions, [4]);
  assert.equal(nextAfter(stalls, 1), 2);
  assert.equal(nextAfter(stalls, 2), null);
});
