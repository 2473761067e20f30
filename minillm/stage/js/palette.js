// Colour is who. Twelve hues of like lightness, found by maximising the smallest distance between
// any two (and more so between neighbours) in normal vision, protanopia and deuteranopia;
// tests/stage/palette.test.mjs holds the floor. Both themes use them: each has at least 3:1
// against either paper, and its badge takes whichever ink reads better.

export const HUES = [
  "#927fff", "#2d5bd2", "#91524c", "#0ea738", "#5196cf", "#7c50a7",
  "#ea6d06", "#0ca399", "#6573d4", "#8d680d", "#a23d7c", "#f35a86",
];

export const THEMES = {
  light: {
    paper: "#fcfbf8", panel: "#ffffff", ink: "#1b212c", quiet: "#5a6478", line: "#dfddd6",
    hollow: "#c9c6bc", cached: "#e9e7df", cachedLine: "#8d8a7f", warn: "#b93a08",
    mark: "#cfdcf7", label: "#ffffff", hatchGap: 0.42,
  },
  dark: {
    paper: "#12161c", panel: "#191f28", ink: "#eef1f6", quiet: "#a3adbf", line: "#2c3442",
    hollow: "#39424f", cached: "#262e3a", cachedLine: "#7d8899", warn: "#ffa24a",
    mark: "#33415e", label: "#191f28", hatchGap: 0.34,
  },
};

function channels(hex) {
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

export function luminance(hex) {
  const [r, g, b] = channels(hex).map((c) => {
    const v = c / 255;
    return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

export function contrast(a, b) {
  const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
}

/** The ink that reads best on a hue. */
export function inkOn(hex) {
  return contrast(hex, "#ffffff") >= 4.5 ? "#ffffff" : "#0b0e13";
}

/** `amount` of `a` over `b`, as "#rrggbb". */
export function mix(a, b, amount) {
  const x = channels(a);
  const y = channels(b);
  return "#" + x.map((c, i) => Math.round(c * amount + y[i] * (1 - amount))
    .toString(16).padStart(2, "0")).join("");
}

/** Sequence id → hue. A number keeps its hue in every run; a fork has its parent's. */
export function createHues() {
  const given = new Map();
  return (id) => {
    let index = given.get(id);
    if (index === undefined) {
      const root = String(id).split(".")[0];
      index = /^\d+$/.test(root) ? Number(root) % HUES.length : given.size % HUES.length;
      given.set(id, index);
    }
    return HUES[index];
  };
}
