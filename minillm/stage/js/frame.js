// The skeleton: regions, each with a title, a figure to its right and a body. Made once.

import { el } from "./dom.js";

function region(name, say) {
  const title = say(`stage.${name}`);
  const node = el("div", `ms-region ms-${name}`,
    { role: "group", "aria-label": title, "data-why": name, tabindex: "0" });
  const head = el("div", "ms-region-head");
  const heading = el("h2", "ms-region-title");
  heading.textContent = title;
  const figure = el("span", "ms-figure");
  head.append(heading, figure);
  const body = el("div", "ms-region-body");
  node.append(head, body);
  return { node, head, heading, figure, body };
}

export function createFrame(root, say) {
  const header = el("div", "ms-header");
  const name = el("h1", "ms-title");
  const pills = el("div", "ms-pills");
  const past = el("span", "ms-past");
  past.hidden = true;
  const time = el("span", "ms-time", { "data-why": "time", tabindex: "0" });
  const step = el("span", "ms-step");
  header.append(name, pills, past, time, step);

  const narration = el("p", "ms-narration", { "data-why": "narration", tabindex: "0" });
  const sentence = el("span", "ms-sentence");
  narration.append(sentence);
  const spoken = el("div", "ms-sr", { "aria-live": "polite" });

  const note = el("p", "ms-note", { "aria-label": say("stage.notes"), role: "note" });
  note.hidden = true;

  const waiting = region("waiting", say);
  const batch = region("batch", say);
  const batchCanvas = el("canvas", "ms-canvas ms-batch-canvas",
    { role: "img", "aria-label": say("stage.batch_picture") });
  const under = el("div", "ms-under");
  const slots = el("div", "ms-slots-row");
  const budget = el("span", "ms-budget");
  under.append(slots, budget);
  batch.body.append(batchCanvas, under);

  const blocks = region("blocks", say);
  const blocksCanvas = el("canvas", "ms-canvas ms-blocks-canvas",
    { role: "img", "aria-label": say("stage.blocks_picture") });
  const legend = el("div", "ms-legend");
  blocks.body.append(blocksCanvas);
  blocks.node.append(legend);

  const text = region("text", say);
  const table = region("table", say);
  table.node.hidden = true;

  const timeline = region("timeline", say);
  const timelineCanvas = el("canvas", "ms-canvas ms-timeline-canvas",
    { role: "slider", tabindex: "0", "aria-label": say("stage.cursor"), "aria-valuemin": "0" });
  timeline.body.append(timelineCanvas);

  for (const kind of ["waiting", "prefill", "decode", "stalled", "preempted"]) {
    timeline.figure.append(swatch(`ms-stretch ms-stretch-${kind}`, say(`stage.stretch_${kind}`)));
  }

  const controls = el("div", "ms-controls", { role: "toolbar", "aria-label": say("stage.controls") });

  const main = el("div", "ms-main");
  const middle = el("div", "ms-middle");
  const right = el("div", "ms-right");
  middle.append(batch.node, blocks.node);
  right.append(text.node, table.node);
  main.append(waiting.node, middle, right);
  const tip = el("div", "ms-tip", { role: "tooltip" });
  tip.hidden = true;
  const readout = el("script", "minillm-readout", { type: "application/json" });
  root.append(header, narration, note, spoken, main, timeline.node, controls, tip, readout);
  return { header, right, name, pills, past, time, step, narration, sentence, note, spoken, waiting, batch, batchCanvas,
    slots, budget, blocks, blocksCanvas, legend, text, table, timeline, timelineCanvas, controls,
    canvases: [batchCanvas, blocksCanvas, timelineCanvas], tip, readout };
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
export function fillLegend(legend, prefixCaching, say) {
  legend.replaceChildren();
  for (const kind of ["held", "shared", "cached", "free"]) {
    if (!prefixCaching && (kind === "cached" || kind === "shared")) continue;
    legend.append(swatch(`ms-swatch ms-swatch-${kind}`, say(`stage.legend_${kind}`)));
  }
}
