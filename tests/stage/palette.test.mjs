import assert from "node:assert/strict";
import { test } from "node:test";

import { HUES, THEMES, contrast, createHues, inkOn, luminance } from "../../minillm/stage/js/palette.js";

const linear = (hex) => [1, 3, 5].map((i) => {
  const v = parseInt(hex.slice(i, i + 2), 16) / 255;
  return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
});

// Machado, Oliveira, Fernandes 2009, severity 1, on linear RGB.
const VISION = {
  normal: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
  protanopia: [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
  deuteranopia: [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
};

function oklab([r, g, b]) {
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s];
}

function distance(a, b, matrix) {
  const [x, y] = [a, b].map((hex) => oklab(matrix.map((row) => Math.max(0, Math.min(1,
    row.reduce((sum, k, i) => sum + k * linear(hex)[i], 0))))));
  return Math.hypot(...x.map((v, i) => v - y[i]));
}

function smallest(matrix, near) {
  let least = Infinity;
  for (let i = 0; i < HUES.length; i++) {
    for (let j = i + 1; j < HUES.length; j++) {
      const apart = Math.min(j - i, HUES.length - (j - i));
      if (apart <= near) least = Math.min(least, distance(HUES[i], HUES[j], matrix));
    }
  }
  return least;
}

for (const [name, matrix] of Object.entries(VISION)) {
  test(`hues differ in ${name}: any two by 0.065, neighbours and next ones by 0.12 (OKLab)`, () => {
    assert.ok(smallest(matrix, 6) >= 0.065, `any two: ${smallest(matrix, 6)}`);
    assert.ok(smallest(matrix, 2) >= 0.12, `neighbours: ${smallest(matrix, 2)}`);
  });
}

test("hues are of like lightness and stand out 3:1 from either paper", () => {
  for (const hue of HUES) {
    assert.ok(luminance(hue) > 0.12 && luminance(hue) < 0.29, hue);
    for (const theme of Object.values(THEMES)) assert.ok(contrast(hue, theme.paper) >= 2.95, hue);
  }
});

test("what is read has 4.5:1: badges, ink, quiet ink and the warning colour", () => {
  for (const hue of HUES) assert.ok(contrast(hue, inkOn(hue)) >= 4.5, hue);
  for (const [name, theme] of Object.entries(THEMES)) {
    for (const colour of ["ink", "quiet", "warn"]) {
      for (const ground of ["paper", "panel"]) {
        assert.ok(contrast(theme[colour], theme[ground]) >= 4.5, `${name} ${colour} on ${ground}`);
      }
    }
    assert.ok(contrast(theme.ink, theme.mark) >= 4.5, name);
    assert.ok(contrast(theme.hollow, theme.paper) >= 1.3, name);
  }
});

test("a number keeps its hue; a fork has its parent's; other names get one each", () => {
  const hue = createHues();
  assert.equal(hue("7"), HUES[7]);
  assert.equal(hue("19"), HUES[7]);
  assert.equal(hue("7.1"), hue("7"));
  const fresh = createHues();
  assert.notEqual(fresh("a"), fresh("b"));
  assert.equal(fresh("a"), fresh("a"));
});
