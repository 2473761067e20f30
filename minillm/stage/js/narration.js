// One sentence or two on a step, as parts: {text} or {id}. The wording is in the catalogues
// (narration.json), the choice of sentence here, and the same in minillm/trace/narrate.py.

import { waitsBySequence } from "./fold.js";
import { count } from "./messages.js";

const STALLS = ["token_budget", "no_kv_blocks", "lower_priority"]; // besides a prefill-only step

/** `say` speaks the language; see messages.js. */
export function narrate(state, header, say) {
  const words = createWording(say);
  if (state.n < 0) return words.tell("nothing");
  const waits = waitsBySequence(state);
  const { weight, parts: event } = eventSentence(state, header, waits, words);
  const batch = batchSentence(state, header, words);
  const wait = waitSentence(state, header, waits, words);
  let sentences = [batch, wait];
  if (weight === 5) sentences = [event, wait];
  else if (weight >= 2) sentences = [event, wait.length && weight < 4 ? wait : batch];
  else if (event.length && !wait.length) sentences = [batch, event];
  const told = sentences.filter((parts) => parts.length).map(capital);
  return told.length === 2 ? words.tell("two", { first: told[0], second: told[1] }) : told.flat();
}

export function plain(parts) {
  return parts.map((part) => (part.id !== undefined ? `[${part.id}]` : part.text)).join("");
}

const badge = (id) => [{ id }];

/** The sentence with a capital letter, where it begins with a word. */
function capital(sentence) {
  const [{ text }, ...rest] = sentence;
  return text ? [{ text: text.charAt(0).toUpperCase() + text.slice(1) }, ...rest] : sentence;
}

function createWording(say) {
  const numbers = say("narration.numbers").split(" ");
  /** The text `name`; a value may be parts. */
  const tell = (name, values) => say.parts(`narration.${name}`, values);
  /** A count as a sentence begins with it. */
  const word = (n) => numbers[n] ?? count(n);
  /** Up to `most` badges, then how many more; one more than `most` is still spelled out. */
  const badges = (ids, most = 3) => {
    const shown = ids.length <= most + 1 ? ids : ids.slice(0, most);
    const told = shown.map(badge).reduce((first, next, i) => (
      tell(i === ids.length - 1 ? "and" : "next", { first, next })));
    const left = ids.length - shown.length;
    return left ? tell("more", { first: told, more: word(left) }) : told;
  };
  return { tell, word, badges };
}

function notesOf(state, kind) {
  return state.notes.filter((note) => note.kind === kind);
}

const idsOf = (items) => items.map((item) => item.id);
const tokensOf = (rows) => rows.reduce((sum, row) => sum + row.tokens, 0);

/** {parts, weight}: 2 and more leads the narration; 4 says why some wait, 5 what the batch is made
 * of, and neither is repeated. */
function eventSentence(state, header, waits, words) {
  const { tell, badges } = words;
  const [refused] = notesOf(state, "rejected");
  if (refused) {
    return { weight: 3, parts: tell("rejected", { who: badge(refused.id), message: refused.message }) };
  }
  const lost = notesOf(state, "preempted").filter((note) => !note.born);
  if (lost.length) return { weight: 4, parts: preemption(state, header, lost, words) };
  const back = notesOf(state, "swapped_in");
  if (back.length) return { weight: 2, parts: comingBack(state, header, back, words) };
  const prefills = state.batch.filter((row) => row.kind === "prefill");
  if (state.stalled.length) return stall(state, waits, prefills, words);
  const [hit] = notesOf(state, "admitted").filter((note) => note.cached > 0)
    .sort((a, b) => b.cached - a.cached);
  if (hit) {
    return { weight: 2, parts: tell("finds", { who: badge(hit.id), cached: hit.cached, of: hit.of }) };
  }
  const forks = notesOf(state, "forked");
  if (forks.length) return { weight: 2, parts: fork(state, forks, words) };
  const dead = state.batch.filter((row) => row.kind === "dead");
  if (dead.length) return deadSlots(state, idsOf(dead), words);
  const gone = notesOf(state, "finished");
  if (gone.length) return { weight: 1, parts: finish(gone, words) };
  const writers = idsOf(notesOf(state, "copied"));
  if (writers.length) {
    return { weight: 1, parts: tell("copies", { n: writers.length, who: badges(writers) }) };
  }
  const first = idsOf(prefills.filter((row) => row.first));
  if (first.length) {
    return { weight: 1, parts: tell("first_token", { n: first.length, who: badges(first) }) };
  }
  return { weight: 0, parts: [] };
}

