// What an X-ray (docs/xray.md) says of a program of the attention kernel: whose queries it has,
// what each of its loads is, which blocks it reads in which order, and how its softmax went.
// Everything is looked up in the record; the kernel made it.

const SMALL = /^-?(inf|nan)$/;

/** `json`: an X-ray. Its launch that reads the K cache, with its programs taken apart. */
export function anatomy(json) {
  const launch = json.launches.find((each) => each.programs.some((program) => (
    (program.accesses ?? []).some((access) => access.tensor === "k_cache"))));
  if (!launch) throw new RangeError("no kernel of this X-ray reads the K cache");
  const tensors = new Map(json.tensors.map((tensor) => [tensor.name, tensor]));
  const starts = [0];
  for (const length of json.case.query_lens) starts.push(starts.at(-1) + length);
  const programs = launch.programs.map((program) => takeApart(program, tensors, json.case, starts));
  return { case: json.case, function: json.kernel, kernel: launch.kernel, grid: launch.grid, tensors, programs,
    owners: ownersOf(json.case) };
}

/** Each physical block's sequences and the slots that are in use of it. */
function ownersOf(batch) {
  const blocks = Array.from({ length: batch.num_blocks }, () => ({ owners: [], filled: 0 }));
  batch.block_tables.forEach((table, sequence) => {
    table.forEach((number, i) => {
      const used = Math.min(batch.block_size, batch.seq_lens[sequence] - i * batch.block_size);
      if (used <= 0) return;
      blocks[number].owners.push(String(sequence));
      blocks[number].filled = Math.max(blocks[number].filled, used);
    });
  });
  return blocks;
}

function takeApart(program, tensors, batch, starts) {
  const accesses = program.accesses ?? [];
  const rows = rowsOf(accesses, tensors, batch, starts);
  const cacheLoads = accesses.filter((access) => isCache(access)).length;
  const steps = [];
  let tile = 0;
  for (const [index, access] of accesses.entries()) {
    const kind = kindOf(access);
    if (kind === "k") tile += 1;
    const blocks = isCache(access) ? blocksOf(access, tensors) : [];
    // What comes before the first K belongs to no tile; a table's entries to the tile they lead to.
    steps.push({ index, kind, access, blocks, tile: kind === "table" ? tile + 1 : tile });
  }
  const order = new Map();
  for (const step of steps) {
    if (step.kind !== "k") continue;
    for (const { block } of step.blocks) if (!order.has(block)) order.set(block, order.size + 1);
  }
  return { id: program.id, rows, steps, order, spare: cacheLoads === 0, tiles: tilesOf(steps, program.values ?? []),
    sequence: rows.length ? rows[0].sequence : null };
}

function isCache(access) {
  return access.op === "load" && (access.tensor === "k_cache" || access.tensor === "v_cache");
}

function kindOf({ op, tensor }) {
  if (op !== "load") return "out";
  const kinds = { k_cache: "k", v_cache: "v", q: "q", block_tables: "table", kv_indices: "table" };
  return kinds[tensor] ?? "lengths";
}

/** {block, first, end} of slots, in the order of the tile; parts of one block are one. */
function blocksOf(access, tensors) {
  const { axes } = tensors.get(access.tensor);
  const [block, slot] = [axes.indexOf("block"), axes.indexOf("slot")];
  const found = new Map();
  for (const box of access.boxes ?? []) {
    const number = box[block][0];
    const [first, end] = box[slot];
    const known = found.get(number);
    if (!known) found.set(number, { block: number, first, end });
    else Object.assign(known, { first: Math.min(first, known.first), end: Math.max(end, known.end) });
  }
  return [...found.values()];
}

