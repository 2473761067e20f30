// "Why is this?": each region explains itself, with the figures of the moment, when the pointer
// rests on it or when it has the focus and `?` is pressed.

import { el, setShown, setText } from "./dom.js";
import { seconds } from "./waiting.js";

const POINTING = 600; // ms of pointing before a region explains itself

/** What there is to say of a region: plain text, or null before the first step.
 * `scene` is {state, view, header, waiting, slots, recording, selection, live, small, lanes}. */
export function explanation(region, scene, say) {
  const { state, header } = scene;
  if (state.n < 0 || !EXPLAIN[region]) return null;
  const { n: step } = state;
  return say(...EXPLAIN[region](scene, { step, size: header.block_size, ...sizes(scene) }));
}

function sizes({ state, view, header, slots }) {
  return {
    tokens: state.batch.reduce((sum, row) => sum + row.tokens, 0), budget: header.max_num_batched_tokens,
    running: slots.length, took: seconds((state.time - state.start) / 1e9),
    held: view.held, all: view.owner.length, cached: view.reusable, free: view.free,
  };
}

const ofKind = (state, kind) => state.batch.filter((row) => row.kind === kind).length;

const EXPLAIN = {
  narration: ({ state }, facts) => ["why.narration", { ...facts, n: state.batch.length }],
  waiting: ({ waiting }, facts) => (waiting.length
    ? ["why.waiting", { ...facts, n: waiting.length, first: waiting[0].id, waited: seconds(waiting[0].seconds) }]
    : ["why.waiting_none", facts]),
  batch: ({ state }, facts) => {
    const dead = ofKind(state, "dead");
    return dead ? ["why.batch_dead", { ...facts, dead, n: state.batch.length }]
      : ["why.batch", { ...facts, decodes: ofKind(state, "decode"), prefills: ofKind(state, "prefill") }];
  },
  blocks: ({ small }, facts) => [small ? "why.blocks_small" : "why.blocks", facts],
  timeline: ({ state, recording, lanes }, facts) => {
    const come = recording.timeline.order.filter((lane) => lane.arrival <= state.time).length;
    const time = seconds(state.time / 1e9);
    return lanes === null ? ["why.timeline", { ...facts, n: come, time }]
      : ["why.timeline_strip", { ...facts, n: come, time, lanes }];
  },
  table: ({ state, selection }, facts) => {
    const sequence = state.sequences.get(selection);
    return sequence ? ["why.table", { ...facts, id: selection, tokens: sequence.computed, n: sequence.blocks.length }]
      : ["why.table_gone", { ...facts, id: selection }];
  },
  text: ({ slots }, facts) => ["why.text", { ...facts, n: slots.length }],
  scheduler: ({ header, waiting }, facts) => (
    ["why.scheduler", { ...facts, name: header.scheduler, waiting: waiting.length }]),
  memory: ({ header }, facts) => ["why.memory", { ...facts, name: header.kv_cache || "paged",
    tokens: facts.all * header.block_size }],
  budget: (_, facts) => ["why.budget", facts],
  model: ({ header, live }, facts) => [live ? "why.model_live" : "why.model",
    { ...facts, name: [header.model, header.device].filter(Boolean).join(" · ") }],
  time: ({ state }, facts) => ["why.time", { ...facts, start: seconds(state.start / 1e9) }],
};

/** Listens for what asks why. Regions are the nodes with `data-why`; `explain(region)` gives the
 * text, and `speak` hands it to who listens instead of looking. */
export function createWhy(root, explain, speak) {
  const panel = el("div", "ms-why", { role: "tooltip" });
  panel.hidden = true;
  root.append(panel);
  let pointed = null;
  let shown = null;
  let timer = 0;

  const regionOf = (node) => node?.closest?.("[data-why]") ?? null;

  function show(node) {
    const words = explain(node.dataset.why);
    if (words === null) return null;
    shown = node;
    setText(panel, words);
    setShown(panel, true);
    place(node);
    return words;
  }

  /** Beside the region, so that it can be seen: over what is above it, or below where there is
   * no room. */
  function place(node) {
    const all = root.getBoundingClientRect();
    const box = node.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = panel;
    const left = Math.max(8, Math.min(box.left - all.left, all.width - width - 8));
    const above = box.top - all.top - height - 6;
    const top = above >= 0 ? above : Math.min(box.bottom - all.top + 6, all.height - height - 8);
    panel.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
  }

  function hide() {
    clearTimeout(timer);
    shown = null;
    setShown(panel, false);
  }

  root.addEventListener("pointerover", (event) => {
    const node = event.target.closest("button") ? null : regionOf(event.target);
    if (node === pointed) return;
    pointed = node;
    hide();
    if (node && event.pointerType === "mouse") timer = setTimeout(() => show(node), POINTING);
  });
  root.addEventListener("pointerleave", () => {
    pointed = null;
    hide();
  });
  root.addEventListener("pointerdown", hide);
  root.addEventListener("focusout", hide);

  /** `?`: explain what has the focus; else one region after the other. */
  function ask() {
    const focused = regionOf(root.getRootNode().activeElement);
    const all = [...root.querySelectorAll("[data-why]")].filter((node) => node.getClientRects().length);
    const next = focused ?? all[(all.indexOf(shown) + 1) % all.length];
    hide();
    const words = next && show(next);
    if (words) speak(words);
  }

  return { ask, hide, isShown: () => shown !== null,
    /** Keep the figures true while it is shown. */
    refresh() {
      if (shown) show(shown);
    },
    stop: () => clearTimeout(timer) };
}
