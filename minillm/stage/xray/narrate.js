// One sentence for each load, in the picture and for a screen reader.

import { idOf } from "./draw-grid.js";
import { figure } from "./draw-softmax.js";
import { blocksAt, softmaxAt } from "./anatomy.js";

const MOST_BLOCKS = 8;

/** Parts of a sentence, {text} or {id} of a request, about load `at` of `program`. */
export function narrateLoad(seen, program, at, row, say) {
  const id = idOf(program.id, seen.grid);
  if (program.spare) return say.parts("kernel.tell_spare", { id });
  const step = program.steps[at];
  const who = [{ id: program.sequence }];
  const blocks = blocksAt(program, at);
  const values = { id, who, blocks: named(blocks), rows: program.rows.length, tile: step.tile, n: blocks.length };
  if (step.kind === "v") return rescaled(program, at, row, values, say);
  if (step.kind === "k") {
    const order = blocks.map(({ block }) => program.order.get(block));
    const tokens = blocks.reduce((sum, { first, end }) => sum + end - first, 0);
    return say.parts("kernel.tell_k", { ...values, from: order[0] ?? 0, to: order.at(-1) ?? 0, all: program.order.size, tokens });
  }
  const { tiles, done } = softmaxAt(program, at, row);
  return say.parts(`kernel.tell_${step.kind}`, { ...values, tensor: step.access.tensor, total: figure(tiles[done].total) });
}

function rescaled(program, at, row, values, say) {
  const { tiles, done } = softmaxAt(program, at, row);
  if (done < 1) return say.parts("kernel.tell_v", values);
  const [before, after] = [tiles[done - 1], tiles[done]];
  const told = { ...values, before: figure(before.highest), after: figure(after.highest), shrink: figure(after.shrink),
    sum: figure(before.total), total: figure(after.total) };
  if (done === 1 || before.highest === -Infinity) return say.parts("kernel.tell_first", told);
  return say.parts(after.shrink < 1 ? "kernel.tell_rise" : "kernel.tell_stay", told);
}

function named(blocks) {
  const numbers = blocks.map(({ block }) => block);
  if (numbers.length <= MOST_BLOCKS) return numbers.join(" ");
  return `${numbers.slice(0, MOST_BLOCKS - 2).join(" ")} … ${numbers.at(-1)}`;
}
