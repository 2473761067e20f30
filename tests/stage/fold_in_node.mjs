// Prints the stage's state after each step of a trace file, a JSON object a line.

import { readFileSync } from "node:fs";

import { waitsBySequence } from "../../minillm/stage/js/fold.js";
import { createRecording } from "../../minillm/stage/js/recording.js";

const [header, ...records] = readFileSync(process.argv[2], "utf8").trim().split("\n").map((line) => JSON.parse(line));
const recording = createRecording(header);
recording.append(records);
const lines = [];
for (let position = 0; position < recording.length; position++) {
  const state = recording.stateAt(position);
  lines.push(JSON.stringify({
    sequences: [...state.sequences.values()].map((s) => [s.id, s.phase, s.computed, s.target, s.outputs, s.blocks, s.text,
      s.cpu_blocks, s.preemptions, s.first_token_at, s.finished_at]),
    batch: state.batch.map((row) => [row.id, row.kind, row.tokens]),
    cached: [...state.cached.keys()].filter((block) => state.cached[block]),
    waits: [...waitsBySequence(state)].sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([id, wait]) => [id, wait.reason, wait.holders.slice().sort(), wait.needs, wait.free]),
  }));
}
process.stdout.write(lines.join("\n"));
