// The fold: records → state, with the meaning given in docs/trace-format.md. `applyStep` changes
// its state in place; a block table that copies of the state share is replaced, not changed.

export function emptyState(header) {
  return {
    n: -1, start: 0, time: 0,
    transfer: 0, // ns of the step spent waiting for blocks to be swapped
    sequences: new Map(), // id → sequence, in order of arrival; finished ones stay one step
    cached: new Uint8Array(header.num_blocks), // 1: can be found by content
    waits: [], // as recorded, groups not spelled out
    batch: [], // [{id, kind: "decode" | "prefill" | "dead", tokens}], decodes first
    stalled: [], // ids admitted, still generating, yet not in the batch
    pieces: {}, // text that became final in this step
    wasted: [], // ids in the batch that had ended before, which was too late to tell
    born: new Set(), // forked off when the batch had run: the decision was not about them
    notes: [], // what happened, for the narration: [{kind, id, …}]
  };
}

export function copyState(state) {
  const sequences = new Map();
  for (const [id, sequence] of state.sequences) {
    sequence.shared = true;
    sequences.set(id, { ...sequence });
  }
  return { ...state, sequences, cached: state.cached.slice() };
}

export function stateFromKeyframe(header, keyframe) {
  const state = emptyState(header);
  state.n = keyframe.keyframe;
  state.start = state.time = keyframe.time || 0;
  state.waits = keyframe.waits || [];
  for (const block of keyframe.cached || []) state.cached[block] = 1;
  for (const recorded of keyframe.sequences || []) {
    state.sequences.set(recorded.id, {
      ...newSequence(recorded.id, recorded.arrival, recorded.prompt_len, recorded.max_tokens),
      ...recorded, shared: true,
    });
  }
  return state;
}

function newSequence(id, arrival, promptLen, maxTokens) {
  return {
    id, phase: "waiting", arrival, prompt_len: promptLen, max_tokens: maxTokens, prompt: null,
    text: "", computed: 0, target: promptLen, outputs: 0, cached_tokens: 0, blocks: [],
    shared: false, // whether `blocks` is another's, too
    cpu_blocks: [],
    admitted_at: null, first_token_at: null, finished_at: null, preemptions: 0,
    finish_reason: null, since: arrival,
  };
}

