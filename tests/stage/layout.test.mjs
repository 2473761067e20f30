import assert from "node:assert/strict";
import { test } from "node:test";

import { batchLayout } from "../../minillm/stage/js/draw-batch.js";
import { gridLayout } from "../../minillm/stage/js/draw-blocks.js";
import { axisEnd, focusLayout, laneLayout, stepAxis, ticks } from "../../minillm/stage/js/axis.js";
import { edges, pixelOf } from "../../minillm/stage/js/block-pixels.js";
import { WAITING, createTimeline, crowdBins } from "../../minillm/stage/js/timeline.js";
import { columns, tail, visible } from "../../minillm/stage/js/text.js";

test("every block has a cell inside the canvas", () => {
  for (const blocks of [1, 7, 48, 128, 256, 1000, 4096, 16384]) {
    for (const [width, height] of [[720, 160], [680, 60], [300, 400], [600, 12]]) {
      const { columns, rows, cellWidth, cellHeight } = gridLayout(blocks, width, height);
      assert.ok(columns * rows >= blocks, `${blocks}`);
      assert.ok(columns * cellWidth <= width + 0.01 && rows * cellHeight <= height + 0.01, `${blocks} in ${width}×${height}`);
      assert.ok(cellWidth > 0 && cellHeight > 0);
    }
  }
});

test("a canvas without height still has a grid", () => {
  assert.equal(gridLayout(16, 600, 0).columns, 16);
});

test("a full batch ends at the budget line; prefills are to scale with one another", () => {
  const batch = [...Array.from({ length: 8 }, (_, i) => ({ id: `${i}`, kind: "decode", tokens: 1 })),
    { id: "p", kind: "prefill", tokens: 200 }, { id: "q", kind: "prefill", tokens: 48 }];
  const { rows, line, used } = batchLayout(batch, 256, 700);
  assert.ok(Math.abs(used - line) < 0.5);
  const [p, q] = rows.slice(-2);
  assert.ok(Math.abs(p.width / q.width - 200 / 48) < 0.05);
  assert.ok(rows[0].width >= 5);
});

test("a half-full batch ends at half the budget; hundreds of decodes fit", () => {
  const half = batchLayout([{ id: "p", kind: "prefill", tokens: 128 }], 256, 704);
  assert.ok(Math.abs(half.used / half.line - 0.5) < 0.01);
  const crowd = batchLayout(Array.from({ length: 256 }, (_, i) => ({ id: `${i}`, kind: "decode", tokens: 1 })), 256, 704);
  assert.ok(crowd.used <= crowd.line + 0.01);
});

test("lanes that do not fit are those around the cursor, on an axis of their own", () => {
  const timeline = createTimeline();
  // Each runs 50 after it came, but for the last ten, which wait.
  for (let i = 0; i < 256; i++) {
    const segments = [WAITING, i * 10, i < 246 ? i * 10 + 50 : 3000];
    timeline.order.push({ arrival: i * 10, end: i < 200 ? i * 10 + 90 : null, segments });
  }
  timeline.end = 3000;
  assert.equal(laneLayout(timeline, 160), null);
  for (const time of [0, 1234, 2000, 3000]) {
    const { shown, first, pitch, from, to } = focusLayout(timeline, 160, time);
    assert.deepEqual([shown, pitch], [40, 4]);
    assert.ok(from <= time && time <= to, `${time} in ${from}–${to}`);
    const front = Math.max(0, Math.min(245, Math.floor(time / 10) - 5));
    assert.ok(first <= front && front < first + shown, `${front} from ${first}`);
  }
  assert.deepEqual(focusLayout(timeline, 160, 1234), focusLayout(timeline, 160, 1236));
  assert.deepEqual(laneLayout({ order: timeline.order.slice(0, 10) }, 160), { pitch: 16, shown: 10, first: 0 });
});

test("the crowd keeps the most of each stretch of time, however short it was", () => {
  const crowd = { end: [], running: [], waiting: [] };
  for (let i = 0; i < 1000; i++) {
    crowd.end.push((i + 1) * 10);
    crowd.running.push(3);
    crowd.waiting.push(i === 555 ? 9 : 0);
  }
  const { running, waiting } = crowdBins(crowd, 100, (time) => time / 10000);
  assert.deepEqual([...new Set(running)], [3]);
  assert.equal(waiting.indexOf(9), 55);
  const long = crowdBins({ end: [1000], running: [2], waiting: [1] }, 10, (time) => time / 1000);
  assert.deepEqual([...long.running], Array(10).fill(2));
});

test("small cells tile the canvas in whole pixels", () => {
  const xs = edges(181, 720 / 181, 1.25);
  assert.equal(xs.length, 182);
  assert.equal(xs[181], 900);
  for (let i = 0; i < 181; i++) assert.ok(xs[i + 1] - xs[i] >= 4 && xs[i + 1] - xs[i] <= 5);
  assert.equal(pixelOf("#12ab34"), 0xff34ab12);
});

test("the axis has round ticks; a growing one has room ahead", () => {
  assert.deepEqual(ticks(1e9, 6), [0, 2e8, 4e8, 6e8, 8e8, 1e9]);
  assert.deepEqual(ticks(1e9, 3, 7e8), [7e8, 8e8, 9e8, 1e9]);
  assert.ok(ticks(123456, 5).length <= 6);
  assert.equal(axisEnd(1.2e9, true), 2e9);
  assert.equal(axisEnd(1.2e9, false), 1.2e9);
});

test("what does not print is shown, what turns direction is named", () => {
  assert.equal(visible("a\u0000b\u001b[31m\u007f"), "a␀b␛[31m␡");
  assert.equal(visible("x\u202ey\u2066z"), "x‹RLO›y‹LRI›z");
  assert.equal(visible("one\ntwo\t3"), "one↵ two⇥ 3");
  assert.equal(visible("שלום 你好 🦊"), "שלום 你好 🦊");
  assert.equal(visible("\ud800"), "�");
});

test("Chinese is twice as wide as Latin", () => {
  assert.equal(columns("done · 12"), 9);
  assert.equal(columns("已完成，12"), 10);
});

test("the tail of a text is cut at a word", () => {
  assert.equal(tail("short", 10), "short");
  assert.equal(tail("the fox carried the lantern home", 14), "…lantern home");
  assert.ok(tail("x".repeat(50), 14).length <= 15);
});

test("an axis in steps: a place between two steps, and the time of each", () => {
  const steps = [{ n: 0, t: 10, d: 10 }, { n: 1, t: 20, d: 20 }, { n: 2, t: 50, d: 10 }];
  const axis = stepAxis(steps, 5);
  assert.deepEqual([axis.from, axis.to, axis.least], [-1, 4, 1]);
  assert.deepEqual([0, 15, 20, 30, 40, 45, 60, 99].map(axis.of), [-1, -0.5, 0, 0.5, 1, 1, 2, 2]);
  assert.deepEqual([-1, 0, 1.4, 9].map(axis.timeOf), [20, 20, 40, 60]);
  assert.equal(axis.label(2), "2");
  assert.deepEqual(ticks(4, 6, -1, 1), [-1, 0, 1, 2, 3, 4]);
});
