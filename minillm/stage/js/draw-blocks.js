// The KV pool: a cell per block. Its owner is its hue, the slots used its height, two tones are
// two owners, a dashed outline is cached and reusable, hollow is free. Only cells that changed
// are drawn; one that was taken or returned crosses over in at most 150 ms. Where cells are a few
// pixels, they are colours and no more (block-pixels.js).

import { createPixels } from "./block-pixels.js";
import { fitCanvas } from "./dom.js";
import { box } from "./paint.js";
import { HUES, mix } from "./palette.js";

const CROSS = 150; // ms
const DETAIL = 7; // below this cell size (CSS px) a cell is its owner's colour and no more
const NOBODY = 15;

/** Columns, rows and cell size that fill `width` × `height` with `blocks` cells best. */
export function gridLayout(blocks, width, height, largest = 46) {
  let best = null;
  const from = Math.min(blocks, Math.max(1,
    Math.floor(Math.sqrt((blocks * width) / Math.max(1, height)) * 0.5)));
  for (let columns = from; columns <= Math.min(blocks, from * 6 + 8); columns++) {
    const rows = Math.ceil(blocks / columns);
    const cell = Math.min(width / columns, height / rows, largest);
    // A round number of columns reads easier: worth a tenth of the size.
    const round = columns % 16 === 0 ? 1.12 : columns % 8 === 0 ? 1.08 : columns % 4 === 0 ? 1.03 : 1;
    const full = blocks % columns === 0 ? 1.13 : 1;
    if (!best || cell * round * full > best.score) best = { columns, rows, cell, score: cell * round * full };
  }
  const { columns, rows } = best;
  const cellWidth = Math.min(width / columns, best.cell * 1.25);
  const cellHeight = Math.min(height / rows, best.cell * 1.25);
  return { columns, rows, cellWidth, cellHeight };
}

// A cell's looks in 32 bits: hue 4, second hue 4, filled 0–255, cached, selected, quiet.
function packed(hue, second, filled, cached, selected, quiet) {
  return hue | (second << 4) | (filled << 8) | (cached << 16) | (selected << 17) | (quiet << 18);
}
const OWNERSHIP = 0xff | (1 << 16);