const CHANGES = {
  added(state, [, id, arrival, promptLen, maxTokens, text]) {
    const sequence = newSequence(id, arrival, promptLen, maxTokens);
    sequence.prompt = text ?? null;
    state.sequences.set(id, sequence);
    state.notes.push({ kind: "added", id });
  },
  rejected(state, [, id, , message]) {
    state.notes.push({ kind: "rejected", id, message });
  },
  admitted(state, [, id, cachedTokens], time) {
    const sequence = state.sequences.get(id);
    if (!sequence) return;
    const { cpu_blocks: saved, outputs, computed, target } = sequence;
    sequence.phase = saved.length && outputs && computed === target - 1 ? "decode" : "prefill";
    if (!saved.length) sequence.computed = sequence.cached_tokens = cachedTokens || 0;
    if (sequence.admitted_at === null) sequence.admitted_at = time;
    state.notes.push({ kind: "admitted", id, cached: cachedTokens || 0, of: sequence.target });
  },
  alloc(state, [, id, blocks]) {
    const sequence = state.sequences.get(id);
    if (!sequence) return;
    if (sequence.shared) sequence.blocks = sequence.blocks.concat(blocks);
    else for (const block of blocks) sequence.blocks.push(block);
    sequence.shared = false;
  },
  free(state, [, id]) {
    const sequence = state.sequences.get(id);
    if (!sequence) return;
    sequence.blocks = [];
    if (sequence.cpu_blocks.length) {
      sequence.cpu_blocks = [];
      sequence.computed = 0;
    }
  },
  forked(state, [, id, child, blocks], time) {
    const parent = state.sequences.get(id);
    if (!parent) return;
    const fork = { ...parent, id: child, text: "", blocks, shared: true, first_token_at: time,
      preemptions: 0 };
    state.sequences.set(child, fork);
    state.born.add(child);
    state.notes.push({ kind: "forked", id, child, blocks });
  },
  copied(state, [, id, block, copy]) {
    const sequence = state.sequences.get(id);
    if (!sequence) return;
    sequence.blocks = sequence.blocks.map((held) => (held === block ? copy : held));
    state.notes.push({ kind: "copied", id, block, copy });
  },
  swapped_out(state, [, id, copies, cpuBlocks]) {
    const sequence = state.sequences.get(id);
    if (!sequence) return;
    sequence.cpu_blocks = cpuBlocks;
    sequence.blocks = [];
    state.notes.push({ kind: "swapped_out", id, blocks: copies.length });
  },
  swapped_in(state, [, id, copies]) {
    const sequence = state.sequences.get(id);
    if (!sequence) return;
    sequence.cpu_blocks = [];
    state.notes.push({ kind: "swapped_in", id, blocks: copies.length });
  },
  cached(state, [, blocks]) {
    for (const block of blocks) state.cached[block] = 1;
  },
  evicted(state, [, blocks]) {
    for (const block of blocks) state.cached[block] = 0;
  },
  preempted(state, [, id, by], time) {
    const sequence = state.sequences.get(id);
    if (!sequence) return;
    const saved = sequence.cpu_blocks.length > 0;
    const lost = saved ? 0 : sequence.computed;
    const born = state.born.has(id); // found no room at once
    state.notes.push({ kind: "preempted", id, by: by ?? null, lost, saved, born });
    sequence.phase = "waiting";
    if (!saved) sequence.computed = sequence.cached_tokens = 0;
    sequence.preemptions += 1;
    sequence.since = time;
  },
  done(state, [, id]) {
    const sequence = state.sequences.get(id);
    if (!sequence) return;
    sequence.phase = "done";
    state.notes.push({ kind: "done", id, outputs: sequence.outputs });
  },
  finished(state, [, id, reason], time) {
    const sequence = state.sequences.get(id);
    if (!sequence) return;
    sequence.phase = "finished";
    sequence.finish_reason = reason;
    sequence.finished_at = state.wasted.includes(id) ? state.start : time;
    state.notes.push({ kind: "finished", id, reason, outputs: sequence.outputs });
  },
};

function applyEvents(state, events, time) {
  for (const event of events || []) CHANGES[event[0]]?.(state, event, time);
}

/** Advance `state` by one step record, in place. */
export function applyStep(state, step) {
  for (const [id, sequence] of state.sequences) {
    if (sequence.phase === "finished") state.sequences.delete(id);
  }
  const end = step.t + step.d;
  state.n = step.n;
  state.start = step.t;
  state.time = end;
  state.transfer = step.s || 0;
  state.wasted = [];
  state.notes = [];
  state.born = new Set();
  applyEvents(state, step.e, step.t);
  if (step.w) state.waits = step.w;
  runBatch(state, step, end);
  state.wasted = step.z || [];
  applyEvents(state, step.a, end);
  state.pieces = step.x || {};
  for (const id in state.pieces) {
    const sequence = state.sequences.get(id);
    if (sequence) sequence.text += state.pieces[id];
  }
  return state;
}


