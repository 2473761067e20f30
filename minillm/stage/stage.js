// The stage draws a trace and plays it. `createStage` is all that a host needs:
//
//   const stage = createStage(element, { mode: "replay" });
//   stage.load(header, records);
//
// Everything it draws comes from the folded state at the cursor (js/fold.js); everything it knows
// of the run comes from the records (docs/trace-format.md).

import { axisEnd, stepAxis, timeAxis } from "./js/axis.js";
import { setShown, setText, toggle } from "./js/dom.js";
import { drawScene } from "./js/draw-scene.js";
import { createFrame } from "./js/frame.js";
import { fillHead } from "./js/head.js";
import { listenToKeys } from "./js/keys.js";
import { FIRST_ROOM, layOut } from "./js/layout.js";
import { createLoop } from "./js/loop.js";
import { createSpeaker } from "./js/messages.js";
import { notedPositions } from "./js/notes.js";
import { createRuler } from "./js/paint.js";
import { createParts } from "./js/parts.js";
import { createPlayer } from "./js/player.js";
import { describeBlock, listenToPointer } from "./js/pointing.js";
import { createReadout, readoutOf } from "./js/readout.js";
import { createRecording } from "./js/recording.js";
import { createReporter } from "./js/report.js";
import { ownersIn, sceneAt } from "./js/scene.js";
import { createLook, hostTheme, watchTheme } from "./js/theme.js";
import { createWhy, explanation } from "./js/why.js";

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
  const widthOf = createRuler(look);
  const parts = createParts(frame, look, say, { act, live, widthOf });
  const reporter = options.onState ? createReporter(options.onState, options.tellEvery) : null;
  const why = createWhy(root, (region) => drawn && explanation(region, { ...drawn, header: recording.header,
    recording, selection, live, small: parts.blocks.isSmall(), lanes: parts.timeline.shownOf() }, say),
    (words) => setText(frame.spoken, words));
  const written = createReadout(frame.readout, readout);
  const loop = createLoop({
    advance: player.advance, draw, cross: parts.blocks.tick, after: publish,
    moving: () => player.playing || (live && player.following && player.position < player.length - 1),
  });
  const { invalidate } = loop;
  let recording = null;
  let selection = null;
  let moment = null; // what a leader shows, ns: here a step may be under way then
  let theme = options.theme ?? "auto";
  let drawn = null; // what the last frame drew, for the read-out
  let lastPosition = -1;
  let mostBefore = 0;
  let by = "time"; // what the axis counts
  let length = options.until; // of the axis, in ns or steps
  let awaited = null; // number of a step to go to when it arrives
  let room = FIRST_ROOM;

  /** Show what a header says, while the records are on their way. */
  function announce(header) {
    fillHead(root, frame, header, options.name, say);
    parts.sentence.tell(say("stage.arriving"));
  }

  function load(header, records) {
    recording = createRecording(header);
    player.reset(recording);
    selection = null;
    drawn = null;
    awaited = null;
    fillHead(root, frame, header, options.name, say);
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

  /** Where notes are pinned. One row of the stage is theirs as soon as there is one. */
  function readNotes() {
    if (!noted) return;
    player.notes = notedPositions(recording);
    if (frame.note.hidden && player.notes.length) {
      setShown(frame.note, true);
      toggle(root, "ms-noted", true);
      const long = ({ text }) => widthOf(text, 17) > room.sentence - 220 * look.scale;
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
    room = layOut(root, frame, look, { compact: options.compact, live, selected: selection !== null,
      timeline: recording?.timeline });
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

  function draw(now) {
    if (!recording || !frame.canvases[0].box) return false;
    drawn = sceneAt(recording, player.position, { selection, noted, say,
      moment: leader() ? moment : null });
    const crossing = drawScene(frame, parts, drawn, { recording, player, live, room, selection, say, now,
      axis: axis(), marks: options.marks ?? [], cross: Math.abs(player.position - lastPosition) === 1 });
    lastPosition = player.position;
    why.refresh();
    options.onFrame?.({ time: drawn.time, position: player.position, selection });
    return crossing;
  }

  function publish(now) {
    if (!drawn) return;
    reporter?.tell({ step: drawn.state.n, selection, playing: player.isPlaying });
    written.publish(now, () => player.isPlaying);
  }

  /** A plain object that says what is drawn; `whole`: with each block. */
  function readout(whole = true) {
    return readoutOf(drawn, { recording, player, parts, live, selection, theme: look.name }, whole);
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

  /** Show the moment and the selection of the leader; of a step that is under way then, all. */
  function follow(seen) {
    player.seek(by === "step" ? seen.position : recording.underWayAt(seen.time));
    moment = by === "step" ? null : seen.time;
    if (seen.selection !== selection) {
      selection = seen.selection;
      layout();
    }
    invalidate();
  }

  restyle();
  const observer = new ResizeObserver(layout);
  for (const node of [root, ...frame.canvases]) observer.observe(node);
  const unwatch = watchTheme(restyle);
  const unlisten = listenToKeys(root, act, options);
  listenToPointer(root, frame, parts, {
    select,
    selection: () => selection,
    time: () => drawn?.time ?? 0,
    ownersOf: (block) => (drawn ? ownersIn(drawn, block) : []),
    describeBlock: (block) => describeBlock(drawn.view, block, recording.header.block_size, ownersIn(drawn, block), say),
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
    /** Where the cursor stands, before it is drawn there too: a position, and when its step ends. */
    cursor() {
      const step = recording?.steps[player.position];
      return { position: player.position, time: step ? step.t + step.d : -1 };
    },
    /** To the step that is under way at `time` (ns). */
    seekTime(time) {
      player.playing = false;
      player.seek(recording.underWayAt(time));
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
      loop.stop();
      written.stop();
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