function preemption(state, header, lost, words) {
  const { tell, badges } = words;
  const saved = notesOf(state, "swapped_out").filter((out) => lost.some(({ id }) => id === out.id));
  const tokens = lost.reduce((sum, note) => sum + note.lost, 0);
  const cost = saved.length && !tokens ? swapped(state, header, saved, "swap_out", words)
    : tell("again", { n: tokens });
  if (lost.length > 1) {
    return tell("clause", { first: tell("preempted", { who: badges(idsOf(lost)) }), second: cost });
  }
  const [{ id, by }] = lost;
  const who = badge(id);
  const told = by === null ? tell("preempted_freeing", { who })
    : by === id ? tell("preempted_itself", { who }) : tell("preempted_for", { who, by: badge(by) });
  return saved.length || tokens ? tell("clause", { first: told, second: cost })
    : tell("end", { words: told });
}

function comingBack(state, header, back, words) {
  const { tell, badges } = words;
  const returns = tell("returns", { n: back.length, who: badges(idsOf(back)) });
  if (!back.some((note) => note.blocks)) return tell("end", { words: returns });
  return tell("returns_moving", { returns, move: swapped(state, header, back, "swap_in", words) });
}

/** How much moves to or from CPU memory, and how long the step waited for it. */
function swapped(state, header, notes, way, { tell }) {
  const blocks = notes.reduce((sum, note) => sum + note.blocks, 0);
  if (!blocks) return tell("saved");
  const size = blocks * header.block_size * (header.kv_bytes_per_token || 0);
  return tell(way, { n: blocks,
    size: size ? tell("size", { mb: tenths(size, 1e6) }) : "",
    time: state.transfer ? tell("time", { ms: tenths(state.transfer, 1e6) }) : "" });
}

/** `n` in units, with one decimal. */
function tenths(n, unit) {
  const value = Math.floor((n * 10 + unit / 2) / unit);
  return `${count(Math.floor(value / 10))}.${value % 10}`;
}

function stall(state, waits, prefills, { tell, word, badges }) {
  const n = state.stalled.length;
  const reason = waits.get(state.stalled[0])?.reason;
  const stalls = tell("stalls", { n, count: word(n), who: badge(state.stalled[0]) });
  if (reason === "prefill_in_progress" && prefills.length) {
    return { weight: 5, parts: tell("stalls_behind", { n: prefills.length, stalls,
      who: badges(idsOf(prefills)), tokens: tell("tokens", { n: tokensOf(prefills) }) }) };
  }
  if (STALLS.includes(reason)) return { weight: 2, parts: tell(`stalls_${reason}`, { stalls }) };
  return { weight: 2, parts: tell("end", { words: stalls }) };
}

function fork(state, forks, { tell, badges }) {
  const n = forks.length;
  const outside = idsOf(notesOf(state, "preempted").filter((note) => note.born));
  const kept = forks.filter((note) => !outside.includes(note.child));
  const shared = new Set(kept.flatMap((note) => note.blocks)).size;
  let told = tell("forks", { n, children: badges(forks.map((note) => note.child)),
    parents: badges([...new Set(idsOf(forks))]) });
  if (shared) told = tell("forks_sharing", { n, forks: told, blocks: tell("blocks", { n: shared }) });
  return outside.length ? tell("forks_outside", { first: told, outside: badges(outside) })
    : tell("end", { words: told });
}

function deadSlots(state, ids, { tell, word, badges }) {
  const live = idsOf(state.batch.filter((row) => row.kind === "decode"));
  const dead = tell("dead", { n: ids.length, count: word(ids.length), who: badges(ids) });
  const parts = live.length ? tell("dead_until", { n: live.length, dead, who: badges(live, 2) })
    : tell("end", { words: dead });
  return { weight: ids.length >= live.length ? 2 : 1, parts };
}

