// Requests over time, a lane each, under one axis. All lanes are drawn once to a sheet; a frame
// then lays the sheet down at full strength up to the cursor and faint beyond it. Where there are
// more lanes than fit, the whole run is a strip above (draw-crowd.js), and the lanes are those
// around the cursor, on an axis of their own.

import { focusLayout, laneLayout, ticks, timeAxis } from "./axis.js";
import { fitCanvas } from "./dom.js";
import { drawCrowd } from "./draw-crowd.js";
import { createLanes } from "./draw-lanes.js";
import { box, font } from "./paint.js";

const MARKS = 8; // CSS px above all, for the marks of preemptions and notes
const LOW = 90; // CSS px of room below which there is none for a strip
const STRIP = 0.26; // of the height, for the strip

export function createTimelineView(canvas, look) {
  const context = canvas.getContext("2d");
  const sheet = document.createElement("canvas");
  const ink = sheet.getContext("2d");
  const painter = createLanes(ink, look, (time) => xOf(time));
  let sheetKey = "";
  let frameKey = "";
  let sheets = 0; // sheets drawn so far
  let place = { left: 0, right: 1, top: 0, height: 1, strip: null, lanes: { pitch: 1, shown: 0, first: 0, from: 0, to: 1 } };
  let axis = timeAxis(1);
  let lanes = [];

  /** x of a time on the axis under the lanes; on that of the whole run. */
  const lanesX = (value) => place.left + ((value - place.lanes.from) / (place.lanes.to - place.lanes.from)) * (place.right - place.left);
  const wholeX = (value) => place.left + ((value - axis.from) / (axis.to - axis.from)) * (place.right - place.left);
  const xOf = (time) => lanesX(axis.of(time));
  const wholeXOf = (time) => wholeX(axis.of(time));

  /** `along`: the axis, see axis.js. */
  function draw(timeline, { time, along, selection, length, notes }) {
    axis = along;
    const resized = fitCanvas(canvas);
    const { width, height } = canvas.box;
    const ratio = canvas.width / Math.max(1, width);
    place = layout(timeline, width, height, time);
    const fit = place.lanes;
    lanes = timeline.order.slice(fit.first, fit.first + fit.shown);
    const key = [canvas.width, canvas.height, length, fit.first, fit.pitch, fit.from, fit.to, axis.from, axis.to,
      selection, look.name, look.scale, notes.length].join();
    if (key !== sheetKey) {
      sheetKey = key;
      sheets += 1;
      drawSheet(timeline, ratio, selection, notes);
    } else if (!resized && frameKey === key + time) {
      return;
    }
    frameKey = key + time;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    const split = place.strip ? Math.round(place.strip.bottom * ratio) : 0;
    lay(0, split, Math.round(wholeXOf(time) * ratio));
    lay(split, canvas.height, Math.round(xOf(time) * ratio));
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (place.strip) {
      drawAxis(place.strip.bottom, axis.from, axis.to, wholeX);
      drawFrame(fit);
      drawCursor(wholeXOf(time), 0, place.strip.bottom - place.strip.under + 2);
    }
    drawAxis(height, fit.from, fit.to, lanesX);
    drawCursor(xOf(time), place.top - (place.strip ? 0 : MARKS), place.top + place.height + 2);
  }

  function layout(timeline, width, height, time) {
    const under = 22 * look.scale;
    const sides = { left: 44 * look.scale, right: width - 16 };
    const room = height - under - MARKS;
    const all = laneLayout(timeline, room, look.scale);
    if (all) return { ...sides, top: MARKS, height: room, strip: null, lanes: { ...all, from: axis.from, to: axis.to } };
    if (room < LOW) {
      const some = focusLayout(timeline, room, time);
      return { ...sides, top: MARKS, height: room, strip: null, lanes: { ...some, from: axis.from, to: axis.to } };
    }
    const tall = Math.max(16, STRIP * height - MARKS);
    const strip = { top: MARKS, tall, under, bottom: MARKS + tall + under };
    const top = strip.bottom + 4;
    const left = Math.max(4, height - under - top);
    const lanes = focusLayout(timeline, left, time);
    return { ...sides, top, height: left, strip, lanes: { ...lanes, from: axis.of(lanes.from), to: axis.of(lanes.to) } };
  }

  /** Lay the sheet down between two heights (device px), faint right of `x`. */
  function lay(top, bottom, x) {
    const tall = bottom - top;
    if (tall <= 0) return;
    const cut = Math.max(0, Math.min(canvas.width, x));
    if (cut > 0) context.drawImage(sheet, 0, top, cut, tall, 0, top, cut, tall);
    const rest = canvas.width - cut;
    if (rest <= 0) return;
    context.globalAlpha = 0.3;
    context.drawImage(sheet, cut, top, rest, tall, cut, top, rest, tall);
    context.globalAlpha = 1;
  }

  function drawCursor(at, top, bottom) {
    const x = Math.round(at);
    context.fillStyle = look.theme.ink;
    context.fillRect(x - 1, top, 2, bottom - top);
    box(context, x - 5, top, 10, 6, 3);
    context.fill();
  }

  /** What the lanes show, on the strip. */
  function drawFrame({ from, to }) {
    const { top, tall } = place.strip;
    const left = wholeX(from);
    context.strokeStyle = look.theme.ink;
    context.lineWidth = 1;
    context.strokeRect(Math.round(left) - 0.5, top - 1.5, Math.max(3, Math.round(wholeX(to) - left)), tall + 2);
  }

  const axisTicks = (from, to) => ticks(to, Math.max(2, Math.floor((place.right - place.left) / (96 * look.scale))), from, axis.least);

  function drawAxis(bottom, from, to, at) {
    const { theme } = look;
    context.font = font(look, 400, 14);
    context.fillStyle = theme.quiet;
    context.textBaseline = "alphabetic";
    for (const tick of axisTicks(from, to)) {
      const x = at(tick);
      context.textAlign = x < place.left + 20 ? "left" : x > place.right - 24 ? "right" : "center";
      context.fillText(axis.label(tick, to - from), Math.min(x, place.right + 14), bottom - 5);
      context.globalAlpha = 0.8;
      context.fillRect(Math.round(x), bottom - 22 * look.scale, 1, 4);
      context.globalAlpha = 1;
    }
  }

  function drawSheet(timeline, ratio, selection, notes) {
    sheet.width = canvas.width;
    sheet.height = canvas.height;
    ink.hatches = undefined;
    ink.setTransform(ratio, 0, 0, ratio, 0, 0);
    const { theme } = look;
    const { left, right, top, height, strip } = place;
    const { pitch, from, to } = place.lanes;
    if (strip) {
      drawCrowd(ink, look, timeline, { left, right, top: strip.top, tall: strip.tall, ratio, place: (time) => (axis.of(time) - axis.from) / (axis.to - axis.from) });
    }
    ink.fillStyle = theme.line;
    for (const tick of axisTicks(from, to)) ink.fillRect(Math.round(lanesX(tick)), top, 1, height);
    painter.drawLabels(lanes, top, pitch);
    ink.save();
    ink.beginPath();
    ink.rect(left - 4, 0, right - left + 8, canvas.box.height);
    ink.clip();
    lanes.forEach((lane, i) => {
      ink.globalAlpha = selection !== null && selection !== lane.id ? 0.35 : 1;
      painter.drawLane(lane, top + (i + 0.5) * pitch, pitch, ratio, selection === lane.id);
    });
    ink.restore();
    for (const lane of timeline.order) {
      for (const time of lane.preempted) drawMark(wholeXOf(time), theme.warn);
    }
    for (const time of notes) drawFlag(wholeXOf(time), theme.ink);
  }

  /** A note: a flag, which no other mark looks like. */
  function drawFlag(x, colour) {
    ink.fillStyle = colour;
    ink.fillRect(x - 0.75, 0, 1.5, MARKS + 3);
    ink.beginPath();
    ink.moveTo(x, 0);
    ink.lineTo(x + 8, 2.75);
    ink.lineTo(x, 5.5);
    ink.fill();
  }

  function drawMark(x, colour) {
    ink.fillStyle = colour;
    ink.beginPath();
    ink.moveTo(x - 4, 0);
    ink.lineTo(x + 4, 0);
    ink.lineTo(x, MARKS - 1);
    ink.fill();
  }

  /** The place on the axis under a point: of the whole run on the strip, of the lanes' stretch
   * below it. */
  function placeAt(x, y) {
    const part = Math.max(0, Math.min(1, (x - place.left) / (place.right - place.left)));
    const { from, to } = place.lanes;
    return onStrip(y) ? axis.from + part * (axis.to - axis.from) : from + part * (to - from);
  }

  const onStrip = (y) => place.strip !== null && y < place.strip.bottom;

  /** The sequence whose lane is drawn at a point, or null between lanes and stretches. */
  function at(x, y) {
    const lane = lanes[Math.floor((y - place.top) / place.lanes.pitch)];
    if (!lane || onStrip(y)) return null;
    if (x < place.left - 6) return lane.id;
    const s = lane.segments;
    return s.length && x >= xOf(s[1]) - 3 && x <= xOf(s[s.length - 1]) + 3 ? lane.id : null;
  }

  /** Whether a point is on the cursor of `time`. */
  function onCursor(x, y, time) {
    return Math.abs((onStrip(y) ? wholeXOf(time) : xOf(time)) - x) < 8;
  }

  /** How many lanes are shown, where that is not all; else null. */
  const shownOf = () => (place.strip ? lanes.length : null);

  return { shownOf, draw, placeAt, at, onCursor, onStrip, sheets: () => sheets, restyle: () => { sheetKey = ""; } };
}
