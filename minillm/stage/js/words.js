// The text column: what each running sequence has written so far, the newest piece marked.

import { createBadge, el, keyed, setBadge, setShown, setText, toggle } from "./dom.js";
import { columns, tail, visible } from "./text.js";

export function createWords(region, look, say) {
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
    setText(region.figure, running.length ? say("stage.running", { n: running.length }) : "");
    const fits = running.length <= room ? running.length : Math.max(1, room - 1);
    // One that is selected has the column to itself, with its block table below.
    const shown = selection === null ? running.slice(0, fits) : running.filter((s) => s.id === selection);
    keyed(list, shown, (s) => s.id, create, (node, sequence) => {
      const { badge, old, fresh, state: status } = node.parts;
      setBadge(badge, sequence.id, look, say);
      const piece = state.pieces[sequence.id] ?? "";
      const before = piece ? sequence.text.slice(0, -piece.length) : sequence.text;
      const said = stateOf(sequence, say);
      const space = characters - (sequence.text ? columns(said) : 0);
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
    const left = selection === null ? running.length - shown.length : 0;
    setText(more, left ? say("stage.more", { n: left }) : "");
  }

  return { draw };
}

/** What is said of a sequence beside its text. */
function stateOf(sequence, say) {
  if (sequence.phase === "prefill") {
    return say("stage.prefilling", { computed: sequence.computed, target: sequence.target });
  }
  if (sequence.phase === "finished") return ` · ${say.entry("stage.finish", sequence.finish_reason)}`;
  if (sequence.phase === "done") return ` · ${say("stage.done")}`;
  return sequence.text ? "" : say("stage.tokens_written", { n: sequence.outputs });
}