function finish(gone, { tell, badges }) {
  if (gone.length > 1) return tell("finish", { who: badges(idsOf(gone)) });
  const [{ id, reason, outputs }] = gone;
  const how = reason === "abort" ? "aborted" : reason === "error" ? "fails" : "finishes";
  return tell(how, { who: badge(id), tokens: tell("tokens", { n: outputs }) });
}

function batchSentence(state, header, words) {
  const { tell, word } = words;
  const n = state.batch.filter((row) => row.kind === "decode").length;
  const budget = header.max_num_batched_tokens;
  const prefill = prefilling(state, words);
  if (!n) return prefill.length ? tell("alone", { prefill, budget }) : [];
  const decodes = tell("decodes", { n, count: word(n), budget });
  return prefill.length ? tell("clause", { first: decodes, second: prefill })
    : tell("end", { words: decodes });
}

function prefilling(state, { tell, badges }) {
  const prefills = state.batch.filter((row) => row.kind === "prefill");
  if (!prefills.length) return [];
  if (prefills.length > 1) {
    const tokens = tell("tokens", { n: tokensOf(prefills) });
    return tell("prefill", { who: badges(idsOf(prefills)), tokens });
  }
  const [{ id, tokens, of, done }] = prefills;
  if (tokens === of) return tell("prefill_all", { who: badge(id), tokens: tell("tokens", { n: of }) });
  return tell(done === of ? "prefill_last" : "prefill_some", { who: badge(id), n: tokens, of });
}

/** Why the first in the queue waits; all who lack the same thing are named together. */
function waitSentence(state, header, waits, { tell, word, badges }) {
  const waiting = [...state.sequences.values()].filter((s) => s.phase === "waiting" && waits.has(s.id));
  if (!waiting.length) return [];
  const why = waits.get(waiting[0].id);
  const alike = idsOf(waiting.filter((s) => waits.get(s.id).reason === why.reason));
  const n = alike.length;
  const wait = n <= 3 ? tell("waits", { n, who: badges(alike) }) : tell("many_wait", { count: word(n) });
  const { reason, needs, holders } = why;
  const free = why.free ?? 0;
  const name = `wait_${reason}`;
  switch (reason) {
    case "no_kv_blocks":
      if (needs === null) return tell(name, { wait });
      return tell("wait_for_blocks", { wait, free: tell("free", { n: free }),
        needs: tell("needs", { n, blocks: tell("kv_blocks", { n: needs }) }) });
    case "fragmented":
      return tell(name, { n, wait, blocks: tell("kv_blocks", { n: needs ?? 0 }), free });
    case "max_num_seqs":
      return tell(name, { wait, slots: header.max_num_seqs });
    case "preempted":
      return tell(name, { wait });
    case "batch_not_finished":
      return blamed(holders, 2);
    case "head_of_line":
      return blamed(holders, 1);
    case "token_budget":
    case "lower_priority":
    case "prefill_in_progress": {
      const hog = biggestHolder(state, why);
      return blamed(hog === null ? [] : [hog], 1);
    }
    default:
      return tell("end", { words: wait });
  }

  function blamed(ids, most) {
    if (!ids.length) return tell(name, { wait });
    return tell(`${name}_on`, { n: ids.length, wait, who: badges(ids, most) });
  }
}

/** The holder with most of what is missing, if it holds more than half of it. */
export function biggestHolder(state, wait) {
  const tokens = new Map(state.batch.map((row) => [row.id, row.tokens]));
  const byBlocks = ["no_kv_blocks", "fragmented", "preempted"].includes(wait.reason);
  const weigh = (id) => (byBlocks ? state.sequences.get(id)?.blocks.length : tokens.get(id)) || 0;
  let total = 0;
  let best = null;
  for (const id of wait.holders) {
    total += weigh(id);
    if (best === null || weigh(id) > weigh(best)) best = id;
  }
  return best !== null && weigh(best) * 2 > total ? best : null;
}
