// One lane of the timeline: the request's label, and the stretches of its life.

import { box, font, hatch } from "./paint.js";
import { mix } from "./palette.js";
import { DEAD, DECODE, LOST, PREFILL, STALLED, WAITING } from "./timeline.js";

const LABEL_TYPE = 14; // px of type, of which figures fill the part below
const LABEL_FIGURES = 0.72;
const LABEL_WIDE = 32; // px that labels are wide
const LABEL_HALF = 20; // px, in two columns
const LABEL_TALL = 10.5; // px that a label is tall, at least
const LABEL_EASY = 13; // px from which one column of them reads well
const HAIR = 0.4; // CSS px: stretches that add less than this to a lane are passed over

/** Draws lanes to `ink`, the context of a sheet. `xOf(ns)` is where a time lies. */
export function createLanes(ink, look, xOf) {
  /** The labels of lanes whose first begins at `top`. Where a lane is too thin for its id, ids take
   * turns in two columns; where even these are too small, there is the hue alone. */
  function drawLabels(lanes, top, pitch) {
    ink.font = font(look, 700, LABEL_TYPE);
    const fit = lanes.every(({ id }) => ink.measureText(id).width <= LABEL_HALF * look.scale);
    const columns = fit && pitch - 1 < LABEL_EASY * look.scale ? 2 : 1;
    lanes.forEach((lane, i) => drawLabel(lane, i % columns, columns, top + (i + 0.5) * pitch, pitch));
  }

  function drawLabel(lane, column, columns, middle, pitch) {
    const { scale } = look;
    const tall = Math.min(columns * pitch - 1, 17 * scale);
    const wide = (columns === 1 ? LABEL_WIDE : LABEL_HALF) * scale;
    const left = 2 + column * (wide + 1);
    ink.fillStyle = look.hue(lane.id);
    if (tall < LABEL_TALL * scale) {
      const thick = Math.max(1.5, Math.min(pitch * 0.5, 8 * scale));
      ink.fillRect(2, middle - thick / 2, LABEL_WIDE * scale, thick);
      return;
    }
    box(ink, left, middle - tall / 2, wide, tall, 3);
    ink.fill();
    ink.textAlign = "center";
    ink.textBaseline = "alphabetic";
    ink.fillStyle = look.inkOn(look.hue(lane.id));
    ink.fillText(lane.id, left + wide / 2, middle + (LABEL_TYPE * scale * LABEL_FIGURES) / 2);
  }

  function drawLane(lane, middle, pitch, ratio, selected) {
    const { theme } = look;
    const hue = look.hue(lane.id);
    const thick = Math.max(1.5, Math.min(pitch * 0.5, 8 * look.scale));
    const prefill = Math.max(2, Math.min(pitch * 0.84, 12 * look.scale));
    const s = lane.segments;
    let drawn = -Infinity; // x up to which something is drawn
    for (let i = 0; i < s.length; i += 3) {
      const x = xOf(s[i + 1]);
      const end = xOf(s[i + 2]);
      if (end - drawn < HAIR) continue; // no finer than the eye sees
      drawn = end;
      const width = Math.max(0.6, end - x);
      if (s[i] === WAITING || s[i] === LOST) {
        dashed(x, width, middle, pitch, theme.warn);
      } else if (s[i] === STALLED) {
        ink.fillStyle = theme.warn;
        ink.fillRect(x, middle - 0.9, width, 1.8);
      } else if (s[i] === PREFILL) {
        box(ink, x, middle - prefill / 2, Math.max(1.5, width), prefill, 2);
        ink.fillStyle = hatch(ink, hue, mix(hue, theme.paper, theme.hatchGap), ratio);
        ink.fill();
        ink.strokeStyle = hue;
        ink.lineWidth = 1;
        ink.stroke();
      } else if (s[i] === DECODE) {
        ink.fillStyle = hue;
        ink.fillRect(x, middle - thick / 2, width, thick);
      } else if (s[i] === DEAD) {
        ink.strokeStyle = theme.quiet;
        ink.lineWidth = 1;
        ink.strokeRect(x, middle - thick / 2 + 0.5, width, thick - 1);
      }
    }
    for (const time of lane.preempted) {
      const x = xOf(time);
      const arm = Math.max(2, Math.min(4.5, pitch * 0.35));
      ink.clearRect(x - 1, middle - prefill / 2, arm * 2 + 3, prefill);
      ink.strokeStyle = theme.warn;
      ink.lineWidth = 2;
      ink.beginPath();
      ink.moveTo(x + 1, middle - arm);
      ink.lineTo(x + 1 + 2 * arm, middle + arm);
      ink.moveTo(x + 1, middle + arm);
      ink.lineTo(x + 1 + 2 * arm, middle - arm);
      ink.stroke();
    }
    if (selected) {
      ink.strokeStyle = theme.ink;
      ink.lineWidth = 1;
      const first = xOf(s.length ? s[1] : 0);
      const last = xOf(s.length ? s[s.length - 1] : 0);
      box(ink, first - 3, middle - pitch / 2 + 0.5, last - first + 6, pitch - 1, 3);
      ink.stroke();
    }
  }

  function dashed(x, width, middle, pitch, colour) {
    ink.strokeStyle = colour;
    ink.lineWidth = pitch > 8 ? 2 : 1;
    ink.setLineDash(width > 5 ? [4, 3] : []);
    ink.beginPath();
    ink.moveTo(x, middle);
    ink.lineTo(x + width, middle);
    ink.stroke();
    ink.setLineDash([]);
  }

  return { drawLabels, drawLane };
}