/** The rows of the tile by the q that was loaded: {sequence, position, head}. */
function rowsOf(accesses, tensors, batch, starts) {
  const found = new Map();
  for (const access of accesses) {
    if (access.tensor !== "q" || access.op !== "load") continue;
    const { axes } = tensors.get("q");
    for (const box of access.boxes ?? []) {
      const [tokens, heads] = [box[axes.indexOf("token")], box[axes.indexOf("head")]];
      for (let token = tokens[0]; token < tokens[1]; token++) {
        const sequence = starts.findLastIndex((start) => start <= token);
        const position = token - starts[sequence + 1] + batch.seq_lens[sequence];
        for (let head = heads[0]; head < heads[1]; head++) {
          found.set(`${token},${head}`, { sequence: String(sequence), position, head });
        }
      }
    }
  }
  return [...found.values()];
}

function number(value) {
  if (typeof value === "number") return value;
  return SMALL.test(value) && value.endsWith("inf") ? Infinity * (value[0] === "-" ? -1 : 1) : NaN;
}

/** What the softmax's variables were after each tile, as the kernel held them: before the first
 * one at [0], then one for each K load: {from, to: steps, highest, total: by row, shrink: by row}. */
function tilesOf(steps, values) {
  const loads = steps.filter((step) => step.kind === "k" || step.kind === "v");
  const count = Math.max(0, ...loads.map((step) => step.tile));
  const latest = { highest: [], total: [], shrink: [] };
  const tiles = [];
  let next = 0;
  for (let tile = 0; tile <= count; tile++) {
    const own = loads.filter((step) => step.tile === tile);
    const from = own[0]?.index ?? 0;
    // Values are noted as "after so many accesses".
    const to = own.at(-1)?.index ?? (loads[0]?.index ?? 0) - 1;
    for (; next < values.length && values[next].after <= to + 1; next++) {
      const { name, values: numbers } = values[next];
      if (name in latest) latest[name] = numbers.map(number);
    }
    tiles.push({ from, to, ...latest });
  }
  return tiles;
}

/** The base of the kernel's powers, told by what it did: it rescaled by base ** (m before − m
 * after). 2, e, or null where nothing was rescaled or by something else. */
export function baseOf({ tiles }) {
  for (let i = 1; i < tiles.length; i++) {
    for (let row = 0; row < tiles[i].shrink.length; row++) {
      const rise = tiles[i].highest[row] - tiles[i - 1].highest[row];
      if (!Number.isFinite(rise) || rise < 0.05) continue;
      const base = tiles[i].shrink[row] ** (-1 / rise);
      return [2, Math.E].find((known) => Math.abs(base - known) < 0.01) ?? null;
    }
  }
  return null;
}

/** The softmax of one row at `step`: {before, after} of its tile, and whether the tile is done. */
export function softmaxAt(program, step, row) {
  const done = program.tiles.findLastIndex((tile, i) => i === 0 || tile.to <= step);
  const at = (tile) => ({ highest: tile.highest[row], total: tile.total[row], shrink: tile.shrink[row] });
  return { done, tiles: program.tiles.map(at) };
}

/** Blocks that the load of `index` is about: those read, or those that a table's entries lead to. */
export function blocksAt(program, index) {
  const step = program.steps[index];
  if (step.kind !== "table") return step.blocks;
  return program.steps.find((each) => each.index > index && each.kind === "k")?.blocks ?? [];
}

/** Programs that read `block` in any load, as their ids. */
export function readersOf(programs, block) {
  return programs.filter((program) => program.order.has(block)).map((program) => program.id);
}

/** Where the picture begins: a program and a load that raises a running maximum. */
export function pointOf(programs) {
  for (const [index, program] of programs.entries()) {
    const tile = program.tiles.findIndex((each, i) => (
      i > 1 && each.shrink[0] < 1 && program.sequence !== null));
    if (tile > 0) return { program: index, step: program.tiles[tile].to };
  }
  const first = Math.max(0, programs.findIndex((program) => !program.spare));
  return { program: first, step: programs[first].tiles.at(-1)?.to ?? 0 };
}
