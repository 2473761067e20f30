// The stage draws a trace and plays it. `createStage` is all that a host needs:
//
//   const stage = createStage(element, { mode: "replay" });
//   stage.load(header, records);
//
// Everything it draws comes from the folded state at the cursor (js/fold.js); everything it knows
// of the run comes from the records (docs/trace-format.md).

import { axisEnd, stepAxis, timeAxis } from "./js/axis.js";
import { blockTable, createBlockTable } from "./js/block-table.js";
import { createControls } from "./js/controls.js";
import { createBadge, el, measure, setBadge, setShown, setText, toggle } from "./js/dom.js";
import { createBatch } from "./js/draw-batch.js";
import { createBlocks } from "./js/draw-blocks.js";
import { createTimelineView } from "./js/draw-timeline.js";
import { blockView, waitsBySequence } from "./js/fold.js";
import { createFrame, fillLegend } from "./js/frame.js";
import { createNotes, notesAt } from "./js/notes.js";
import { listenToKeys } from "./js/keys.js";
import { createSpeaker } from "./js/messages.js";
import { narrate, plain } from "./js/narration.js";
import { createPlayer } from "./js/player.js";
import { describeBlock, listenToPointer } from "./js/pointing.js";
import { createRecording } from "./js/recording.js";
import { createReporter } from "./js/report.js";
import { createSlots, slotRows } from "./js/slots.js";
import { font } from "./js/paint.js";
import { createLook, hostTheme, watchTheme } from "./js/theme.js";
import { createWaiting, seconds, waitingRows } from "./js/waiting.js";
import { createWhy, explanation } from "./js/why.js";
import { createWords } from "./js/words.js";

const READOUT_EVERY = 200; // ms between read-outs while playing
const NARROW = 880; // CSS px of width below which the stage folds

/**
 * `options`: mode "replay" | "live"; autoplay; start: number of the step to show first (left out:
 * the step that costs most waiting); hold: ms to rest on it before autoplay goes on; select: id
 * selected at first; present: for a hall: type ×1.4, no controls, a clicker's keys (PageUp,
 * PageDown, arrows, B to blank), no notes; notes: whether notes pinned to steps are shown (left
 * out: unless presenting); compact: fold to sentence, batch, blocks, timeline (left out: by width);
 * theme "dark" | "light" | "auto"; language "en" | "zh".
 * Several stages by one clock (js/compare.js): until: length of the time axis (ns);
 * onFrame({time, position, selection}): what was drawn; leader: the stage that moves this one, by
 * follow of the same, or a function that says which, null for itself; controls: the node where the
 * controls go; name: in place of the recording's title; marks: times (ns) to flag; together: what
 * is done with the keys of a comparison. bare: no controls, only keys.
 * wholePage: keys work wherever the pointer is; onControl({action, value}): what the live host is
 * asked to do; onState({step, selection, playing}): where the stage is, told at rest and when it
 * starts to play, and every tellEvery() ms while it plays (0: not).
 */
