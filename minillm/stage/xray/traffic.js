// What one load costs in each layout, by the addresses that the kernel computed there.

export const SECTOR = 32; // bytes
export const LINE = 128;

/** The `ordinal`-th load of `tensor` by the program `id`: the same tile in another layout. */
export function sameLoad(seen, id, tensor, ordinal) {
  const program = seen.programs.find((each) => String(each.id) === String(id));
  const loads = (program?.steps ?? []).filter((step) => step.access.tensor === tensor && step.access.op === "load");
  return loads[ordinal]?.access ?? null;
}

/** Lines of 128 bytes that the first warp touches, in the order in which its threads come to them:
 * [{line, parts: [{thread, from, to}]}], bytes within the line. */
export function warpLines(access) {
  const lines = new Map();
  (access.warp ?? []).forEach((start, thread) => {
    if (start < 0) return;
    const line = Math.floor(start / LINE);
    if (!lines.has(line)) lines.set(line, { line, parts: [] });
    const from = start - line * LINE;
    lines.get(line).parts.push({ thread, from, to: from + access.thread_bytes });
  });
  return [...lines.values()];
}

/** Sectors of a line that are fetched: those that any thread touches. */
export function sectorsOf({ parts }) {
  return [...new Set(parts.map(({ from }) => Math.floor(from / SECTOR)))].sort((a, b) => a - b);
}

export function costOf(access) {
  return { lines: access.lines, sectors: access.sectors, requests: access.requests, bytes: access.bytes,
    ofLines: access.bytes / (access.lines * LINE), ofSectors: access.bytes / (access.sectors * SECTOR) };
}

/** Sum of `what` over all loads of K and V by every program. */
export function totalOf(seen, what) {
  let sum = 0;
  for (const { steps } of seen.programs) {
    for (const { kind, access } of steps) if (kind === "k" || kind === "v") sum += access[what];
  }
  return sum;
}

/** Names of the layouts that cost least: fewest lines, then sectors, then requests. None where all
 * cost the same, or there is only one. `costs`: {name: cost}. */
export function winners(costs) {
  const names = Object.keys(costs);
  const worth = (name) => [costs[name].lines, costs[name].sectors, costs[name].requests];
  const compare = (a, b) => worth(a).map((x, i) => x - worth(b)[i]).find((d) => d !== 0) ?? 0;
  const best = [...names].sort(compare)[0];
  const found = names.filter((name) => compare(name, best) === 0);
  return found.length === names.length ? [] : found;
}
