// Cells of a few pixels, as a large pool has them, written straight into an image: all 16,384 of
// them cost less than a hundred of those that are drawn. A cell is its owner's colour; one that is
// cached is a full cell of its own grey, one that is free a dot.

/** "#rrggbb" as the 32 bits of an opaque pixel (little-endian, as every browser's machine is). */
export function pixelOf(hex) {
  const value = Number.parseInt(hex.slice(1), 16);
  return ((255 << 24) | ((value & 255) << 16) | (value & 0xff00) | (value >> 16)) >>> 0;
}

/** Where cells begin, in device px: `count` + 1 edges of cells `size` CSS px wide. */
export function edges(count, size, ratio) {
  return Int32Array.from({ length: count + 1 }, (_, i) => Math.round(i * size * ratio));
}

export function createPixels(context) {
  let image = null;
  let pixels = null;
  let xs = null;
  let ys = null;
  let columns = 0;
  let gap = 0;
  let dirty = null; // [left, top, right, bottom] in device px

  /** Start over with an empty image of the canvas's size. */
  function fit(grid, ratio, paper) {
    const { width, height } = context.canvas;
    image = context.createImageData(width, height);
    pixels = new Uint32Array(image.data.buffer);
    pixels.fill(pixelOf(paper));
    columns = grid.columns;
    xs = edges(grid.columns, grid.cellWidth, ratio);
    ys = edges(grid.rows, grid.cellHeight, ratio);
    gap = Math.min(grid.cellWidth, grid.cellHeight) >= 3 ? Math.max(1, Math.floor(ratio)) : 0;
    dirty = [0, 0, width, height];
  }

  function rectangle(left, top, right, bottom, pixel) {
    const { width } = image;
    for (let y = top; y < bottom; y++) pixels.fill(pixel, y * width + left, y * width + right);
  }

  /** Fill a cell with `colour` on `paper`; `dot`: only its middle; `edge`: a frame of that colour. */
  function paint(index, colour, paper, { dot = false, edge = null } = {}) {
    const column = index % columns;
    const row = (index - column) / columns;
    const left = xs[column];
    const top = ys[row];
    const right = Math.min(image.width, Math.max(left + 1, xs[column + 1] - gap));
    const bottom = Math.min(image.height, Math.max(top + 1, ys[row + 1] - gap));
    const frame = edge !== null && right - left > 2 && bottom - top > 2;
    if (dot) {
      rectangle(left, top, right, bottom, pixelOf(paper));
      const x = (left + right) >> 1;
      const y = (top + bottom) >> 1;
      rectangle(x, y, Math.min(right, x + Math.max(1, gap)), Math.min(bottom, y + Math.max(1, gap)), pixelOf(colour));
    } else {
      rectangle(left, top, right, bottom, pixelOf(frame ? edge : colour));
      if (frame) rectangle(left + 1, top + 1, right - 1, bottom - 1, pixelOf(colour));
    }
    if (!dirty) dirty = [left, top, right, bottom];
    dirty = [Math.min(dirty[0], left), Math.min(dirty[1], top), Math.max(dirty[2], right), Math.max(dirty[3], bottom)];
  }

  /** Show what was painted since the last time. */
  function flush() {
    if (!dirty) return;
    const [left, top, right, bottom] = dirty;
    context.putImageData(image, 0, 0, left, top, right - left, bottom - top);
    dirty = null;
  }

  return { fit, paint, flush };
}
