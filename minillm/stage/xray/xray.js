// The X-ray of the attention kernel as a picture that plays: which program reads which block in
// which order, its online softmax, and the same tile in each layout. All that a host needs:
//
//   const picture = createXray(element, { language: "en" });
//   picture.load({ NHD: xray, HND: xray, packed: null }, "NHD");
//
// A place in it is written "0,1:12": the program, and which of its loads; ":3" more: the row.

import { createControls } from "../js/controls.js";
import { createBadge, el, setBadge, setShown, setText } from "../js/dom.js";
import { listenToKeys } from "../js/keys.js";
import { plain } from "../js/narration.js";
import { createLook, hostTheme, watchTheme } from "../js/theme.js";
import { createWhy } from "../js/why.js";
import { anatomy, pointOf } from "./anatomy.js";
import { createGrid, idOf } from "./draw-grid.js";
import { createLayouts } from "./draw-layouts.js";
import { createLoads } from "./draw-loads.js";
import { createPool } from "./draw-pool.js";
import { createSoftmax } from "./draw-softmax.js";
import { createXrayFrame } from "./frame.js";
import { narrateLoad } from "./narrate.js";
import { createXraySpeaker } from "./texts.js";

const REST = 400; // ms without a move
const PACES = [0.4, 1, 3, 10]; // loads per second, of the controls' speeds

/** `options`: language "en" | "zh"; theme "dark" | "light" | "auto"; present: large type, no
 * controls; bare: no controls, only keys; onLayout(name): another layout was chosen; onPlace(text): where somebody has moved to,
 * told at rest. */
