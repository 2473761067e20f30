// Host: a page of its own. The trace lies in the page as JSON text.

import { createStage } from "../stage.js";

export function mountPage() {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const { header, records, options } = read("minillm-trace");
  const stage = createStage(document.getElementById("minillm-stage"), { ...options, wholePage: true });
  stage.load(header, records);
  window.minillmStage = stage;
}
