// Dark or light: what the host says, by whichever sign it gives.

import { HUES, THEMES, createHues, inkOn } from "./palette.js";

function luminanceOf(cssColour) {
  const numbers = cssColour.match(/[\d.]+/g);
  if (!numbers || numbers.length < 3 || (numbers.length > 3 && Number(numbers[3]) === 0)) return null;
  return (0.2126 * numbers[0] + 0.7152 * numbers[1] + 0.0722 * numbers[2]) / 255;
}

/** "dark" or "light", read from the surroundings of `root`. */
export function hostTheme(root) {
  const declared = getComputedStyle(root).getPropertyValue("--st-background-color").trim();
  if (declared) {
    const probe = document.createElement("span");
    probe.style.color = declared;
    root.append(probe);
    const value = luminanceOf(getComputedStyle(probe).color);
    probe.remove();
    if (value !== null) return value < 0.5 ? "dark" : "light";
  }
  const jupyter = document.body.dataset.jpThemeLight;
  if (jupyter) return jupyter === "true" ? "light" : "dark";
  const named = document.documentElement.dataset.theme;
  if (named === "dark" || named === "light") return named;
  for (let node = root.parentNode; node; node = node.parentNode || node.host) {
    if (node.nodeType !== 1) continue;
    const value = luminanceOf(getComputedStyle(node).backgroundColor);
    if (value !== null) return value < 0.5 ? "dark" : "light";
  }
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

/** What every part asks for its looks: hues by id, the theme's colours, the type. */
export function createLook(root, scale) {
  const hue = createHues();
  const look = {
    hue, inkOn, scale, name: "light", theme: THEMES.light, family: "sans-serif",
    get still() { return matchMedia("(prefers-reduced-motion: reduce)").matches; },
    wear(name) {
      look.name = name;
      look.theme = THEMES[name];
      root.dataset.theme = name;
      const names = { paper: "paper", panel: "panel", ink: "ink", quiet: "quiet", line: "line",
        hollow: "hollow", cached: "cached", cachedLine: "cached-line", warn: "warn", mark: "mark" };
      for (const key in names) root.style.setProperty(`--${names[key]}`, look.theme[key]);
      look.family = getComputedStyle(root).fontFamily || "sans-serif";
    },
  };
  const indices = new Map();
  look.hueIndex = (id) => {
    let index = indices.get(id);
    if (index === undefined) indices.set(id, (index = HUES.indexOf(hue(id))));
    return index;
  };
  return look;
}

/** Calls `changed` when the host may have changed its theme; returns a stop function. */
export function watchTheme(changed) {
  const media = matchMedia("(prefers-color-scheme: dark)");
  media.addEventListener("change", changed);
  const observer = new MutationObserver(changed);
  const attributeFilter = ["class", "style", "data-theme", "data-jp-theme-light"];
  observer.observe(document.documentElement, { attributes: true, attributeFilter });
  observer.observe(document.body, { attributes: true, attributeFilter });
  return () => {
    media.removeEventListener("change", changed);
    observer.disconnect();
  };
}
