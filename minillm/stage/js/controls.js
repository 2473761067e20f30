// The row of controls: to start, back, play or pause, step, next stall, next preemption, speed,
// live (or end). Each is a real button with its words and its key.

import { el, setShown, setText, toggle } from "./dom.js";

const ICONS = {
  start: "M3 3h2v10H3zM13 3v10L6 8z", back: "M11 3v10L4 8z", play: "M4 2.5v11l9-5.5z",
  pause: "M4 3h3v10H4zM9 3h3v10H9z", step: "M5 3v10l7-5z",
  stall: "M2 7h4v2H2zM7 7h2v2H7zM10 7h4v2h-4z", preemption: "M4 3l4 4 4-4 1 1-4 4 4 4-1 1-4-4-4 4-1-1 4-4-4-4z",
};

export const SPEEDS = [
  { label: "0.25×", rate: 2 }, { label: "1×", rate: 8 }, { label: "4×", rate: 32 }, { label: null, rate: null },
]; // steps per second; null: as fast as frames come

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

function button(action, label, key, iconName = action) {
  const node = el("button", "ms-button", { type: "button", "data-action": action });
  if (iconName) node.append(icon(iconName));
  const words = el("span", "ms-button-label");
  words.textContent = label;
  const hint = el("kbd", "ms-key");
  hint.textContent = key;
  node.append(words, hint);
  node.words = words;
  return node;
}

/** `act(action, value)` is called on a click. */
export function createControls(region, act, live, say) {
  const moves = el("div", "ms-control-group", { role: "group", "aria-label": say("stage.playback") });
  const start = button("start", say("stage.start"), "Home");
  const back = button("back", say("stage.back"), "←");
  const play = button("play", say("stage.play"), say("stage.space"));
  play.classList.add("ms-primary");
  const step = button("step", say("stage.step"), "→");
  const stall = button("stall", say("stage.stall"), "S");
  const preemption = button("preemption", say("stage.preemption"), "P");
  const note = button("note", say("stage.note"), "N", null);
  moves.append(start, back, play, step, stall, preemption, note);
  const right = el("div", "ms-control-group ms-control-right");
  const speeds = el("div", "ms-speeds", { role: "radiogroup", "aria-label": say("stage.speed") });
  SPEEDS.forEach((speed, i) => {
    const label = speed.label ?? say("stage.fastest");
    const node = el("button", "ms-speed", { type: "button", role: "radio", "data-action": "speed",
      "data-value": String(i), title: say("stage.speed_key", { label, key: i + 1 }) });
    node.textContent = label;
    speeds.append(node);
  });
  const keys = el("kbd", "ms-key ms-key-speeds");
  keys.textContent = "1–4";
  speeds.append(keys);
  const end = button("end", say(live ? "stage.live" : "stage.end"), live ? "L" : "End", null);
  if (live) end.prepend(el("span", "ms-live-dot", { "aria-hidden": "true" }));
  right.append(speeds, end);
  region.append(moves, right);
  region.addEventListener("click", (event) => {
    const node = event.target.closest("[data-action]");
    if (node && !node.disabled) act(node.dataset.action, node.dataset.value);
  });

  let playing = null;
  function draw({ isPlaying, speed, atStart, atEnd, following, stalls, preemptions, notes }) {
    if (playing !== isPlaying) {
      playing = isPlaying;
      setText(play.words, say(isPlaying ? "stage.pause" : "stage.play"));
      play.firstChild.firstChild.setAttribute("d", ICONS[isPlaying ? "pause" : "play"]);
    }
    start.disabled = back.disabled = atStart;
    step.disabled = atEnd && !live;
    stall.disabled = !stalls;
    preemption.disabled = !preemptions;
    setShown(note, notes > 0);
    [...speeds.querySelectorAll("button")].forEach((node, i) => {
      node.setAttribute("aria-checked", String(i === speed));
    });
    toggle(end, "ms-following", live && following);
    end.setAttribute("aria-pressed", String(live ? following : atEnd));
  }

  return { draw };
}
