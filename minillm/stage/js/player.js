// The cursor: where in the recording the stage is, and how it moves. In live mode it follows the
// front, where play, pause and step are the engine's and so go to the host; in the past they move
// the cursor only.

import { SPEEDS } from "./controls.js";
import { nextAfter, pointOf } from "./timeline.js";

const CATCH_UP = 250; // ms in which a chunk that arrived is played when no other is expected
const SWIFT = 0.03; // steps per ms at least, then
const SELDOM = 1000; // ms between two chunks above which they do not come regularly
const TRUST = 2000; // ms the host has to confirm what was asked of the engine

export function createPlayer({ live, onControl }) {
  const player = {
    position: -1, length: 0, playing: false, following: live, speed: 1, engineRunning: live,
    timeline: null, notes: [], advance, act, seek, grow, setEngine, reset, hold,
    get isPlaying() { return live && player.following ? player.engineRunning : player.playing; },
  };
  let carry = 0;
  let held = 0; // ms for which playing rests on the frame it begins with
  let asked = -Infinity;
  let grownAt = -Infinity;
  let pace = 0; // steps per ms at which what has arrived lasts until the next chunk

  function reset(recording) {
    player.timeline = recording.timeline;
    player.notes = []; // positions of the steps that have one
    player.length = 0;
    player.position = -1;
    player.playing = false;
    player.following = live;
    carry = 0;
  }

  function grow(length) {
    if (length > player.length) {
      if (player.position === player.length - 1) carry = 1; // its first step at once
      const now = performance.now();
      const apart = now - grownAt;
      grownAt = now;
      pace = (length - 1 - player.position) / (player.engineRunning && apart < SELDOM ? apart : CATCH_UP);
    }
    player.length = length;
    if (player.position < 0 && length) player.position = 0;
  }

  function seek(position) {
    player.position = Math.max(0, Math.min(position, player.length - 1));
    if (live) player.following = player.position >= player.length - 1;
    carry = 0;
    held = 0;
  }

  /** Rest for so many ms before playing on; anything that moves the cursor ends it. */
  function hold(milliseconds) {
    held = milliseconds;
  }

  function setEngine(running) {
    if (running !== player.engineRunning && performance.now() - asked < TRUST) return;
    player.engineRunning = running;
  }

  function ask(action, value) {
    asked = performance.now();
    onControl({ action, value });
  }

  /** To the last of `positions` in front of the cursor. */
  function jumpBack(positions) {
    const found = positions.findLast((position) => position < player.position) ?? positions.at(-1);
    if (found === undefined) return;
    player.playing = false;
    seek(found);
  }

  function jump(positions) {
    const found = nextAfter(positions, player.position) ?? positions[0];
    if (found === undefined) return;
    player.playing = false;
    seek(found);
  }

  function act(action, value) {
    const atFront = live && player.following;
    if (action === "play") {
      if (atFront) {
        player.engineRunning = !player.engineRunning;
        ask(player.engineRunning ? "play" : "pause");
      } else {
        if (!player.playing && player.position >= player.length - 1) seek(0);
        player.playing = !player.playing;
        carry = 0;
        held = 0;
      }
    } else if (action === "step") {
      player.playing = false;
      if (atFront) {
        player.engineRunning = false;
        ask("step");
      } else {
        seek(player.position + 1);
      }
    } else if (action === "back") {
      player.playing = false;
      const from = player.position;
      seek(from - 1);
      player.following = false;
    } else if (action === "start") {
      seek(0);
      player.following = false;
    } else if (action === "end") {
      player.playing = false;
      seek(player.length - 1);
      player.following = live;
    } else if (action === "stall") {
      jump(player.timeline.stalls);
    } else if (action === "preemption") {
      jump(player.timeline.preemptions);
    } else if (action === "note") {
      jump(player.notes);
    } else if (action === "previous_note") {
      jumpBack(player.notes);
    } else if (action === "speed") {
      player.speed = Number(value);
      if (live) onControl({ action: "speed", value: SPEEDS[player.speed].rate });
    } else if (action === "point") {
      seek(pointOf(player.timeline));
    }
  }

  /** Move on by `elapsed` ms; true when the position changed. */
  function advance(elapsed) {
    const last = player.length - 1;
    const before = player.position;
    if (live && player.following) {
      const swift = Math.max(SWIFT, (last - before) / CATCH_UP);
      carry += elapsed * (player.engineRunning ? pace : swift);
      player.position = Math.min(last, before + Math.floor(carry));
      carry = player.position === last ? 0 : carry % 1;
    } else if (player.playing && held > 0) {
      held -= elapsed;
    } else if (player.playing) {
      const { rate } = SPEEDS[player.speed];
      // At most speed every step is drawn, unless that would take longer than a minute.
      carry += rate === null ? Math.max(1, player.length / 3600) : (elapsed / 1000) * rate;
      player.position = Math.min(last, before + Math.floor(carry));
      carry %= 1;
      if (player.position >= last) {
        player.playing = false;
        if (live) player.following = true;
      }
    }
    return player.position !== before;
  }

  return player;
}
