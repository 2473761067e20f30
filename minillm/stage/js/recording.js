// A recording that grows: its records, its state at any position, its timeline. Positions count
// the steps it holds, from 0; −1 is before the first. Own keyframes make a seek cost at most
// `interval` steps; the interval doubles when there are many, so that memory stays bounded.

import { applyStep, copyState, emptyState, stateFromKeyframe } from "./fold.js";
import { createTimeline, extendTimeline } from "./timeline.js";

const MAX_KEYFRAMES = 400;

export function createRecording(header) {
  let interval = 64;
  let base = emptyState(header);
  const steps = [];
  const notes = []; // as recorded, in order: {note: n of its step, text, by?}
  const keyframes = new Map();
  const timeline = createTimeline();
  let front = copyState(base);
  let closing = null;
  let current = { position: -1, state: copyState(base) };

  function append(records) {
    for (const record of records) {
      if (record.n !== undefined) {
        if (steps.length && record.n <= steps.at(-1).n) continue; // sent twice
        steps.push(record);
        applyStep(front, record);
        const position = steps.length - 1;
        extendTimeline(timeline, position, front);
        if ((position + 1) % interval === 0) keep(position);
      } else if (record.keyframe !== undefined && !steps.length) {
        base = stateFromKeyframe(header, record);
        timeline.begin = base.time;
        front = copyState(base);
        current = { position: -1, state: copyState(base) };
      } else if (record.note !== undefined) {
        const { note, text } = record;
        if (!notes.some((kept) => kept.note === note && kept.text === text)) notes.push(record);
      } else if (record.closing !== undefined) {
        closing = record;
      }
    }
  }

  function keep(position) {
    keyframes.set(position, copyState(front));
    if (keyframes.size <= MAX_KEYFRAMES) return;
    interval *= 2;
    for (const kept of keyframes.keys()) if ((kept + 1) % interval) keyframes.delete(kept);
  }

  /** The state after the step at `position`. It is the recording's own: read it, do not keep it. */
  function stateAt(position) {
    const wanted = Math.max(-1, Math.min(position, steps.length - 1));
    if (wanted < current.position || wanted > current.position + interval) {
      const from = wanted - ((wanted + 1) % interval);
      const kept = from >= 0 ? keyframes.get(from) : null;
      current = { position: kept ? from : -1, state: copyState(kept || base) };
    }
    while (current.position < wanted) {
      current.position += 1;
      applyStep(current.state, steps[current.position]);
    }
    return current.state;
  }

  /** Position of the last step that ended at or before `time` (ns); at least 0. */
  function positionAt(time) {
    let low = 0;
    let high = steps.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (steps[middle].t + steps[middle].d <= time) low = middle;
      else high = middle - 1;
    }
    return steps.length ? low : -1;
  }

  /** Position of the step that is under way at `time`: the first that ends then or later; the last
   * one behind the end. */
  function underWayAt(time) {
    const last = positionAt(time);
    const over = last >= 0 && steps[last].t + steps[last].d < time;
    return over ? Math.min(last + 1, steps.length - 1) : last;
  }

  return {
    header, steps, notes, timeline, append, stateAt, positionAt, underWayAt,
    get length() { return steps.length; },
    get closing() { return closing; },
  };
}
