// The text column: what each running sequence has written so far, the newest piece marked.

import { createBadge, el, keyed, setBadge, setShown, setText, toggle } from "./dom.js";
import { count } from "./messages.js";
import { plural } from "./narration.js";
import { tail, visible } from "./text.js";

export function createWords(region, look) {
  const list = el("ol", "ms-words");
  const more = el("div", "ms-more");
  region.body.append(list, more);

  function create() {
    const row = el("li", "ms-word");
    const badge = createBadge();
    const body = el("div", "ms-word-body", { dir: "auto" });
    const old = el("span", "ms-word-old");
    const fresh = el("span", "ms-word-new");
    const state = el("span", "ms-word-state");
    body.append(old, fresh, state);
    row.append(badge, body);
    row.parts = { badge, old, fresh, state };
    return row;
  }

  function draw(state, { rows: room, characters, selection }) {
    const running = [...state.sequences.values()].filter((s) => s.phase !== "waiting");
    setText(region.figure, running.length ? `${count(running.length)} running` : "");
    const fits = running.length <= room ? running.length : Math.max(1, room - 1);
    // One that is selected has the column to itself, with its block table below.
    const shown = selection === null ? running.slice(0, fits) : running.filter((s) => s.id === selection);
    keyed(list, shown, (s) => s.id, create, (node, sequence) => {
      const { badge, old, fresh, state: status } = node.parts;
      setBadge(badge, sequence.id, look);
      const piece = state.pieces[sequence.id] ?? "";
      const before = piece ? sequence.text.slice(0, -piece.length) : sequence.text;
      const said = stateOf(sequence);
      const space = characters - (sequence.text ? said.length : 0);
      const last = visible(tail(piece, Math.max(6, space)));
      // A space at the seam stays outside the mark.
      const lead = last.startsWith(" ") ? " " : "";
      setText(old, visible(tail(before, Math.max(6, space - last.length))) + lead);
      setText(fresh, last.slice(lead.length));
      setShown(fresh, last.length > lead.length);
      setText(status, said);
      setShown(status, status.textContent !== "");
      toggle(node, "ms-gone", sequence.phase === "finished" || sequence.phase === "done");
    });
    setText(more, selection === null && running.length > shown.length ? `+${count(running.length - shown.length)} more` : "");
  }

  return { draw };
}

/** What is said of a sequence beside its text. */
function stateOf(sequence) {
  if (sequence.phase === "prefill") {
    return `prefilling, ${count(sequence.computed)} of ${count(sequence.target)}`;
  }
  if (sequence.phase === "finished") return ` · ${sequence.finish_reason}`;
  if (sequence.phase === "done") return " · done, slot held";
  return sequence.text ? "" : `${plural(sequence.outputs, "token")} written`;
}
