// The axis under the timeline: round ticks, their labels, and which lanes fit above it.

import { count } from "./messages.js";
import { WAITING } from "./timeline.js";

const NICE = [1, 2, 5];

/** About `most` round tick values in [from, end], of the axis' own unit, `least` apart or more. */
export function ticks(end, most, from = 0, least = 1000) {
  let unit = least;
  for (;;) {
    for (const factor of NICE) {
      const step = unit * factor;
      if ((end - from) / step > most) continue;
      const first = Math.ceil(from / step);
      return Array.from({ length: Math.floor(end / step) - first + 1 }, (_, i) => (first + i) * step);
    }
    unit *= 10;
  }
}

export function timeLabel(ns, span) {
  if (span >= 2e9) return `${+(ns / 1e9).toFixed(2)} s`;
  return span >= 2e6 ? `${+(ns / 1e6).toFixed(2)} ms` : `${+(ns / 1e3).toFixed(1)} µs`;
}

/** The axis in engine time (ns). `of(ns)` is a place on the axis, `timeOf(place)` its ns. */
export function timeAxis(end, begin = 0) {
  return { from: begin, to: Math.max(begin + 1, end), least: 1000, of: (ns) => ns, timeOf: (place) => place, label: timeLabel };
}

/** The axis in steps, up to `count` of them: position n is the end of the step there. */
export function stepAxis(steps, length) {
  function of(ns) {
    let low = 0; // steps that had ended
    let high = steps.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (steps[middle].t + steps[middle].d <= ns) low = middle + 1;
      else high = middle;
    }
    const next = steps[low];
    const part = next ? Math.max(0, Math.min(1, (ns - next.t) / Math.max(1, next.d))) : 0;
    return low - 1 + part;
  }
  const timeOf = (place) => {
    const step = steps[Math.max(0, Math.min(steps.length - 1, Math.round(place)))];
    return step ? step.t + step.d : 0;
  };
  const first = steps.length ? steps[0].n : 0;
  return { from: -1, to: Math.max(0, length - 1), least: 1, of, timeOf, label: (place) => count(place + first) };
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

/** The lanes where all fit: pitch in CSS px, rows [first, first + shown). Null where they do not. */
export function laneLayout(timeline, height, scale = 1) {
  const total = timeline.order.length;
  const pitch = Math.min(18 * scale, height / Math.max(1, total));
  return pitch >= 4 ? { pitch, shown: total, first: 0 } : null;
}

/** Lanes and a stretch of time around `time` (ns), where not all fit: in the middle the request
 * that was admitted last, above it who runs, below who waits. Lanes and time move by leaps, so that
 * the picture holds still in between. */
export function focusLayout(timeline, height, time, pitch = 4) {
  const { order } = timeline;
  const shown = Math.max(1, Math.min(order.length, Math.floor(height / pitch)));
  let low = 0;
  let high = order.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (order[middle].arrival <= time) low = middle + 1;
    else high = middle;
  }
  let front = low - 1;
  while (front > 0 && begin(order[front]) > time) front -= 1;
  const leap = Math.max(1, shown >> 2);
  const wanted = Math.floor(front / leap) * leap - 2 * leap;
  const first = Math.max(0, Math.min(wanted, order.length - shown));
  const lanes = order.slice(first, first + shown);
  const from = Math.min(time, lanes[0].arrival);
  let to = from + 1;
  for (const lane of lanes) to = Math.max(to, lane.end ?? timeline.end);
  while (to < time) to += (to - from) / 2;
  return { pitch, shown, first, from, to };
}

/** When a lane's request first ran (ns). */
function begin({ segments }) {
  if (!segments.length) return Infinity;
  return segments[0] === WAITING ? segments[2] : segments[1];
}