export function createXray(root, options = {}) {
  const say = createXraySpeaker(options.language ?? "en");
  root.classList.add("minillm-stage", "minillm-xray");
  root.classList.toggle("ms-present", Boolean(options.present));
  root.tabIndex = 0;
  root.setAttribute("role", "region");
  root.setAttribute("aria-label", say("kernel.label"));
  root.lang = say("stage.tag");
  const look = createLook(root, options.present ? 1.4 : 1);
  const frame = createXrayFrame(root, say);
  setShown(frame.controls, !options.bare);
  const parts = {
    grid: createGrid(frame.grid, look, say, choose),
    pool: createPool(frame.pool, look, say),
    softmax: createSoftmax(frame.softmax, look, say, (row) => move({ row })),
    loads: createLoads(frame.loads, look, say, (step) => move({ step, playing: false })),
    layouts: createLayouts(frame.layouts, look, say, (name) => {
      setLayout(name);
      options.onLayout?.(name);
    }),
    controls: createControls(frame.controls, act, false, say),
  };
  const why = createWhy(root, (region) => seen && explain(region), (words) => setText(frame.spoken, words));
  const at = { program: 0, step: 0, row: 0, playing: false, speed: 1 };
  let seen = null; // layout → anatomy, or null where the kernel does not read it
  let layout = "";
  let timer = 0;
  let resting = 0; // timer
  let told = "";

  function load(xrays, name, place = "") {
    seen = Object.fromEntries(Object.entries(xrays).map(([key, json]) => [key, json && anatomy(json)]));
    layout = seen[name] ? name : Object.keys(seen).find((key) => seen[key]);
    Object.assign(at, { row: 0, playing: false }, findPlace(place) ?? pointOf(seen[layout].programs));
    told = placeOf();
    draw();
  }

  function setLayout(name) {
    if (!seen?.[name] || name === layout) return;
    layout = name;
    draw();
  }

  function placeOf() {
    const id = idOf(programs()[at.program].id, seen[layout].grid);
    return `${id}:${at.step + 1}${at.row ? `:${at.row}` : ""}`;
  }

  /** What a place means here; null where this X-ray has no such program or load. */
  function findPlace(place) {
    const [id, step, row] = place.split(":");
    const program = programs().findIndex((each) => idOf(each.id, seen[layout].grid) === id);
    const found = programs()[program]?.steps[Number(step) - 1];
    if (!found) return null;
    return { program, step: found.index, row: Math.min(Number(row ?? 0), Math.max(0, programs()[program].rows.length - 1)) };
  }

  function tellPlace() {
    clearTimeout(resting);
    if (at.playing || placeOf() === told) return;
    resting = setTimeout(() => {
      told = placeOf();
      options.onPlace?.(told);
    }, REST);
  }

  const programs = () => seen[layout].programs;

  function choose(program) {
    const length = programs()[program].steps.length;
    const row = Math.min(at.row, Math.max(0, programs()[program].rows.length - 1));
    move({ program, row, step: Math.max(0, Math.min(at.step, length - 1)) });
  }

  function move(change) {
    Object.assign(at, change);
    const last = Math.max(0, programs()[at.program].steps.length - 1);
    at.step = Math.max(0, Math.min(at.step, last));
    if (at.step === last) at.playing = false;
    draw();
  }

  function neighbour(by) {
    const order = programs().map((program, index) => ({ program, index })).filter(({ program }) => !program.spare)
      .sort((a, b) => a.program.id.map((x, i) => x - b.program.id[i]).find((d) => d !== 0) ?? 0);
    const place = order.findIndex(({ index }) => index === at.program);
    choose(order[Math.max(0, Math.min(place + by, order.length - 1))].index);
  }

  /** Why a region is what it is, with the figures of the moment. */
  function explain(region) {
    const here = seen[layout];
    const program = here.programs[at.program];
    return say(`kernel.why_${region}`, { id: idOf(program.id, here.grid), at: at.step + 1, n: program.order.size,
      programs: here.programs.length, spare: here.programs.filter(({ spare }) => spare).length,
      tiles: program.tiles.length - 1 });
  }

  function act(action, value) {
    if (!seen) return;
    if (action === "why") return why.ask();
    if (action === "deselect") return why.hide();
    const last = programs()[at.program].steps.length - 1;
    if (action === "play") move(at.step >= last && !at.playing ? { step: 0, playing: last > 0 } : { playing: !at.playing });
    else if (action === "step") move({ step: at.step + 1, playing: false });
    else if (action === "back") move({ step: at.step - 1, playing: false });
    else if (action === "start") move({ step: 0 });
    else if (action === "end") move({ step: last });
    else if (action === "speed") move({ speed: Number(value) });
    else if (action === "next_request") neighbour(1);
    else if (action === "previous_request") neighbour(-1);
  }

  function draw() {
    clearTimeout(timer);
    if (!seen) return;
    const here = seen[layout];
    const program = here.programs[at.program];
    root.style.setProperty("--hue", program.sequence === null ? look.theme.quiet : look.hue(program.sequence));
    const sentence = narrateLoad(here, program, at.step, at.row, say);
    paintSentence(sentence);
    parts.grid.draw(here, at.program, at.step);
    if (program.steps.length) {
      parts.pool.draw(here, program, at.step);
      parts.loads.draw(program, at.step, plain(sentence));
    }
    parts.softmax.draw(program, at.step, at.row);
    parts.layouts.draw(seen, program, at.step, layout);
    const last = Math.max(0, program.steps.length - 1);
    parts.controls.draw({ isPlaying: at.playing, speed: at.speed, atStart: at.step === 0, atEnd: at.step >= last,
      following: false, stalls: 0, preemptions: 0, notes: 0 });
    why.refresh();
    if (!at.playing) setText(frame.spoken, plain(sentence));
    setText(frame.readout, JSON.stringify(readout(plain(sentence))));
    tellPlace();
    if (at.playing) timer = setTimeout(() => move({ step: at.step + 1 }), 1000 / PACES[at.speed]);
  }

  function paintSentence(sentence) {
    frame.narration.replaceChildren(el("span"));
    for (const part of sentence) {
      const node = part.id === undefined ? el("span") : createBadge();
      if (part.id === undefined) node.textContent = part.text;
      else setBadge(node, part.id, look, say);
      frame.narration.firstChild.append(node);
    }
  }

  /** What is drawn, for tests and for hosts. */
  function readout(narration) {
    const here = seen[layout];
    const program = here.programs[at.program];
    const step = program.steps[at.step];
    return { narration, function: here.function, layout, playing: at.playing, program: idOf(program.id, here.grid), step: at.step,
      length: program.steps.length, row: at.row, kind: step?.kind ?? null, theme: look.name,
      blocks: step?.blocks.map(({ block }) => block) ?? [], order: Object.fromEntries(program.order),
      grid: here.grid, tile: step?.tile ?? 0 };
  }

  function restyle() {
    look.wear(["dark", "light"].includes(options.theme) ? options.theme : hostTheme(root));
    draw();
  }

  restyle();
  const observer = new ResizeObserver(() => {
    parts.grid.resized();
    draw();
  });
  observer.observe(root);
  const unwatch = watchTheme(restyle);
  const unlisten = listenToKeys(root, act, options);

  return {
    load, setLayout, act, choose,
    destroy() {
      clearTimeout(timer);
      clearTimeout(resting);
      why.stop();
      observer.disconnect();
      unwatch();
      unlisten();
      root.replaceChildren();
    },
  };
}
