// The X-ray's picture: what it takes out of the record, tested on X-rays that come with minillm.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { anatomy, baseOf, blocksAt, pointOf, readersOf, softmaxAt } from "../../minillm/stage/xray/anatomy.js";
import { narrateLoad } from "../../minillm/stage/xray/narrate.js";
import { createXraySpeaker } from "../../minillm/stage/xray/texts.js";
import { LINE, costOf, sameLoad, sectorsOf, totalOf, warpLines, winners } from "../../minillm/stage/xray/traffic.js";
import { plain } from "../../minillm/stage/js/narration.js";

const CASES = ["mixed", "decode", "gqa", "prefill", "shared"];
const LAYOUTS = ["NHD", "HND", "packed"];
const read = (name, layout = "NHD") => JSON.parse(readFileSync(
  new URL(`../../minillm/xray/bundled/${name}-${layout}.json`, import.meta.url), "utf-8"));
const seen = (name, layout) => anatomy(read(name, layout));
const program = (picture, ...id) => picture.programs.find((each) => String(each.id) === String(id));

test("a decode's program reads the blocks of its table in order", () => {
  for (const name of ["mixed", "decode", "gqa", "shared"]) {
    for (const layout of LAYOUTS) {
      const picture = seen(name, layout);
      const table = picture.case.block_tables[0];
      const one = program(picture, 0, 0, 0);
      assert.equal(one.sequence, "0");
      assert.deepEqual([...one.order], table.map((block, i) => [block, i + 1]));
    }
  }
});

test("every load of K has its tile, its table before it and its V after it", () => {
  for (const name of CASES) {
    for (const one of seen(name).programs.filter(({ spare }) => !spare)) {
      const kinds = one.steps.map(({ kind }) => kind).filter((kind) => kind !== "lengths");
      const tiles = one.tiles.length - 1;
      assert.deepEqual(kinds, ["q", ...Array(tiles).fill(["table", "k", "v"]).flat(), "out"]);
      const numbers = one.steps.filter(({ kind }) => ["table", "k", "v"].includes(kind)).map(({ tile }) => tile);
      assert.deepEqual(numbers, numbers.map((_, i) => Math.floor(i / 3) + 1));
      for (const { kind, index } of one.steps) {
        if (kind === "table") assert.deepEqual(blocksAt(one, index), one.steps[index + 1].blocks);
      }
    }
  }
});

test("rows are the queries of the program's tile, by position and head", () => {
  const picture = seen("mixed"); // the third request's 12 new tokens are its last, from position 8 on
  const rows = program(picture, 3, 1, 0).rows;
  assert.deepEqual(rows.map(({ position }) => position), [16, 16, 17, 17, 18, 18, 19, 19]);
  assert.deepEqual(new Set(rows.map(({ head }) => head)), new Set([2, 3]));
  assert.deepEqual(new Set(rows.map(({ sequence }) => sequence)), new Set(["2"]));
  assert.equal(program(seen("gqa"), 0, 1, 0).rows.length, 4);
});

test("the softmax is what the kernel held, and is not known before its tile is done", () => {
  const json = read("mixed");
  const one = program(anatomy(json), 0, 0, 0);
  const values = json.launches[0].programs.find(({ id }) => String(id) === "0,0,0").values;
  const last = values.findLast(({ name }) => name === "total").values[1];
  const out = one.steps.at(-1).index;
  assert.equal(softmaxAt(one, out, 1).tiles.at(-1).total, last);
  assert.equal(one.tiles.length, 4);
  assert.equal(softmaxAt(one, 0, 0).done, 0);
  const [k, v] = ["k", "v"].map((kind) => one.steps.find((step) => step.kind === kind).index);
  assert.equal(softmaxAt(one, k, 0).done, 0);
  assert.equal(softmaxAt(one, v, 0).done, 1);
  assert.equal(softmaxAt(one, out, 0).done, 3);
  assert.equal(softmaxAt(one, 0, 0).tiles[0].highest, -Infinity);
  assert.equal(baseOf(one), 2);
});

test("what was summed before is carried over by the factor that the kernel used", () => {
  for (const name of CASES) {
    for (const one of seen(name).programs.filter(({ spare }) => !spare)) {
      for (let i = 1; i < one.tiles.length; i++) {
        for (let row = 0; row < one.rows.length; row++) {
          const [before, after] = [one.tiles[i - 1], one.tiles[i]];
          assert.ok(after.highest[row] >= before.highest[row]);
          assert.ok(after.total[row] >= before.total[row] * after.shrink[row] - 1e-4);
        }
      }
    }
  }
});

