// The skeleton of the X-ray's picture: a sentence, the grid beside the blocks beside the softmax,
// the loads in order, the layouts, the controls. Made once.

import { el } from "../js/dom.js";

function region(name, say) {
  const title = say(`kernel.${name}`);
  const node = el("section", `ms-region kx-${name}`, { "aria-label": title });
  const head = el("header", "ms-region-head", { "data-why": name, tabindex: "0" });
  const heading = el("h2", "ms-region-title");
  heading.textContent = title;
  const figure = el("span", "ms-figure");
  head.append(heading, figure);
  const body = el("div", "ms-region-body");
  node.append(head, body);
  return { node, head, figure, body };
}

export function createXrayFrame(root, say) {
  const narration = el("p", "ms-narration", { "data-why": "narration", tabindex: "0" });
  const spoken = el("div", "ms-sr", { "aria-live": "polite" });
  const main = el("div", "ms-main kx-main");
  const parts = {};
  for (const name of ["grid", "pool", "softmax", "loads", "layouts"]) parts[name] = region(name, say);
  main.append(parts.grid.node, parts.pool.node, parts.softmax.node);
  const controls = el("div", "ms-controls", { role: "toolbar", "aria-label": say("stage.controls") });
  const readout = el("script", "minillm-readout", { type: "application/json" });
  root.append(narration, spoken, main, parts.loads.node, parts.layouts.node, controls, readout);
  return { narration, spoken, controls, readout, ...parts };
}

const SVG = "http://www.w3.org/2000/svg";

/** An SVG element with its attributes, and text if given. */
export function shape(tag, attributes = {}, text = null) {
  const node = document.createElementNS(SVG, tag);
  for (const name in attributes) node.setAttribute(name, attributes[name]);
  if (text !== null) node.textContent = text;
  return node;
}
