// Host: a page of its own. The trace lies in the page as JSON text.

import { createStage } from "../stage.js";
import { unpacked } from "./packed.js";

export async function mountPage() {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const trace = read("minillm-trace");
  const root = document.getElementById("minillm-stage");
  const stage = createStage(root, { ...trace.options, wholePage: true });
  stage.announce(trace.header);
  const { header, records } = await unpacked(trace);
  stage.load(header, records);
  window.minillmStage = stage;
}