function runBatch(state, step, end) {
  const who = new Set(state.waits.map((wait) => wait[0]));
  const allStall = who.has("*running");
  const prefilled = new Set((step.p || []).map(([id]) => id));
  const decodes = [];
  const dead = [];
  state.stalled = [];
  for (const [id, sequence] of state.sequences) {
    if (sequence.phase === "decode" && !allStall && !who.has(id)) {
      const gained = sample(sequence, step, end);
      decodes.push({ id, kind: "decode", tokens: 1, gained });
      sequence.computed += 1;
    } else if (sequence.phase === "done") {
      dead.push({ id, kind: "dead", tokens: 0 });
    } else if ((sequence.phase === "decode" || sequence.phase === "prefill") && !prefilled.has(id)) {
      state.stalled.push(id);
    }
  }
  const prefills = [];
  for (const [id, tokens] of step.p || []) {
    const sequence = state.sequences.get(id);
    if (!sequence) continue;
    sequence.computed += tokens;
    const row = { id, kind: "prefill", tokens, done: sequence.computed, of: sequence.target };
    if (sequence.computed >= sequence.target) {
      sequence.phase = "decode";
      row.first = sequence.first_token_at === null;
      row.gained = sample(sequence, step, end);
    }
    prefills.push(row);
  }
  state.batch = decodes.concat(prefills, dead);
}

function sample(sequence, step, end) {
  const listed = step.k && step.k[sequence.id];
  const gained = step.z?.includes(sequence.id) ? 0 : listed ? listed.length : 1;
  sequence.outputs += gained;
  sequence.target += gained;
  if (gained > 1) sequence.computed += gained - 1;
  if (gained && sequence.first_token_at === null) sequence.first_token_at = end;
  return gained;
}

// What the waits mean, at the moment of the decision.

function expand(state, holders) {
  const ids = new Set();
  for (const holder of holders) {
    if (holder === "*batch") {
      for (const row of state.batch) if (row.kind !== "dead") ids.add(row.id);
    } else if (holder === "*running") {
      for (const row of state.batch) if (row.kind !== "dead") ids.add(row.id);
      for (const id of state.stalled) ids.add(id);
    } else {
      ids.add(holder);
    }
  }
  return [...ids];
}

/** id → {reason, holders, needs, free} for each sequence that waited in this step. */
export function waitsBySequence(state) {
  const entries = new Map(state.waits.map((wait) => [wait[0], wait]));
  const stalled = new Set(state.stalled);
  const spelled = new Map();
  const waits = new Map();
  for (const [id, sequence] of state.sequences) {
    if (state.born.has(id)) continue;
    let entry;
    if (sequence.phase === "waiting") entry = entries.get(id) || entries.get("*waiting");
    else if (stalled.has(id)) entry = entries.get(id) || entries.get("*running");
    if (!entry) continue;
    let wait = spelled.get(entry);
    if (!wait) {
      const holders = expand(state, entry[2] || []);
      wait = { reason: entry[1], holders, needs: entry[3] ?? null, free: entry[4] ?? null };
      spelled.set(entry, wait);
    }
    waits.set(id, wait);
  }
  return waits;
}

/** Per block: first and second owner (sequence id or null), number of owners, slots filled; and
 * how many blocks are held, free, findable without owner, and swapped to CPU memory. */
export function blockView(state, blockSize) {
  const size = state.cached.length;
  const owner = new Array(size).fill(null);
  const second = new Array(size).fill(null);
  const owners = new Uint16Array(size);
  const filled = new Uint16Array(size);
  let held = 0;
  for (const sequence of state.sequences.values()) {
    const { blocks, computed, id } = sequence;
    for (let i = 0; i < blocks.length; i++) {
      const block = blocks[i];
      if (owners[block] === 0) {
        owner[block] = id;
        held += 1;
      } else if (owners[block] === 1) {
        second[block] = id;
      }
      owners[block] += 1;
      const used = Math.max(0, Math.min(blockSize, computed - i * blockSize));
      if (used > filled[block]) filled[block] = used;
    }
  }
  const saved = new Set();
  for (const sequence of state.sequences.values()) {
    for (const block of sequence.cpu_blocks) saved.add(block);
  }
  let cached = 0;
  for (let b = 0; b < size; b++) if (owners[b] === 0 && state.cached[b]) cached += 1;
  return { owner, second, owners, filled, cached: state.cached, held, reusable: cached,
    free: size - held - cached, swapped: saved.size };
}
