// The keyboard: it works while the stage has the focus or the pointer is over it, and always on
// a page of its own. In a presentation a clicker's keys work too.

const KEYS = {
  Home: "start", ArrowLeft: "back", " ": "play", ArrowRight: "step", s: "stall", p: "preemption",
  n: "note", "?": "why", l: "end", End: "end", Escape: "deselect", 1: "speed", 2: "speed", 3: "speed", 4: "speed",
};
const FOCUSED = { ArrowDown: "next_request", ArrowUp: "previous_request" }; // else the page scrolls
const CLICKER = { PageUp: "back", PageDown: "step", ArrowUp: "back", ArrowDown: "step", b: "blank",
  ".": "blank" };

const TOGETHER = { t: "axis", d: "difference" };

export function listenToKeys(root, act, { wholePage, present, together }) {
  const keys = { ...KEYS, ...(present ? CLICKER : {}), ...(together ? TOGETHER : {}) };
  let hovered = false;
  const enter = () => { hovered = true; };
  const leave = () => { hovered = false; };
  const focused = () => root.contains(root.getRootNode().activeElement);

  function actionOf(key) {
    return keys[key] ?? (focused() ? FOCUSED[key] : undefined);
  }

  function press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (!wholePage && !hovered && !focused()) return;
    const path = event.composedPath();
    const target = path[0];
    if (path.some((node) => node.dataset?.keys === "own")) return; // a dialog's
    if (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const action = actionOf(key);
    if (!action) return;
    if (key === " " && target.tagName === "BUTTON" && root.contains(target)) return; // its own click
    event.preventDefault();
    event.stopPropagation();
    const value = action === "speed" ? String(Number(key) - 1) : undefined;
    act(action === "note" && event.shiftKey ? "previous_note" : action, value);
  }

  root.addEventListener("pointerenter", enter);
  root.addEventListener("pointerleave", leave);
  window.addEventListener("keydown", press, true);
  return () => {
    root.removeEventListener("pointerenter", enter);
    root.removeEventListener("pointerleave", leave);
    window.removeEventListener("keydown", press, true);
  };
}