export function createStage(root, options = {}) {
  const live = options.mode === "live";
  const say = createSpeaker(options.language ?? "en");
  root.classList.add("minillm-stage");
  toggle(root, "ms-present", Boolean(options.present));
  const leader = () => (typeof options.leader === "function" ? options.leader() : options.leader);
  toggle(root, "ms-led", Boolean(options.leader));
  root.tabIndex = 0;
  root.setAttribute("role", "region");
  root.lang = say("stage.tag");
  root.dataset.lmSuppressShortcuts = "true"; // JupyterLab: the keys are the stage's
  const noted = options.notes ?? !options.present;
  const look = createLook(root, options.present ? 1.4 : 1);
  const frame = createFrame(root, say);
  options.controls?.append(frame.controls);
  setShown(frame.controls, !options.bare);
  const player = createPlayer({ live, onControl: options.onControl ?? (() => {}) });
  const parts = {
    batch: createBatch(frame.batchCanvas, look, say),
    blocks: createBlocks(frame.blocksCanvas, look),
    timeline: createTimelineView(frame.timelineCanvas, look),
    waiting: createWaiting(frame.waiting, look, say),
    words: createWords(frame.text, look, say),
    table: createBlockTable(frame.table, look, say),
    slots: createSlots(frame.slots, look, say),
    notes: createNotes(frame.note, say),
    controls: createControls(frame.controls, act, live, say),
  };
  const reporter = options.onState ? createReporter(options.onState, options.tellEvery) : null;
  const why = createWhy(root, (region) => drawn && explanation(region, { ...drawn, header: recording.header,
    recording, selection, live, small: parts.blocks.isSmall(), lanes: parts.timeline.shownOf() }, say),
    (words) => setText(frame.spoken, words));
  const ruler = document.createElement("canvas").getContext("2d");
  const canvases = [frame.batchCanvas, frame.blocksCanvas, frame.timelineCanvas];
  let recording = null;
  let selection = null;
  let theme = options.theme ?? "auto";
  let drawn = null; // what the last frame drew, for the read-out
  let dirty = false;
  let scheduled = 0;
  let previous = 0;
  let lastPosition = -1;
  let lastReadout = 0;
  let later = 0; // timer of a read-out that waits for its turn
  let readAs = false; // playing or not, in the last read-out
  let mostBefore = 0;
  let by = "time"; // what the axis counts
  let length = options.until; // of the axis, in ns or steps
  let awaited = null; // number of a step to go to when it arrives
  let room = { waiting: 4, text: 7, slots: 20, characters: 60, sentence: 900, lines: 2 };

  /** Show what a header says, while the records are on their way. */
  function announce(header) {
    fillHeader(header);
  }

  function load(header, records) {
    recording = createRecording(header);
    player.reset(recording);
    selection = null;
    drawn = null;
    awaited = null;
    fillHeader(header);
    append(records);
    if (recording.length && !live) {
      if (given(options.start)) seekStep(options.start);
      else if (options.autoplay) player.seek(0);
      else player.act("point");
      player.playing = Boolean(options.autoplay) && !look.still;
      player.hold(options.hold ?? 0);
    }
    if (given(options.select)) selection = String(options.select);
    layout();
  }

  function append(records) {
    if (!recording) return;
    const was = recording.length;
    recording.append(records);
    player.grow(recording.length);
    if (awaited !== null && was) seekStep(awaited);
    readNotes();
    const { most } = recording.timeline;
    if (was === 0 || most !== mostBefore) layout();
    mostBefore = most;
    invalidate();
  }

  function fillHeader(header) {
    setText(frame.name, options.name || say.translated(header.title, `scenes.${header.scene}.title`) || header.scene || say("stage.recording"));
    frame.name.title = say.translated(header.question, `scenes.${header.scene}.question`) || "";
    root.setAttribute("aria-label", say("stage.label_of", { title: frame.name.textContent }));
    const budget = say("stage.budget", { n: header.max_num_batched_tokens });
    const model = (header.model || "").split("/").at(-1);
    const pills = { scheduler: header.scheduler, memory: `${header.kv_cache || "paged"} · ${header.block_size}`,
      budget, model: [model, header.device].filter(Boolean).join(" · ") };
    frame.pills.replaceChildren(...Object.entries(pills).filter(([, words]) => words).map(([name, words]) => {
      const pill = el("span", "ms-pill", { "data-why": name, tabindex: "0" });
      pill.textContent = words;
      return pill;
    }));
    setText(frame.budget, budget);
    fillLegend(frame.legend, header.prefix_caching, say);
  }

  /** Where notes are pinned. One row of the stage is theirs as soon as there is one. */
  function readNotes() {
    if (!noted) return;
    const first = recording.steps[0]?.n ?? 0;
    const positions = [...new Set(recording.notes.map(({ note }) => note - first))];
    player.notes = positions.filter((position) => position >= 0 && position < recording.length);
    if (frame.note.hidden && player.notes.length) {
      setShown(frame.note, true);
      toggle(root, "ms-noted", true);
      ruler.font = font(look, 400, 17);
      const long = ({ text }) => ruler.measureText(text).width > room.sentence - 220 * look.scale;
      toggle(frame.note, "ms-long-notes", recording.notes.some(long));
      layout();
    }
  }

  /** Go to the step of number `n`; where it has not arrived yet, as soon as it has. */
  function seekStep(n) {
    const position = n - recording.steps[0].n;
    awaited = position >= recording.length ? n : null;
    player.seek(position);
    invalidate();
  }

  function act(action, value) {
    if (options.together?.(action)) return;
    if (leader() && action !== "why") return leader().act(action, value);
    awaited = null;
    toggle(root, "ms-blank", action === "blank" && !root.classList.contains("ms-blank"));
    if (action === "why") return why.ask();
    if (action === "deselect") {
      if (!why.isShown()) select(null);
      else why.hide();
    } else if (action === "next_request" || action === "previous_request") neighbour(action === "next_request" ? 1 : -1);
    else if (recording && recording.length) player.act(action, value);
    else if (live && action !== "back") player.act(action, value);
    invalidate();
  }

  /** Select the request behind or in front of the selected one, in order of arrival. */
  function neighbour(way) {
    const ids = drawn ? [...drawn.state.sequences.keys()] : [];
    if (!ids.length) return;
    const at = ids.indexOf(selection);
    select(ids[at < 0 ? (way > 0 ? 0 : ids.length - 1) : (at + way + ids.length) % ids.length], true);
  }

  function select(id, keep = false) {
    if (leader()) return leader().select(id, keep);
    selection = id === selection && !keep ? null : id;
    layout();
  }

  // Size and theme.

  function layout() {
    const width = root.clientWidth;
    const height = root.clientHeight;
    const compact = options.compact ?? width < NARROW * look.scale;
    toggle(root, "ms-compact", compact);
    toggle(root, "ms-tight", width < 1180 * look.scale);
    setShown(frame.table.node, selection !== null);
    toggle(frame.right, "ms-chosen", selection !== null);
    const lanes = recording ? recording.timeline.order.length : 0;
    const wanted = (live ? 14 : lanes) * 14.4 * look.scale + 66 * look.scale;
    toggle(root, "ms-short", height < 560 * look.scale);
    // The blocks keep some room in a stage that is low.
    const most = Math.min(height * (compact ? 0.36 : 0.335), height - 390 * look.scale);
    root.style.setProperty("--timeline", `${Math.round(Math.max(96 * look.scale, Math.min(wanted, most)))}px`);
    measure(canvases);
    const { scale } = look;
    const longest = recording?.timeline.order.at(-1)?.id.length ?? 2;
    const badge = Math.max(34, 14 + 9 * longest); // CSS px, with the gap behind it
    room = {
      waiting: frame.waiting.body.clientHeight / (70 * scale),
      slots: Math.max(1, Math.floor((frame.slots.clientWidth - 90 * scale) / (badge * scale))),
      sentence: frame.sentence.parentNode.clientWidth - 60 * scale,
      characters: Math.max(8, Math.floor((frame.text.body.clientWidth - 40 * scale) / (8.1 * scale)) - 2),
    };
    // Two lines each where that leaves room for all who ever run together, else one.
    const tall = frame.text.body.clientHeight;
    room.lines = selection !== null || (recording?.timeline.most ?? 0) * 42 * scale <= tall ? 2 : 1;
    room.text = Math.max(1, Math.floor((tall - (room.lines === 1 ? 20 * scale : 0)) / ((room.lines === 2 ? 42 : 27) * scale)));
    toggle(frame.text.node, "ms-one-line", room.lines === 1);
    invalidate();
  }

  function restyle() {
    const wanted = theme === "auto" ? hostTheme(root) : theme;
    if (wanted !== look.name || !root.dataset.theme) {
      look.wear(wanted);
      for (const part of [parts.batch, parts.blocks, parts.timeline]) part.restyle();
    }
    invalidate();
  }

  // A frame.

  function invalidate() {
    dirty = true;
    if (!scheduled) scheduled = requestAnimationFrame(tick);
  }

  function tick(now) {
    scheduled = 0;
    const elapsed = previous ? Math.min(100, now - previous) : 16;
    const moved = player.advance(elapsed);
    let crossing = false;
    if (moved || dirty) crossing = draw(now);
    else crossing = parts.blocks.tick(now);
    dirty = false;
    const moving = player.playing || (live && player.following && player.position < player.length - 1);
    if (moving || crossing) {
      previous = now;
      scheduled = requestAnimationFrame(tick);
    } else {
      previous = 0;
    }
    publish(now);
  }

  function draw(now) {
    if (!recording || !canvases[0].box) return false;
    const { header } = recording;
    const state = recording.stateAt(player.position);
    const view = blockView(state, header.block_size);
    const waits = waitsBySequence(state);
    const table = selection === null ? null : blockTable(state, view, selection, header.block_size);
    const near = Math.abs(player.position - lastPosition) === 1;
    lastPosition = player.position;
    drawn = { state, view, waits, table, narration: narrate(state, header, say),
      notes: noted ? notesAt(recording.notes, state.n) : [], waiting: waitingRows(state, waits, header, say), slots: slotRows(state) };

    parts.batch.draw(state.batch, header.max_num_batched_tokens, selection);
    const crossing = parts.blocks.draw(view, { blockSize: header.block_size, selection, now,
      selectedBlocks: new Set(table ? table.blocks.map((entry) => entry[1]) : []), cross: near });
    parts.timeline.draw(recording.timeline, { time: state.time, along: axis(), selection,
      length: recording.length, notes: [...player.notes.map((position) => (
        recording.steps[position].t + recording.steps[position].d)), ...(options.marks ?? [])] });
    drawWords(state, view, header);
    options.onFrame?.({ time: state.time, position: player.position, selection });
    return crossing;
  }

  function drawWords(state, view, header) {
    setText(frame.time, seconds3(state.time));
    const last = recording.length ? recording.steps.at(-1).n : -1;
    setText(frame.step, state.n < 0 ? say("stage.no_step") : say("stage.step_of", { step: state.n, last }));
    const behind = last - state.n;
    setShown(frame.past, live && !player.following);
    setText(frame.past, say("stage.past", { n: behind }));
    speak(drawn.narration);
    const longest = Math.max(1, ...drawn.waiting.map((row) => row.tokens));
    parts.waiting.draw(drawn.waiting, longest, room.waiting);
    const tokens = state.batch.reduce((sum, row) => sum + row.tokens, 0);
    setText(frame.batch.figure, say("stage.load", { tokens, budget: header.max_num_batched_tokens,
      sequences: drawn.slots.length, most: header.max_num_seqs }));
    parts.slots.draw(drawn.slots, { room: room.slots, selection });
    const size = view.owner.length;
    setText(frame.blocks.figure, [say("stage.held", { n: view.held, all: size }),
      header.prefix_caching ? say("stage.cached", { n: view.reusable }) : "",
      say("stage.free", { n: view.free }),
      view.swapped ? say("stage.swapped", { n: view.swapped }) : ""].filter(Boolean).join(" · "));
    parts.words.draw(state, { rows: room.text, characters: room.characters * room.lines, selection });
    const selected = selection === null ? null : state.sequences.get(selection);
    setShown(frame.table.body, Boolean(selected));
    setText(frame.table.figure, selection === null || selected ? say("stage.mapping") : absence(state));
    if (selected) parts.table.draw(drawn.table, selected, header.block_size);
    const { timelineCanvas } = frame;
    timelineCanvas.setAttribute("aria-valuemax", String(Math.max(0, last)));
    timelineCanvas.setAttribute("aria-valuenow", String(Math.max(0, state.n)));
    if (!player.isPlaying) timelineCanvas.setAttribute("aria-valuetext", `${frame.step.textContent}, ${frame.time.textContent}`);
    parts.controls.draw({ isPlaying: player.isPlaying, speed: player.speed,
      atStart: player.position <= 0, atEnd: player.position >= player.length - 1,
      following: player.following, stalls: recording.timeline.stalls.length,
      preemptions: recording.timeline.preemptions.length, notes: player.notes.length });
    parts.notes.draw(drawn.notes);
    why.refresh();
  }

  function absence(state) {
    const lane = recording.timeline.lanes.get(selection);
    return say(lane && lane.arrival <= state.time ? "stage.has_left" : "stage.to_come", { id: selection });
  }

  /** The state of the step, for who listens instead of looking. */
  function aloud(words) {
    const { state, view, waiting, slots } = drawn;
    if (state.n < 0) return words;
    return say("stage.aloud", { step: state.n, words, running: slots.length, waiting: waiting.length,
      held: view.held, all: view.owner.length });
  }

  /** Show the narration's parts in nodes that stay. */
  function speak(sentence) {
    const { narration, spoken } = frame;
    const line = frame.sentence;
    sentence.forEach((part, i) => {
      const wantsBadge = part.id !== undefined;
      let node = line.childNodes[i];
      if (!node || node.classList.contains("ms-badge") !== wantsBadge) {
        const made = wantsBadge ? createBadge() : el("span");
        if (node) node.replaceWith(made);
        else line.append(made);
        node = made;
      }
      if (wantsBadge) setBadge(node, part.id, look, say);
      else setText(node, part.text);
    });
    while (line.childNodes.length > sentence.length) line.lastChild.remove();
    const words = plain(sentence);
    ruler.font = font(look, 400, 21);
    toggle(narration, "ms-long", ruler.measureText(words).width > room.sentence);
    if (!player.isPlaying) setText(spoken, aloud(words));
  }

  // The read-out.

  function publish(now) {
    if (!drawn) return;
    reporter?.tell({ step: drawn.state.n, selection, playing: player.isPlaying });
    const changed = player.isPlaying !== readAs;
    const wait = READOUT_EVERY - (now - lastReadout);
    if (player.isPlaying && !changed && wait > 0) {
      later ||= setTimeout(() => {
        later = 0; // a timer may come a moment early, and then another is needed
        publish(performance.now());
      }, wait);
      return;
    }
    clearTimeout(later);
    later = 0;
    lastReadout = now;
    readAs = player.isPlaying;
    setText(frame.readout, JSON.stringify(readout(!player.isPlaying)));
  }

  /** A plain object that says what is drawn; `whole`: with each block, which takes milliseconds
   * where there are thousands. */
  function readout(whole = true) {
    if (!drawn) return { step: -1, length: 0, live, playing: player.isPlaying };
    const { state, view, waits, table, waiting, slots, narration } = drawn;
    return {
      step: state.n, time: state.time, position: player.position, length: recording.length, live,
      following: player.following, playing: player.isPlaying, speed: player.speed, theme: look.name,
      narration: plain(narration),
      waiting: waiting.map(({ id, reason, holders, tokens }) => ({ id, reason, holders, tokens })),
      batch: slots,
      waits: Object.fromEntries(waits),
      blocks: { held: view.held, cached: view.reusable, free: view.free, ...(whole ? { owner: view.owner,
        owners: Array.from(view.owners), filled: Array.from(view.filled) } : {}) },
      drawn: { blocks: parts.blocks.painted(), sheets: parts.timeline.sheets() },
      sequences: [...state.sequences.values()].map((s) => ({ id: s.id, phase: s.phase,
        computed: s.computed, outputs: s.outputs, blocks: s.blocks.length })),
      selection, table, notes: drawn.notes.map(({ text }) => text),
      stalls: recording.timeline.stalls.length, preemptions: recording.timeline.preemptions.length,
    };
  }

  /** To a place on the axis, which is the leader's too. */
  function seekAlong(place) {
    if (leader()) return leader().seekAlong(place);
    player.playing = false;
    player.seek(by === "step" ? Math.round(place) : recording.positionAt(place));
    invalidate();
  }

  /** The axis by "time" or by "step", `until` its length in ns or steps (left out: its own). */
  function setAxis(name, until) {
    by = name;
    length = until;
    invalidate();
  }

  function axis() {
    if (by === "step") return stepAxis(recording.steps, length ?? recording.length);
    const { begin, end } = recording.timeline;
    return timeAxis(length ?? axisEnd(end, live && !recording.closing), length === undefined ? begin : 0);
  }

  /** Show the moment and the selection of the leader. */
  function follow(seen) {
    player.seek(by === "step" ? seen.position : recording.positionAt(seen.time));
    if (seen.selection !== selection) {
      selection = seen.selection;
      layout();
    }
    invalidate();
  }

  restyle();
  const observer = new ResizeObserver(layout);
  for (const node of [root, ...canvases]) observer.observe(node);
  const unwatch = watchTheme(restyle);
  const unlisten = listenToKeys(root, act, options);
  listenToPointer(root, frame, parts, {
    select,
    selection: () => selection,
    time: () => drawn?.state.time ?? 0,
    ownersOf: (block) => (drawn ? [...drawn.state.sequences.values()]
      .filter((s) => s.blocks.includes(block)).map((s) => s.id) : []),
    describeBlock: (block) => describeBlock(drawn.view, block, recording.header.block_size,
      [...drawn.state.sequences.values()].filter((s) => s.blocks.includes(block)).map((s) => s.id), say),
    seekAlong,
  });

  return {
    announce, load, append, readout, act, select, seekAlong, setAxis, follow,
    /** Show the step of number `n` and stop there. */
    seek(n) {
      if (!recording?.length) return;
      player.playing = false;
      seekStep(n);
    },
    /** To the first step that has ended by `time` (ns) or later. */
    seekTime(time) {
      const { t, d } = recording.steps[recording.positionAt(time)];
      player.playing = false;
      player.seek(recording.positionAt(time) + (t + d < time ? 1 : 0));
      invalidate();
    },
    /** Where several stages share one row of controls, one shows its own. */
    showControls(on) {
      setShown(frame.controls, on);
      invalidate();
    },
    play() { if (!player.isPlaying) act("play"); },
    pause() { if (player.isPlaying) act("play"); },
    /** Live hosts: whether the engine runs. */
    setEngine(running) {
      player.setEngine(running);
      invalidate();
    },
    setTheme(name) {
      theme = name;
      restyle();
    },
    destroy() {
      cancelAnimationFrame(scheduled);
      clearTimeout(later);
      reporter?.stop();
      why.stop();
      observer.disconnect();
      unwatch();
      unlisten();
      frame.controls.remove();
      root.replaceChildren();
    },
  };
}

function given(value) {
  return value !== undefined && value !== null;
}

function seconds3(ns) {
  const value = ns / 1e9;
  return value >= 1e-2 || value === 0 ? `${value.toFixed(3)} s` : seconds(value);
}
