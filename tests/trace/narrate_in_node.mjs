// Tells a trace file with the stage's own fold and narration: one line per step and language.
// usage: node narrate_in_node.mjs FILE LANGUAGE...
import fs from "node:fs";

import { applyStep, emptyState } from "../../minillm/stage/js/fold.js";
import { createSpeaker } from "../../minillm/stage/js/messages.js";
import { narrate, plain } from "../../minillm/stage/js/narration.js";

const [file, ...languages] = process.argv.slice(2);
const speakers = languages.map(createSpeaker);
const lines = fs.readFileSync(file, "utf8").trimEnd().split("\n");
const [header, ...records] = lines.map((line) => JSON.parse(line));
const state = emptyState(header);
for (const record of records) {
  if (record.n === undefined) continue;
  applyStep(state, record);
  for (const say of speakers) console.log(plain(narrate(state, header, say)));
}