export function createBlocks(canvas, look) {
  const context = canvas.getContext("2d");
  let shown = new Int32Array(0); // looks last drawn
  let before = new Int32Array(0); // looks a crossing cell comes from
  let began = new Float64Array(0);
  const crossing = new Set();
  const pixels = createPixels(context);
  let grid = null;
  let small = false;
  let tones = null;
  let all = true;
  let painted = 0; // cells painted for the last view

  function restyle() {
    all = true;
    const { paper } = look.theme;
    tones = HUES.map((hue) => ({
      solid: [hue, mix(hue, paper, 0.42)],
      tint: [mix(hue, paper, 0.2), mix(hue, paper, 0.12)],
    }));
  }

  function cellBox(index) {
    const { columns, cellWidth, cellHeight } = grid;
    return [(index % columns) * cellWidth, Math.floor(index / columns) * cellHeight];
  }

  function paint(index, bits) {
    const { theme } = look;
    const hue = bits & 15;
    const second = (bits >> 4) & 15;
    const filled = ((bits >> 8) & 255) / 255;
    const cached = (bits >> 16) & 1;
    const selected = (bits >> 17) & 1;
    const quiet = (bits >> 18) & 1;
    if (small) {
      if (hue !== NOBODY) pixels.paint(index, quiet ? tones[hue].tint[0] : tones[hue].solid[0], theme.paper, { edge: selected ? theme.ink : null });
      else pixels.paint(index, cached ? mix(theme.cachedLine, theme.paper, 0.45) : theme.hollow, theme.paper, { dot: !cached });
      return;
    }
    const { cellWidth: w, cellHeight: h } = grid;
    const [left, top] = cellBox(index);
    const gap = Math.min(1.5, w * 0.08);
    const x = left + gap;
    const y = top + gap;
    const width = w - 2 * gap;
    const height = h - 2 * gap;
    const radius = Math.min(3.5, width / 5);
    context.fillStyle = theme.paper;
    context.fillRect(left - 0.5, top - 0.5, w + 1, h + 1);
    if (hue === NOBODY) {
      paintUnowned(x, y, width, height, radius, cached);
      return;
    }
    const tone = tones[hue];
    box(context, x, y, width, height, radius);
    context.fillStyle = tone.tint[quiet];
    context.fill();
    context.save();
    context.clip();
    context.fillStyle = tone.solid[quiet];
    const used = filled === 0 ? 0 : Math.max(2, height * filled);
    context.fillRect(x, y + height - used, width, used);
    if (second !== NOBODY) {
      context.fillStyle = tones[second].solid[quiet];
      context.beginPath();
      context.moveTo(x + width, y);
      context.lineTo(x + width, y + height);
      context.lineTo(x, y + height);
      context.fill();
      context.strokeStyle = theme.paper;
      context.lineWidth = 1;
      context.beginPath();
      context.moveTo(x + width, y);
      context.lineTo(x, y + height);
      context.stroke();
    }
    context.restore();
    if (selected) {
      context.strokeStyle = theme.ink;
      context.lineWidth = 2;
      box(context, x + 0.5, y + 0.5, width - 1, height - 1, radius);
      context.stroke();
    }
  }

  function paintUnowned(x, y, width, height, radius, cached) {
    const { theme } = look;
    box(context, x + 0.5, y + 0.5, width - 1, height - 1, radius);
    if (cached) {
      context.fillStyle = theme.cached;
      context.fill();
      context.setLineDash([3, 2.5]);
      context.strokeStyle = theme.cachedLine;
    } else {
      context.strokeStyle = theme.hollow;
    }
    context.lineWidth = 1.2;
    context.stroke();
    context.setLineDash([]);
  }

  function paintCell(index, now, duration) {
    if (!crossing.has(index)) {
      paint(index, shown[index]);
      return;
    }
    const part = Math.min(1, (now - began[index]) / duration);
    if (part < 1) {
      paint(index, before[index]);
      context.globalAlpha = part;
      paint(index, shown[index]);
      context.globalAlpha = 1;
    } else {
      crossing.delete(index);
      paint(index, shown[index]);
    }
  }

  /** Draw `view` (see fold.blockView). Returns true while a cell is still crossing over. */
  function draw(view, { blockSize, selection, selectedBlocks, now, cross }) {
    const size = view.owner.length;
    if (fitCanvas(canvas)) all = true;
    if (shown.length !== size) {
      shown = new Int32Array(size);
      before = new Int32Array(size);
      began = new Float64Array(size);
      crossing.clear();
      all = true;
    }
    const ratio = canvas.width / Math.max(1, canvas.box.width);
    if (all) {
      if (!tones) restyle();
      grid = gridLayout(size, canvas.box.width, canvas.box.height, 46 * look.scale);
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.fillStyle = look.theme.paper;
      context.fillRect(0, 0, canvas.box.width, canvas.box.height);
      crossing.clear();
      small = Math.min(grid.cellWidth, grid.cellHeight) < DETAIL;
      if (small) pixels.fit(grid, ratio, look.theme.paper);
    }
    const animate = cross && !all && !small && !look.still;
    painted = 0;
    for (let b = 0; b < size; b++) {
      const owner = view.owner[b];
      const second = view.second[b];
      const selected = selectedBlocks.has(b) ? 1 : 0;
      const quiet = selection !== null && !selected ? 1 : 0;
      const bits = packed(
        owner === null ? NOBODY : look.hueIndex(owner),
        second === null ? NOBODY : look.hueIndex(second),
        Math.round((view.filled[b] / blockSize) * 255),
        view.owners[b] === 0 && view.cached[b], selected, quiet,
      );
      if (bits === shown[b] && !all) continue;
      if (animate && (bits ^ shown[b]) & OWNERSHIP) {
        before[b] = shown[b];
        began[b] = now;
        crossing.add(b);
      }
      shown[b] = bits;
      painted += 1;
      paintCell(b, now, CROSS);
    }
    if (small) pixels.flush();
    all = false;
    return crossing.size > 0;
  }

  /** Carry on the crossings; true while any is left. */
  function tick(now) {
    for (const index of crossing) paintCell(index, now, CROSS);
    return crossing.size > 0;
  }

  /** The block under a point in CSS px of the canvas, or null. */
  function at(x, y) {
    if (!grid) return null;
    const column = Math.floor(x / grid.cellWidth);
    const index = Math.floor(y / grid.cellHeight) * grid.columns + column;
    return column >= 0 && column < grid.columns && index >= 0 && index < shown.length ? index : null;
  }

  return { draw, tick, at, restyle, painted: () => painted, isSmall: () => small, cellBox: (index) => [...cellBox(index), grid.cellWidth, grid.cellHeight] };
}
