// The skeleton: regions, each with a title, a figure to its right and a body. Made once.

import { el, setText } from "./dom.js";

function region(name, title) {
  const node = el("section", `ms-region ms-${name}`, { "aria-label": title });
  const head = el("header", "ms-region-head");
  const heading = el("h2", "ms-region-title");
  heading.textContent = title;
  const figure = el("span", "ms-figure");
  head.append(heading, figure);
  const body = el("div", "ms-region-body");
  node.append(head, body);
  return { node, head, heading, figure, body };
}

export function createFrame(root, title) {
  const header = el("header", "ms-header");
  const name = el("h1", "ms-title");
  const pills = el("div", "ms-pills");
  const past = el("span", "ms-past");
  past.hidden = true;
  const time = el("span", "ms-time");
  const step = el("span", "ms-step");
  header.append(name, pills, past, time, step);

  const narration = el("p", "ms-narration");
  const sentence = el("span", "ms-sentence");
  narration.append(sentence);
  const spoken = el("div", "ms-sr", { "aria-live": "polite" });

  const waiting = region("waiting", "Waiting");
  const batch = region("batch", "This step");
  const batchCanvas = el("canvas", "ms-canvas ms-batch-canvas", { role: "img", "aria-label": "batch under its token budget" });
  const under = el("div", "ms-under");
  const slots = el("div", "ms-slots-row");
  const budget = el("span", "ms-budget");
  under.append(slots, budget);
  batch.body.append(batchCanvas, under);

  const blocks = region("blocks", "KV blocks");
  const blocksCanvas = el("canvas", "ms-canvas ms-blocks-canvas", { role: "img", "aria-label": "KV blocks by owner" });
  const legend = el("div", "ms-legend");
  blocks.body.append(blocksCanvas);
  blocks.node.append(legend);

  const text = region("text", "Text");
  const table = region("table", "Block table");
  table.node.hidden = true;

  const timeline = region("timeline", "Requests over time");
  const timelineCanvas = el("canvas", "ms-canvas ms-timeline-canvas",
    { role: "slider", tabindex: "0", "aria-label": "step", "aria-valuemin": "0" });
  timeline.body.append(timelineCanvas);

  for (const [kind, words] of [["waiting", "waiting"], ["prefill", "prefill"], ["decode", "decode"],
    ["stalled", "stalled"], ["preempted", "preempted"]]) {
    timeline.figure.append(swatch(`ms-stretch ms-stretch-${kind}`, words));
  }

  const controls = el("div", "ms-controls", { role: "toolbar", "aria-label": "stage controls" });

  const main = el("div", "ms-main");
  const middle = el("div", "ms-middle");
  const right = el("div", "ms-right");
  middle.append(batch.node, blocks.node);
  right.append(text.node, table.node);
  main.append(waiting.node, middle, right);
  const tip = el("div", "ms-tip", { role: "tooltip" });
  tip.hidden = true;
  const readout = el("script", "minillm-readout", { type: "application/json" });
  root.append(header, narration, spoken, main, timeline.node, controls, tip, readout);
  setText(name, title);
  return { header, right, name, pills, past, time, step, narration, sentence, spoken, waiting, batch, batchCanvas,
    slots, budget, blocks, blocksCanvas, legend, text, table, timeline, timelineCanvas, controls,
    tip, readout };
}

/** A shape and the words it stands for. */
function swatch(className, words) {
  const entry = el("span", "ms-legend-entry");
  const label = el("span");
  label.textContent = words;
  entry.append(el("i", className, { "aria-hidden": "true" }), label);
  return entry;
}

/** The key to the blocks' shapes. */
export function fillLegend(legend, prefixCaching) {
  const entries = [["held", "held, height = slots used"], ["shared", "shared"],
    ["cached", "cached, reusable"], ["free", "free"]];
  legend.replaceChildren();
  for (const [kind, words] of entries) {
    if (!prefixCaching && (kind === "cached" || kind === "shared")) continue;
    legend.append(swatch(`ms-swatch ms-swatch-${kind}`, words));
  }
}
