// Requests over time, a lane each, under one axis. All lanes are drawn once to a sheet; a frame
// then lays the sheet down at full strength up to the cursor and faint beyond it.

import { fitCanvas } from "./dom.js";
import { box, font, hatch } from "./paint.js";
import { mix } from "./palette.js";
import { DEAD, DECODE, LOST, PREFILL, STALLED, WAITING } from "./timeline.js";

const MARKS = 8; // CSS px above the lanes for the marks of stalls and preemptions
const LABELLED = 11; // CSS px of pitch from which a lane has room for its id
const NICE = [1, 2, 5];

/** About `most` round tick values in [0, end]; all in ns. */
export function ticks(end, most) {
  let unit = 1000;
  for (;;) {
    for (const factor of NICE) {
      if (end / (unit * factor) <= most) {
        const step = unit * factor;
        return Array.from({ length: Math.floor(end / step) + 1 }, (_, i) => i * step);
      }
    }
    unit *= 10;
  }
}

export function timeLabel(ns, span) {
  if (span >= 2e9) return `${+(ns / 1e9).toFixed(2)} s`;
  return span >= 2e6 ? `${+(ns / 1e6).toFixed(2)} ms` : `${+(ns / 1e3).toFixed(1)} µs`;
}

/** The lanes that fit: pitch in CSS px, rows [first, first + shown). */
export function laneLayout(timeline, height, time, scale = 1) {
  const total = timeline.order.length;
  const pitch = Math.max(4, Math.min(18 * scale, height / Math.max(1, total)));
  const shown = Math.min(total, Math.floor((height + 0.01) / pitch));
  let first = 0;
  if (shown < total) {
    const live = timeline.order.findIndex((lane) => lane.end === null || lane.end > time);
    const leap = Math.max(1, shown >> 2); // by leaps, so that the lanes hold still in between
    const wanted = Math.floor((live < 0 ? total : live) / leap) * leap - leap;
    first = Math.max(0, Math.min(wanted, total - shown));
  }
  return { pitch, shown, first };
}

/** The end of the axis: the recording's own, or for one that grows a round time ahead of it. */
export function axisEnd(end, growing) {
  if (!growing) return Math.max(1, end);
  let unit = 1e9;
  for (;;) {
    for (const factor of [1, 2, 3, 5, 7.5]) if (end * 1.04 < unit * factor) return unit * factor;
    unit *= 10;
  }
}

