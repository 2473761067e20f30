// Strokes that the canvases share: hatching for prefill, rounded boxes, fonts.

/** A fill of diagonal stripes of `colour` over `ground`, crisp at any pixel ratio. */
export function hatch(context, colour, ground, ratio) {
  const cache = (context.hatches ??= new Map());
  const key = `${colour} ${ground} ${ratio}`;
  let pattern = cache.get(key);
  if (!pattern) {
    const size = Math.round(7 * ratio);
    const tile = document.createElement("canvas");
    tile.width = tile.height = size;
    const t = tile.getContext("2d");
    t.fillStyle = ground;
    t.fillRect(0, 0, size, size);
    t.strokeStyle = colour;
    t.lineWidth = size * 0.42;
    t.beginPath();
    for (const shift of [-size, 0, size]) {
      t.moveTo(shift - size * 0.5, size * 1.5);
      t.lineTo(shift + size * 1.5, -size * 0.5);
    }
    t.stroke();
    pattern = context.createPattern(tile, "repeat");
    pattern.setTransform(new DOMMatrix().scale(1 / ratio));
    cache.set(key, pattern);
  }
  return pattern;
}

export function box(context, x, y, width, height, radius) {
  context.beginPath();
  const r = Math.max(0, Math.min(radius, width / 2, height / 2));
  if (r < 0.75) context.rect(x, y, width, height);
  else context.roundRect(x, y, width, height, r);
}

export function font(look, weight = 400, size = 14) {
  return `${weight} ${size * look.scale}px ${look.family}`;
}

/** How wide words are in the look's type: `(words, size) => CSS px`. */
export function createRuler(look) {
  const context = document.createElement("canvas").getContext("2d");
  return (words, size) => {
    context.font = font(look, 400, size);
    return context.measureText(words).width;
  };
}
