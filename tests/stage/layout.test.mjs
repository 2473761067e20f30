import assert from "node:assert/strict";
import { test } from "node:test";

import { batchLayout } from "../../minillm/stage/js/draw-batch.js";
import { gridLayout } from "../../minillm/stage/js/draw-blocks.js";
import { axisEnd, laneLayout, ticks } from "../../minillm/stage/js/draw-timeline.js";
import { createTimeline } from "../../minillm/stage/js/timeline.js";
import { tail, visible } from "../../minillm/stage/js/text.js";

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

test("lanes that do not fit are windowed around those alive", () => {
  const timeline = createTimeline();
  for (let i = 0; i < 256; i++) timeline.order.push({ end: i < 200 ? 10 : null });
  const { shown, first, pitch } = laneLayout(timeline, 160, 20);
  assert.equal(pitch, 4);
  assert.ok(first <= 200 && first + shown > 200);
  assert.equal(laneLayout({ order: timeline.order.slice(0, 10) }, 160, 20).first, 0);
});

test("the axis has round ticks; a growing one has room ahead", () => {
  assert.deepEqual(ticks(1e9, 6), [0, 2e8, 4e8, 6e8, 8e8, 1e9]);
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

test("the tail of a text is cut at a word", () => {
  assert.equal(tail("short", 10), "short");
  assert.equal(tail("the fox carried the lantern home", 14), "…lantern home");
  assert.ok(tail("x".repeat(50), 14).length <= 15);
});