export function createTimelineView(canvas, look) {
  const context = canvas.getContext("2d");
  const sheet = document.createElement("canvas");
  const ink = sheet.getContext("2d");
  let sheetKey = "";
  let frameKey = "";
  let place = { left: 0, right: 1, top: 0, height: 1, end: 1, lanes: { pitch: 1, shown: 0, first: 0 } };
  let lanes = [];

  const xOf = (time) => place.left + (time / place.end) * (place.right - place.left);

  function draw(timeline, { time, growing, until, selection, length }) {
    const resized = fitCanvas(canvas);
    const width = canvas.box.width;
    const height = canvas.box.height;
    const ratio = canvas.width / Math.max(1, width);
    const axis = 22 * look.scale;
    const laneRoom = height - axis - MARKS;
    const fit = laneLayout(timeline, laneRoom, time, look.scale);
    place = { left: 44 * look.scale, right: width - 16, top: MARKS, height: laneRoom,
      end: until ?? axisEnd(timeline.end, growing), lanes: fit };
    lanes = timeline.order.slice(fit.first, fit.first + fit.shown);
    const key = [canvas.width, canvas.height, length, fit.first, fit.pitch, place.end, selection,
      look.name, look.scale].join();
    if (key !== sheetKey) {
      sheetKey = key;
      drawSheet(timeline, width, height, ratio, selection);
    } else if (!resized && frameKey === key + time) {
      return;
    }
    frameKey = key + time;
    const x = Math.round(xOf(time) * ratio);
    const { theme } = look;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    const cut = Math.min(canvas.width, x);
    if (cut > 0) context.drawImage(sheet, 0, 0, cut, sheet.height, 0, 0, cut, sheet.height);
    const rest = canvas.width - cut;
    if (rest > 0) {
      context.globalAlpha = 0.3;
      context.drawImage(sheet, cut, 0, rest, sheet.height, cut, 0, rest, sheet.height);
      context.globalAlpha = 1;
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    drawAxis(height, axis);
    const cursor = Math.round(xOf(time));
    context.fillStyle = theme.ink;
    context.fillRect(cursor - 1, 0, 2, MARKS + laneRoom + 2);
    box(context, cursor - 5, 0, 10, 6, 3);
    context.fill();
  }

  function drawAxis(height, axis) {
    const { theme } = look;
    context.font = font(look, 400, 14);
    context.fillStyle = theme.quiet;
    context.textBaseline = "alphabetic";
    const room = (place.right - place.left) / (96 * look.scale);
    for (const tick of ticks(place.end, Math.max(2, Math.floor(room)))) {
      const x = xOf(tick);
      context.textAlign = x < place.left + 20 ? "left" : x > place.right - 24 ? "right" : "center";
      context.fillText(timeLabel(tick, place.end), Math.min(x, place.right + 14), height - 5);
      context.globalAlpha = 0.8;
      context.fillRect(Math.round(x), height - axis, 1, 4);
      context.globalAlpha = 1;
    }
  }

  function drawSheet(timeline, width, height, ratio, selection) {
    sheet.width = canvas.width;
    sheet.height = canvas.height;
    ink.hatches = undefined;
    ink.setTransform(ratio, 0, 0, ratio, 0, 0);
    const { theme } = look;
    const { pitch } = place.lanes;
    const room = (place.right - place.left) / (96 * look.scale);
    ink.fillStyle = theme.line;
    for (const tick of ticks(place.end, Math.max(2, Math.floor(room)))) {
      ink.fillRect(Math.round(xOf(tick)), MARKS, 1, place.height);
    }
    lanes.forEach((lane, i) => {
      const middle = place.top + (i + 0.5) * pitch;
      drawLabel(lane, middle, pitch);
      ink.globalAlpha = selection !== null && selection !== lane.id ? 0.35 : 1;
      drawLane(lane, middle, pitch, ratio, selection === lane.id);
      ink.globalAlpha = 1;
    });
    for (const lane of timeline.order) {
      for (const time of lane.preempted) drawMark(xOf(time), theme.warn);
    }
  }

  function drawMark(x, colour) {
    ink.fillStyle = colour;
    ink.beginPath();
    ink.moveTo(x - 4, 0);
    ink.lineTo(x + 4, 0);
    ink.lineTo(x, MARKS - 1);
    ink.fill();
  }

  function drawLabel(lane, middle, pitch) {
    const hue = look.hue(lane.id);
    const thick = Math.max(1.5, Math.min(pitch * 0.5, 8 * look.scale));
    if (pitch >= LABELLED * look.scale) {
      const tall = Math.min(pitch - 1, 17 * look.scale);
      box(ink, 2, middle - tall / 2, 32 * look.scale, tall, 3);
      ink.fillStyle = hue;
      ink.fill();
      const size = Math.min(14, tall / look.scale + 0.5);
      ink.font = font(look, 700, size);
      ink.textAlign = "center";
      ink.textBaseline = "alphabetic";
      ink.fillStyle = look.inkOn(hue);
      ink.fillText(lane.id, 2 + 16 * look.scale, middle + size * look.scale * 0.36);
    } else {
      ink.fillStyle = hue;
      ink.fillRect(2, middle - thick / 2, 32 * look.scale, thick);
    }
  }

  function drawLane(lane, middle, pitch, ratio, selected) {
    const { theme } = look;
    const hue = look.hue(lane.id);
    const thick = Math.max(1.5, Math.min(pitch * 0.5, 8 * look.scale));
    const prefill = Math.max(2, Math.min(pitch * 0.84, 12 * look.scale));
    const s = lane.segments;
    for (let i = 0; i < s.length; i += 3) {
      const x = xOf(s[i + 1]);
      const width = Math.max(0.6, xOf(s[i + 2]) - x);
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

  /** Time (ns) under `x`. */
  function timeAt(x) {
    const part = (x - place.left) / (place.right - place.left);
    return Math.max(0, Math.min(1, part)) * place.end;
  }

  /** The sequence whose lane is drawn at a point, or null between lanes and stretches. */
  function at(x, y) {
    const row = Math.floor((y - place.top) / place.lanes.pitch);
    const lane = lanes[row];
    if (!lane) return null;
    if (x < place.left - 6) return lane.id;
    const s = lane.segments;
    return s.length && x >= xOf(s[1]) - 3 && x <= xOf(s[s.length - 1]) + 3 ? lane.id : null;
  }

  return { draw, timeAt, at, xOf, restyle: () => { sheetKey = ""; } };
}

