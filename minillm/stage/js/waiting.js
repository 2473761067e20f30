// The waiting queue: who, how much, why, and whose fault.

import { createBadge, el, keyed, paintHue, setBadge, setShown, setText } from "./dom.js";
import { count } from "./messages.js";
import { biggestHolder } from "./narration.js";

const BLOCKS = ["no_kv_blocks", "fragmented"];

/** Rows for the panel and the read-out: [{id, tokens, reason, label, detail, holders, seconds}]. */
export function waitingRows(state, waits, header, say) {
  const rows = [];
  for (const sequence of state.sequences.values()) {
    if (sequence.phase !== "waiting") continue;
    const wait = waits.get(sequence.id);
    const numbers = !wait || wait.needs === null ? ""
      : say("stage.needs", { needs: wait.needs, free: wait.free ?? 0 });
    const culprit = wait && culpritOf(state, wait);
    rows.push({
      id: sequence.id, tokens: sequence.target, again: sequence.preemptions > 0,
      saved: sequence.cpu_blocks.length ? sequence.computed : 0,
      reason: wait?.reason ?? null, label: wait ? say.entry("stage.reason", wait.reason) : "",
      detail: wait?.reason === "max_num_seqs" ? say("stage.all_taken", { n: header.max_num_seqs })
        : BLOCKS.includes(wait?.reason) || !culprit ? numbers : "",
      culprit, holders: wait?.holders ?? [],
      seconds: Math.max(0, state.time - sequence.since) / 1e9,
    });
  }
  return rows;
}

function culpritOf(state, wait) {
  if (BLOCKS.includes(wait.reason) || wait.reason === "max_num_seqs") return null;
  if (wait.reason === "head_of_line") return wait.holders[0] ?? null;
  return biggestHolder(state, wait) ?? (wait.holders.length === 1 ? wait.holders[0] : null);
}

const BLAME = { head_of_line: "behind", preempted: "preempted_by" };

export function createWaiting(region, look, say) {
  const list = el("ol", "ms-queue");
  const more = el("div", "ms-more");
  region.body.append(list, more);
  const empty = el("div", "ms-empty");
  empty.textContent = say("stage.queue_empty");
  region.body.append(empty);

  function create() {
    const row = el("li", "ms-wait");
    const badge = createBadge();
    const body = el("div", "ms-wait-body");
    const size = el("div", "ms-wait-size");
    const bar = el("div", "ms-wait-bar");
    const fill = el("div", "ms-wait-fill");
    bar.append(fill);
    const why = el("div", "ms-wait-line");
    const label = el("span", "ms-warn");
    const time = el("span", "ms-wait-time");
    why.append(label, time);
    const blame = el("div", "ms-wait-blame");
    const held = el("span", "ms-wait-held");
    const culprit = createBadge();
    culprit.classList.add("ms-badge-small");
    blame.append(held, culprit);
    body.append(size, bar, why, blame);
    row.append(badge, body);
    row.parts = { badge, size, fill, label, held, culprit, time };
    return row;
  }

  function draw(rows, longest, room) {
    setText(region.figure, rows.length ? count(rows.length) : "");
    setShown(empty, rows.length === 0);
    const fits = rows.length <= room ? rows.length : Math.max(1, Math.floor(room - 0.3));
    keyed(list, rows.slice(0, fits), (row) => row.id, create, (node, row) => {
      const { badge, size, fill, label, held, culprit, time } = node.parts;
      setBadge(badge, row.id, look, say);
      paintHue(fill, row.id, look);
      setText(size, row.saved ? say("stage.tokens_saved", { n: row.saved })
        : say(row.again ? "stage.tokens_again" : "stage.tokens", { n: row.tokens }));
      const width = `${Math.max(2, (100 * row.tokens) / longest).toFixed(1)}%`;
      if (fill.style.width !== width) fill.style.width = width;
      setText(label, row.label);
      setText(held, row.culprit !== null && row.culprit !== undefined
        ? `${say(`stage.${BLAME[row.reason] ?? "held_by"}`)} ` : row.detail);
      setShown(culprit, row.culprit !== null && row.culprit !== undefined);
      if (row.culprit !== null && row.culprit !== undefined) setBadge(culprit, row.culprit, look, say);
      setText(time, seconds(row.seconds));
    });
    setText(more, rows.length > fits ? say("stage.more", { n: rows.length - fits }) : "");
  }

  return { draw };
}

export function seconds(value) {
  if (value >= 100) return `${value.toFixed(0)} s`;
  if (value >= 0.01 || value === 0) return `${value.toFixed(2)} s`;
  return `${(value * 1000).toFixed(2)} ms`;
}
