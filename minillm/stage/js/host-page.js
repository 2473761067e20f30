// Host: a page of its own. The trace lies in the page as JSON text; step and selection are in the
// link: #step=41&select=7.

import { createStage } from "../stage.js";
import { unpacked } from "./packed.js";

export async function mountPage() {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const trace = read("minillm-trace");
  const root = document.getElementById("minillm-stage");
  const stage = createStage(root, { ...trace.options, ...asked(), wholePage: true, onState: note });
  stage.announce(trace.header);
  const { header, records } = await unpacked(trace);
  stage.load(header, records);
  window.addEventListener("hashchange", () => {
    const { start, select } = asked();
    if (start !== undefined) stage.seek(start);
    stage.select(select ?? null, true);
  });
  window.minillmStage = stage;
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
