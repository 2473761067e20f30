// The index of a recording over time: per sequence the stretches it spent waiting, in prefill, in
// decode, stalled, lost (preempted, waiting again) or dead (a static batch holds it), and the
// steps worth jumping to. It grows by one step at a time, at a cost that follows the sequences.

export const WAITING = 0;
export const PREFILL = 1;
export const DECODE = 2;
export const STALLED = 3;
export const LOST = 4;
export const DEAD = 5;

export function createTimeline() {
  return {
    lanes: new Map(), // id → {id, arrival, segments: [kind, t0, t1, …] flat, preempted: [t], end}
    order: [],
    stalls: [], // positions of steps at which more of the running stall than before
    preemptions: [], // positions of steps with a preemption
    pressure: [], // per step: time lost to waiting and stalls, and what else is worth a look
    crowd: { end: [], running: [], waiting: [] }, // per step: when it ended (ns), how many then
    begin: 0, // of a stretch cut out of a run: when it was cut
    end: 0,
    stalledBefore: 0,
    most: 0, // sequences admitted at once, at most
  };
}

function laneOf(timeline, id, arrival) {
  let lane = timeline.lanes.get(id);
  if (!lane) {
    lane = { id, row: timeline.order.length, arrival, segments: [], preempted: [], end: null };
    timeline.lanes.set(id, lane);
    timeline.order.push(lane);
  }
  return lane;
}

function extend(lane, kind, start, end) {
  const s = lane.segments;
  const last = s.length - 3;
  if (last >= 0 && s[last] === kind) {
    s[last + 2] = end;
  } else {
    // No hole between two stretches: the engine's idle moments belong to what lasted.
    if (last >= 0 && start > s[last + 2] && s[last] !== PREFILL) s[last + 2] = start;
    s.push(kind, start, end);
  }
}

/** Add the step at `position`, whose folded state is `state`. */
export function extendTimeline(timeline, position, state) {
  const { start, time } = state;
  const inBatch = new Map(state.batch.map((row) => [row.id, row.kind]));
  let waiting = 0;
  for (const note of state.notes) {
    if (note.kind !== "preempted") continue;
    laneOf(timeline, note.id, start).preempted.push(start);
    if (timeline.preemptions.at(-1) !== position) timeline.preemptions.push(position);
  }
  for (const [id, sequence] of state.sequences) {
    const lane = laneOf(timeline, id, sequence.arrival);
    const row = inBatch.get(id);
    if (sequence.phase === "waiting") {
      waiting += 1;
      const kind = sequence.preemptions ? LOST : WAITING;
      const since = Math.max(timeline.begin, Math.min(start, sequence.arrival));
      extend(lane, kind, lane.segments.length ? start : since, time);
    } else {
      const before = sequence.admitted_at !== null && sequence.admitted_at < start; // step 0: a cut
      if (!lane.segments.length && sequence.arrival < start && !before) {
        extend(lane, WAITING, Math.max(timeline.begin, sequence.arrival), start);
      }
      if (row) extend(lane, { prefill: PREFILL, decode: DECODE, dead: DEAD }[row], start, time);
      else if (sequence.phase !== "finished") extend(lane, STALLED, start, time);
    }
    if (sequence.phase === "finished") lane.end = sequence.finished_at;
  }
  const stalled = state.stalled.length;
  if (stalled > timeline.stalledBefore) timeline.stalls.push(position);
  timeline.stalledBefore = stalled;
  let worth = waiting + stalled;
  for (const note of state.notes) {
    if (note.kind === "preempted") worth += 2;
    if (note.kind === "admitted" && note.cached) worth += 0.5;
  }
  for (const row of state.batch) if (row.kind === "dead") worth += 0.5;
  timeline.pressure.push(worth * (time - start));
  const running = state.batch.length + stalled;
  timeline.crowd.end.push(time);
  timeline.crowd.running.push(running);
  timeline.crowd.waiting.push(waiting);
  timeline.most = Math.max(timeline.most, running);
  timeline.end = Math.max(timeline.end, time);
}

/** First entry of a sorted list above `position`, or null. */
export function nextAfter(positions, position) {
  let low = 0;
  let high = positions.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (positions[middle] > position) high = middle;
    else low = middle + 1;
  }
  return low < positions.length ? positions[low] : null;
}

/** The position that makes the point: the first of those where most time is lost to waiting. */
export function pointOf(timeline) {
  const most = timeline.pressure.reduce((a, b) => Math.max(a, b), 0);
  // Measured durations jitter: what comes near the most counts as much.
  return timeline.pressure.findIndex((lost) => lost >= 0.8 * most);
}

/** The crowd in `columns` equal parts of an axis: of each the most that ran and the most that
 * waited at once. `place(ns)` is a part of the axis, from 0 to 1. */
export function crowdBins({ end, running, waiting }, columns, place) {
  const bins = { running: new Uint32Array(columns), waiting: new Uint32Array(columns) };
  let from = 0;
  for (let i = 0; i < end.length; i++) {
    const to = Math.min(columns - 1, Math.floor(place(end[i]) * columns));
    // A step longer than a part is in all of those it lies in.
    for (let column = Math.min(from, to); column <= to; column++) {
      if (running[i] > bins.running[column]) bins.running[column] = running[i];
      if (waiting[i] > bins.waiting[column]) bins.waiting[column] = waiting[i];
    }
    from = to;
  }
  return bins;
}
