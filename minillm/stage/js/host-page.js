// Host: a page of its own. One to four traces lie in the page as JSON text; step and selection are
// in the link: #step=41&select=7.

import { createStage } from "../stage.js";
import { createComparison } from "./compare.js";
import { unpacked } from "./packed.js";

export async function mountPage() {
  const data = JSON.parse(document.getElementById("minillm-trace").textContent);
  const { options } = data;
  const traces = data.traces ?? [data];
  const root = document.getElementById("minillm-stage");
  const given = { ...options, ...asked(), wholePage: true, onState: note };
  const shown = traces.length > 1 ? await several(root, traces, given) : await one(root, traces[0], given);
  window.addEventListener("hashchange", () => {
    const { start, select } = asked();
    if (start !== undefined) shown.seek(start);
    shown.select(select ?? null, true);
  });
  window.minillmStage = shown;
}

async function one(root, trace, options) {
  const stage = createStage(root, options);
  stage.announce(trace.header);
  const { header, records } = await unpacked(trace);
  stage.load(header, records);
  return stage;
}

async function several(root, traces, options) {
  return createComparison(root, await Promise.all(traces.map(unpacked)), { height: window.innerHeight, ...options });
}

/** What the link asks for. */
function asked() {
  const link = new URLSearchParams(location.hash.slice(1));
  const options = {};
  if (/^\d+$/.test(link.get("step") ?? "")) options.start = Number(link.get("step"));
  if (link.has("select")) options.select = link.get("select");
  if (options.start !== undefined) options.autoplay = false;
  return options;
}

/** Write the resting state into the link, where there is one. */
function note({ step, selection, playing }) {
  if (playing || location.protocol === "about:") return;
  const link = new URLSearchParams({ step });
  if (selection !== null) link.set("select", selection);
  history.replaceState(null, "", `#${link}`);
}
