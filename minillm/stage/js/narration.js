// One sentence or two on a step, as parts: {text} or {id}. The most important fact leads.

import { waitsBySequence } from "./fold.js";
import { count } from "./messages.js";

const WORDS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
  "ten", "eleven", "twelve"];

export function plural(n, noun, many = noun + "s") {
  return `${count(n)} ${n === 1 ? noun : many}`;
}

function word(n) {
  return WORDS[n] ?? count(n);
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Joins strings and ids ({id}) into parts; a nested array is spread. */
function say(...pieces) {
  return pieces.flat(Infinity).map((piece) => (typeof piece === "string" ? { text: piece } : piece));
}

const badge = (id) => ({ id });

/** Up to `most` badges, then a count. */
function badges(ids, most = 3) {
  const shown = ids.length <= most + 1 ? ids : ids.slice(0, most);
  const parts = shown.flatMap((id, i) => {
    const last = i === shown.length - 1 && shown.length === ids.length;
    return [...(i ? [last ? " and " : " "] : []), badge(id)];
  });
  return shown.length === ids.length ? parts : [...parts, ` and ${word(ids.length - shown.length)} more`];
}

export function narrate(state, header) {
  if (state.n < 0) return say("Nothing has run yet.");
  const waits = waitsBySequence(state);
  const waiting = [...state.sequences.values()].filter((s) => s.phase === "waiting");
  const event = eventSentence(state, header, waits);
  const batch = batchSentence(state, header, waits);
  const wait = waitSentence(state, header, waits, waiting);
  const sentences = [];
  if (event && event.weight === 5) sentences.push(event.parts, wait);
  else if (event && event.weight >= 2) sentences.push(event.parts, wait && event.weight < 4 ? wait : batch);
  else if (event && !wait) sentences.push(batch, event.parts);
  else sentences.push(batch, wait);
  const spoken = sentences.filter((parts) => parts && parts.length);
  return spoken.flatMap((parts, i) => (i ? [{ text: " " }, ...parts] : parts));
}

export function plain(parts) {
  return parts.map((part) => (part.id !== undefined ? `[${part.id}]` : part.text)).join("");
}

function notesOf(state, kind) {
  return state.notes.filter((note) => note.kind === kind);
}

/** {parts, weight}: 2 and more leads the narration; 4 says why some wait, 5 what the
 * batch is made of, and neither is repeated. */
function eventSentence(state, header, waits) {
  const [refused] = notesOf(state, "rejected");
  if (refused) return { weight: 3, parts: say(badge(refused.id), ` is refused: ${refused.message}`) };

  const lost = notesOf(state, "preempted").filter((note) => !note.born);
  const saved = notesOf(state, "swapped_out").filter((out) => lost.some(({ id }) => id === out.id));
  const forgotten = lost.reduce((sum, note) => sum + note.lost, 0);
  const move = swapped(state, header, saved, "to");
  if (lost.length === 1) {
    const [{ id, by, lost: tokens }] = lost;
    const cause = by === null ? [" to free its blocks"]
      : by === id ? [": no block is left for its own next token"]
        : [": ", badge(by), " needs the room"];
    const cost = tokens ? `; ${plural(tokens, "computed token")} must be computed again.`
      : saved.length ? `; ${move}` : ".";
    return { weight: 4, parts: say(badge(id), " is preempted", cause, cost) };
  }
  if (lost.length) {
    const cost = saved.length && !forgotten ? move
      : `${plural(forgotten, "computed token")} must be computed again.`;
    return { weight: 4, parts: say(badges(lost.map((note) => note.id)), ` are preempted; ${cost}`) };
  }
  const back = notesOf(state, "swapped_in");
  if (back.length) {
    const verb = back.length === 1 ? " comes back" : " come back";
    const how = back.some((note) => note.blocks)
      ? `: ${swapped(state, header, back, "from")}` : ".";
    return { weight: 2, parts: say(badges(back.map((note) => note.id)), verb, how) };
  }

  const prefills = state.batch.filter((row) => row.kind === "prefill");
  if (state.stalled.length) {
    const reason = waits.get(state.stalled[0])?.reason;
    const who = state.stalled.length === 1 ? [badge(state.stalled[0]), " stalls"]
      : [`${capital(word(state.stalled.length))} running requests stall`];
    if (reason === "prefill_in_progress" && prefills.length) {
      const tokens = prefills.reduce((sum, row) => sum + row.tokens, 0);
      const verb = prefills.length === 1 ? " prefills " : " prefill ";
      return { weight: 5, parts: say(who, " while ", badges(prefills.map((row) => row.id)), verb,
        `${plural(tokens, "token")}.`) };
    }
    const because = { token_budget: ": the token budget is spent.",
      no_kv_blocks: ": no KV block is free.", lower_priority: ": others are served first." };
    return { weight: 2, parts: say(who, because[reason] ?? ".") };
  }

  const [hit] = notesOf(state, "admitted").filter((note) => note.cached > 0)
    .sort((a, b) => b.cached - a.cached);
  if (hit) {
    return { weight: 2, parts: say(badge(hit.id),
      ` finds ${count(hit.cached)} of its ${count(hit.of)} prompt tokens in the cache.`) };
  }

  const forks = notesOf(state, "forked");
  if (forks.length) {
    const one = forks.length === 1;
    const outside = notesOf(state, "preempted").filter((note) => note.born).map((note) => note.id);
    const kept = forks.filter((note) => !outside.includes(note.child));
    const shared = new Set(kept.flatMap((note) => note.blocks)).size;
    const what = shared ? ` and ${one ? "shares" : "share"} ${plural(shared, "block")}` : "";
    const end = outside.length ? ["; there is no room yet for ", badges(outside), "."] : ".";
    const parents = [...new Set(forks.map((note) => note.id))];
    return { weight: 2, parts: say(badges(forks.map((note) => note.child)),
      one ? " forks off " : " fork off ", badges(parents), what, end) };
  }

  const dead = state.batch.filter((row) => row.kind === "dead");
  const live = state.batch.filter((row) => row.kind === "decode");
  if (dead.length) {
    const slots = dead.length === 1 ? "One slot is dead" : `${capital(word(dead.length))} slots are dead`;
    const hold = dead.length === 1 ? " is done" : " are done";
    const until = live.length ? [", but the batch runs until ", badges(live.map((row) => row.id), 2),
      live.length === 1 ? " ends." : " end."] : ["."];
    return { weight: dead.length >= live.length ? 2 : 1,
      parts: say(`${slots}: `, badges(dead.map((row) => row.id)), hold, until) };
  }

  const gone = notesOf(state, "finished");
  if (gone.length === 1) {
    const [{ id, reason, outputs }] = gone;
    const how = reason === "abort" ? " is aborted" : reason === "error" ? " fails" : " finishes";
    return { weight: 1, parts: say(badge(id), `${how} after ${plural(outputs, "token")}.`) };
  }
  if (gone.length) {
    return { weight: 1, parts: say(badges(gone.map((note) => note.id)), " finish.") };
  }
  const writers = notesOf(state, "copied");
  if (writers.length) {
    const how = writers.length === 1 ? " writes to a shared block and gets a copy of it."
      : " write to shared blocks and get copies of them.";
    return { weight: 1, parts: say(badges(writers.map((note) => note.id)), how) };
  }
  const first = prefills.filter((row) => row.first);
  if (first.length) {
    return { weight: 1, parts: say(badges(first.map((row) => row.id)),
      first.length === 1 ? " writes its first token." : " write their first tokens.") };
  }
  return null;
}

/** How much moves to or from CPU memory, and how long the step waited for it. */
function swapped(state, header, notes, way) {
  const blocks = notes.reduce((sum, note) => sum + note.blocks, 0);
  if (!blocks) return "all of it is in CPU memory already.";
  const size = blocks * header.block_size * (header.kv_bytes_per_token || 0);
  const amount = size ? ` (${tenths(size, 1e6)} MB)` : "";
  const time = state.transfer ? ` in ${tenths(state.transfer, 1e6)} ms` : "";
  const move = blocks === 1 ? "moves" : "move";
  return `${plural(blocks, "block")}${amount} ${move} ${way} CPU memory${time}.`;
}

/** `n` in units, with one decimal. */
function tenths(n, unit) {
  const value = Math.floor((n * 10 + unit / 2) / unit);
  return `${count(Math.floor(value / 10))}.${value % 10}`;
}

function batchSentence(state, header) {
  const decodes = state.batch.filter((row) => row.kind === "decode");
  const prefills = state.batch.filter((row) => row.kind === "prefill");
  const budget = header.max_num_batched_tokens;
  const parts = [];
  if (decodes.length) {
    const many = decodes.length === 1 ? " decode takes " : " decodes take ";
    parts.push(capital(word(decodes.length)), many, `${count(decodes.length)} of ${count(budget)} tokens`);
    parts.push(prefills.length ? "; " : ".");
  }
  if (prefills.length) {
    const [row] = prefills;
    const left = row.of - (row.done - row.tokens);
    if (prefills.length > 1) {
      const tokens = prefills.reduce((sum, each) => sum + each.tokens, 0);
      parts.push(badges(prefills.map((each) => each.id)), ` prefill ${plural(tokens, "token")}`);
    } else if (row.tokens === row.of) {
      parts.push(badge(row.id), ` prefills all its ${plural(row.of, "token")}`);
    } else if (row.tokens === left) {
      parts.push(badge(row.id), ` prefills the last ${count(row.tokens)} of its ${count(row.of)}`);
    } else {
      parts.push(badge(row.id), ` prefills ${count(row.tokens)} of its ${count(row.of)}`);
    }
    parts.push(decodes.length ? "." : `, with a budget of ${count(budget)}.`);
  }
  return say(parts);
}

function waitSentence(state, header, waits, waiting) {
  const explained = waiting.filter((sequence) => waits.has(sequence.id));
  if (!explained.length) return null;
  const [first] = explained;
  const wait = waits.get(first.id);
  // All who lack the same thing are named together.
  const alike = explained.filter((sequence) => waits.get(sequence.id).reason === wait.reason);
  const who = alike.length === 1 ? [badge(first.id), " waits"]
    : alike.length <= 3 ? [badges(alike.map((sequence) => sequence.id)), " wait"]
      : [`${capital(word(alike.length))} wait`];
  return say(who, ...whyWait(state, header, wait, alike));
}

function whyWait(state, header, wait, alike) {
  const one = alike.length === 1;
  const hog = biggestHolder(state, wait);
  switch (wait.reason) {
    case "token_budget":
      return [": the token budget is spent", ...(hog ? [", most of it on ", badge(hog)] : []), "."];
    case "no_kv_blocks":
      if (wait.needs !== null) {
        const whose = one ? "it needs" : "the first needs";
        return [`: ${whose} ${plural(wait.needs, "KV block")}, ${count(wait.free ?? 0)} `,
          `${wait.free === 1 ? "is" : "are"} free.`];
      }
      return [": no KV block is free."];
    case "fragmented":
      return [`: ${one ? "it needs" : "the first needs"} a run of ${plural(wait.needs ?? 0, "KV block")}, `,
        `the longest free one has ${count(wait.free ?? 0)}.`];
    case "max_num_seqs":
      return [`: all ${count(header.max_num_seqs)} sequence slots are taken.`];
    case "batch_not_finished":
      return [": the batch must finish first", ...(wait.holders.length
        ? [", and ", badges(wait.holders, 2), wait.holders.length === 1 ? " still writes" : " still write"]
        : []), "."];
    case "head_of_line":
      return wait.holders.length ? [" behind ", badges(wait.holders, 1), "."] : [" in line."];
    case "lower_priority":
      return [": others are served first", ...(hog ? [", ", badge(hog), " above all"] : []), "."];
    case "preempted":
      return [" for room after being preempted."];
    case "prefill_in_progress":
      return [": this step only prefills", ...(hog ? [" ", badge(hog)] : []), "."];
    default:
      return ["."];
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
