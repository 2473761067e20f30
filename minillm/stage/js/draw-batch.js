// The batch of one step, to scale with the token budget: decodes solid, prefills hatched, dead
// slots of a static batch hollow. A decode is one token and would be too thin to see in a large
// budget: it is never drawn thinner than a few pixels, at the cost of the free room.

import { fitCanvas } from "./dom.js";
import { count } from "./messages.js";
import { box, font, hatch } from "./paint.js";
import { mix } from "./palette.js";

const THIN = 6; // CSS px a decode is given where there is room

/** Where each row lies: [{id, kind, tokens, x, width}], and the x of the budget line. */
export function batchLayout(batch, budget, width) {
  const line = width - 4;
  const singles = batch.filter((row) => row.kind !== "prefill").length;
  const tokens = batch.reduce((sum, row) => sum + row.tokens, 0);
  const scale = line / Math.max(budget, tokens, 1);
  const thin = Math.min(THIN, singles ? (line * 0.45) / singles : THIN);
  const widths = batch.map((row) => (row.kind === "prefill"
    ? Math.max(3, row.tokens * scale) : Math.max(thin, row.tokens * scale)));
  let over = widths.reduce((sum, w) => sum + w, 0) - line;
  if (over > 0) {
    const wide = batch.map((row, i) => (row.kind === "prefill" ? widths[i] : 0));
    const total = wide.reduce((sum, w) => sum + w, 0);
    for (let i = 0; i < widths.length && total; i++) widths[i] -= (over * wide[i]) / total;
  }
  let x = 0;
  const rows = batch.map((row, i) => {
    const placed = { id: row.id, kind: row.kind, tokens: row.tokens, x, width: widths[i] };
    x += widths[i];
    return placed;
  });
  return { rows, line, used: x };
}

export function createBatch(canvas, look, say) {
  const context = canvas.getContext("2d");
  let layout = { rows: [], line: 0, used: 0 };
  let drawn = "";

  function draw(batch, budget, selection) {
    const resized = fitCanvas(canvas);
    const key = JSON.stringify([batch.map((r) => [r.id, r.kind, r.tokens]), selection, look.name]);
    if (!resized && key === drawn) return;
    drawn = key;
    const width = canvas.box.width;
    const height = canvas.box.height;
    const ratio = canvas.width / Math.max(1, width);
    const { theme } = look;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    layout = batchLayout(batch, budget, width);
    const top = 5;
    const tall = height - 10;
    context.strokeStyle = theme.line;
    context.lineWidth = 1;
    box(context, 0.5, top + 0.5, layout.line - 1, tall - 1, 4);
    context.stroke();
    for (const row of layout.rows) paintRow(row, top, tall, ratio, selection);
    context.fillStyle = theme.ink;
    context.fillRect(layout.line, 0, 2, height);
  }

  function paintRow(row, top, tall, ratio, selection) {
    const { theme } = look;
    const quiet = selection !== null && selection !== row.id;
    const hue = quiet ? mix(look.hue(row.id), theme.paper, 0.42) : look.hue(row.id);
    const gap = row.width > 2.5 ? 0.75 : 0;
    const x = row.x + gap;
    const width = Math.max(0.5, row.width - 2 * gap);
    if (row.kind === "prefill") {
      box(context, x, top, width, tall, 4);
      context.fillStyle = hatch(context, hue, mix(hue, theme.paper, theme.hatchGap), ratio);
      context.fill();
      context.lineWidth = 1.5;
      context.strokeStyle = hue;
      context.stroke();
      label(row, x, width, top, tall);
    } else if (row.kind === "dead") {
      box(context, x + 0.5, top + 0.5, Math.max(1, width - 1), tall - 1, 1);
      context.strokeStyle = theme.quiet;
      context.lineWidth = 1;
      context.stroke();
    } else {
      box(context, x, top, width, tall, 1);
      context.fillStyle = hue;
      context.fill();
    }
    if (selection === row.id) {
      box(context, x, top - 2, width, tall + 4, 4);
      context.strokeStyle = theme.ink;
      context.lineWidth = 2;
      context.stroke();
    }
  }

  function label(row, x, width, top, tall) {
    const { theme } = look;
    const tokens = count(row.tokens);
    context.font = font(look, 600, 14);
    context.textAlign = "center";
    context.textBaseline = "middle";
    const text = [say("stage.prefills", { id: row.id, tokens }), `${row.id} · ${tokens}`, tokens]
      .find((candidate) => context.measureText(candidate).width + 20 < width - 8);
    if (!text) return;
    const wide = context.measureText(text).width + 18;
    box(context, x + (width - wide) / 2, top + tall / 2 - 11 * look.scale, wide, 22 * look.scale, 4);
    context.fillStyle = theme.label;
    context.fill();
    context.fillStyle = theme.ink;
    context.fillText(text, x + width / 2, top + tall / 2 + 0.5);
  }

  /** The sequence whose share lies at `x`, or null. */
  function at(x) {
    return layout.rows.find((row) => x >= row.x && x < row.x + row.width)?.id ?? null;
  }

  return { draw, at, restyle: () => { drawn = ""; }, layout: () => layout };
}