test("an X-ray without watched variables has loads and no softmax", () => {
  const json = read("mixed");
  for (const { programs } of json.launches) for (const each of programs) delete each.values;
  const one = program(anatomy(json), 0, 0, 0);
  assert.equal(one.tiles.length, 4);
  assert.equal(softmaxAt(one, 0, 0).tiles[3].total, undefined);
  assert.equal(baseOf(one), null);
  assert.throws(() => anatomy({ ...json, launches: [] }), RangeError);
});

test("shared blocks have their owners and are read by programs of each", () => {
  const picture = seen("shared");
  const [first] = picture.case.block_tables[0];
  assert.deepEqual(picture.owners[first].owners, ["0", "1", "2"]);
  assert.equal(readersOf(picture.programs, first).length, 6);
  const free = picture.owners.findIndex(({ owners }) => owners.length === 0);
  assert.equal(readersOf(picture.programs, free).length, 0);
  const last = seen("mixed").owners[18]; // request 1: 22 tokens in blocks of 4
  assert.deepEqual(last, { owners: ["1"], filled: 2 });
});

test("the picture begins where a maximum rises", () => {
  for (const name of CASES) {
    const picture = seen(name);
    const { program: index, step } = pointOf(picture.programs);
    const one = picture.programs[index];
    assert.equal(one.steps[step].kind, "v");
    assert.ok(one.tiles[one.steps[step].tile].shrink[0] < 1);
  }
});

test("the ruler holds every byte that the first warp asks for", () => {
  for (const layout of LAYOUTS) {
    const { access } = program(seen("mixed", layout), 0, 0, 0).steps.find(({ kind }) => kind === "k");
    const lines = warpLines(access);
    const bytes = lines.flatMap(({ line, parts }) => parts.map(({ thread, from, to }) => {
      assert.ok(from >= 0 && to <= LINE);
      return [thread, line * LINE + from];
    }));
    assert.deepEqual(bytes.sort(([a], [b]) => a - b).map(([, start]) => start), access.warp);
    assert.ok(lines.every((line) => sectorsOf(line).every((sector) => sector >= 0 && sector < 4)));
    if (access.requests === 1) assert.equal(lines.length, access.lines);
  }
});

test("the same tile in another layout is the same bytes, and HND needs fewest lines", () => {
  const pictures = Object.fromEntries(LAYOUTS.map((layout) => [layout, seen("mixed", layout)]));
  const loads = LAYOUTS.map((layout) => sameLoad(pictures[layout], [0, 1, 0], "v_cache", 1));
  assert.deepEqual(loads.map(({ bytes }) => bytes), [1024, 1024, 1024]);
  const costs = Object.fromEntries(LAYOUTS.map((layout, i) => [layout, costOf(loads[i])]));
  assert.deepEqual(winners(costs), ["HND"]);
  assert.equal(costs.NHD.ofLines, 0.5);
  assert.equal(costs.HND.ofLines, 1);
  assert.equal(totalOf(pictures.NHD, "lines"), 2 * totalOf(pictures.HND, "lines"));
  assert.equal(sameLoad(pictures.NHD, [0, 1, 0], "v_cache", 9), null);
  assert.equal(sameLoad(pictures.NHD, [9, 9, 9], "v_cache", 0), null);
});

test("where all cost the same nobody wins", () => {
  const cost = { lines: 4, sectors: 8, requests: 1 };
  assert.deepEqual(winners({ a: cost, b: cost }), []);
  assert.deepEqual(winners({ a: cost }), []);
  assert.deepEqual(winners({ a: cost, b: { ...cost, sectors: 9 }, c: cost }), ["a", "c"]);
  assert.deepEqual(winners({}), []);
});

test("each load is told in a sentence, in both languages", () => {
  for (const language of ["en", "zh"]) {
    const say = createXraySpeaker(language);
    for (const name of CASES) {
      const picture = seen(name);
      for (const one of picture.programs) {
        const steps = one.spare ? 1 : one.steps.length;
        for (let at = 0; at < steps; at++) {
          const words = plain(narrateLoad(picture, one, at, 0, say));
          assert.doesNotMatch(words, /NaN|undefined|Infinity|\{/);
          assert.ok(words.includes(one.id.slice(0, 2).join(",")), words);
        }
      }
    }
  }
  const picture = seen("mixed");
  const one = program(picture, 0, 0, 0);
  const told = one.steps.map(({ index }) => plain(narrateLoad(picture, one, index, 0, createXraySpeaker("en"))));
  assert.match(told[7], /reads the keys of request \[0\] from blocks 12 13 1 8, numbers 1 to 4 of its 10: 16 tokens/);
  assert.match(told[11], /The maximum rises from 2.28 to 2.67: what was summed before is multiplied by 0.77/);
  assert.match(told[15], /divides by the sum 9.26/);
});
