// Tells a trace file with the stage's own fold and narration: one line per step.
// usage: node narrate_in_node.mjs FILE
import fs from "node:fs";

import { applyStep, emptyState } from "../../minillm/stage/js/fold.js";
import { narrate, plain } from "../../minillm/stage/js/narration.js";

const lines = fs.readFileSync(process.argv[2], "utf8").trimEnd().split("\n");
const [header, ...records] = lines.map((line) => JSON.parse(line));
const state = emptyState(header);
for (const record of records) {
  if (record.n === undefined) continue;
  applyStep(state, record);
  console.log(plain(narrate(state, header)));
}
