// Two to four stages with one cursor, on one axis: the same engine time, or the same step. The one
// whose recording is longest on that axis leads, the others show what it shows; all share one row
// of controls. What the host says of their differences is flagged, told and jumped to.

import { createStage } from "../stage.js";
import { el, setShown, setText, toggle } from "./dom.js";
import { createSpeaker } from "./messages.js";
import { createLook, hostTheme, watchTheme } from "./theme.js";

const WIDE = 1000; // CSS px from which two stages stand side by side
const BAR = 51; // CSS px of the row of controls
const CAPTION = 43; // CSS px of the row that tells the differences
const LEAST_HIGH = 430; // CSS px, the least a stage needs

/** `traces`: [{header, records}]. `options`: names of the traces; axis "time" | "step"; differences
 * [{time (ns), text}]; height in CSS px, of all; what else is given goes to each stage. */
export function createComparison(root, traces, { names = [], axis = "time", differences = [], height = 1080, ...options }) {
  const say = createSpeaker(options.language ?? "en");
  const told = [...differences].sort((a, b) => a.time - b.time);
  root.classList.add("ms-together");
  toggle(root, "ms-hall", Boolean(options.present)); // keys alone move it
  root.dataset.lmSuppressShortcuts = "true";
  const caption = el("p", "ms-bar ms-difference", { "aria-live": "polite" });
  const cells = el("div", "ms-cells");
  const bar = el("div", "ms-bar");
  const switcher = el("div", "ms-speeds", { role: "radiogroup", "aria-label": say("stage.axis") });
  const axes = ["time", "step"].map((name) => {
    const node = el("button", "ms-speed", { type: "button", role: "radio", "data-axis": name });
    node.textContent = say(`stage.axis_${name}`);
    switcher.append(node);
    return node;
  });
  const next = el("button", "ms-button", { type: "button", "data-act": "difference" });
  next.textContent = say("stage.difference");
  const group = el("div", "ms-control-group");
  group.append(switcher, next);
  bar.append(group);
  for (const node of [caption, bar]) node.classList.add("minillm-stage"); // its colours and type
  root.append(caption, cells, bar);
  setShown(caption, told.length > 0);
  setShown(next, told.length > 0);

  const lengths = {
    time: traces.map(({ records }) => records.reduce((end, { t, d }) => (t === undefined ? end : Math.max(end, t + d)), 1)),
    step: traces.map(({ records }) => records.reduce((sum, { n }) => sum + (n === undefined ? 0 : 1), 0)),
  };
  let first = 0; // number of the stage that leads
  let jumped = null; // {position, time} of the difference it was led to
  const stages = traces.map(({ header }, i) => {
    const cell = el("section", "ms-cell");
    const place = el("div", "ms-place");
    cell.append(place);
    cells.append(cell);
    return createStage(place, { compact: true, ...options, notes: false, controls: bar,
      marks: told.map(({ time }) => time), leader: () => (i === first ? null : stages[first]),
      together: act, onFrame: (frame) => shown(i, frame), name: names[i] ?? header.title,
      onState: options.onState && ((state) => i === first && options.onState({ ...state, axis })) });
  });
  traces.forEach(({ header, records }, i) => stages[i].load(header, records));

  function shown(i, frame) {
    if (i !== first) return;
    for (const stage of stages) if (stage !== stages[first]) stage.follow(frame);
    const past = told.findLast(({ time }) => time <= frame.time);
    setText(caption, past ? past.text : say("stage.differences_ahead", { n: told.length }));
  }

  function setAxis(name) {
    axis = name;
    const longest = Math.max(...lengths[axis]);
    first = lengths[axis].indexOf(longest);
    stages.forEach((stage, i) => {
      stage.setAxis(axis, longest);
      stage.showControls(i === first);
    });
    axes.forEach((node) => node.setAttribute("aria-checked", String(node.dataset.axis === axis)));
  }

  /** What the keys of a comparison do; true where it was one of them. */
  function act(action) {
    if (action === "axis") {
      stages[first].pause();
      setAxis(axis === "time" ? "step" : "time");
    } else if (action === "difference") {
      const { position, time } = stages[first].cursor();
      const at = jumped?.position === position ? jumped.time : time;
      const found = told.find((each) => each.time > at) ?? told[0];
      if (found) {
        stages[first].seekTime(found.time);
        jumped = { position: stages[first].cursor().position, time: found.time };
      }
    } else {
      return false;
    }
    return true;
  }

  bar.addEventListener("click", (event) => {
    const wanted = event.target.closest("[data-axis]")?.dataset.axis;
    if (wanted && wanted !== axis) act("axis");
    if (event.target.closest("[data-act]")) act("difference");
  });

  const looks = [createLook(caption, 1), createLook(bar, 1)];
  function restyle() {
    const theme = (options.theme ?? "auto") === "auto" ? hostTheme(root) : options.theme;
    for (const look of looks) if (look.name !== theme || !bar.dataset.theme || !caption.dataset.theme) look.wear(theme);
  }

  function layout() {
    const columns = root.clientWidth >= WIDE ? 2 : 1;
    const rows = Math.ceil(stages.length / columns);
    toggle(root, "ms-two-columns", columns === 2);
    toggle(bar, "ms-tight", root.clientWidth < 1560);
    toggle(bar, "ms-compact", root.clientWidth < 1160);
    const taken = (options.present ? 0 : BAR) + (told.length ? CAPTION : 0);
    cells.style.setProperty("--cell", `${Math.max(LEAST_HIGH, Math.floor((height - taken) / rows))}px`);
  }

  setAxis(axis);
  restyle();
  layout();
  const observer = new ResizeObserver(layout);
  observer.observe(root);
  const unwatch = watchTheme(restyle);

  return {
    stages, act,
    axis: () => axis,
    leader: () => stages[first],
    seek: (n) => stages[first].seek(n),
    select: (id) => stages[first].select(id, true),
    destroy() {
      observer.disconnect();
      unwatch();
      for (const stage of stages) stage.destroy();
      root.replaceChildren();
      root.classList.remove("ms-together", "ms-two-columns", "ms-hall");
    },
  };
}
