// The stage's head: what is shown, by which scheduler, memory and model, and what the colours mean.

import { el, setText } from "./dom.js";
import { fillLegend } from "./frame.js";

/** Fill it from a trace's header; `name` stands in place of the recording's title. */
export function fillHead(root, frame, header, name, say) {
  setText(frame.name, name || say.translated(header.title, `scenes.${header.scene}.title`) || header.scene || say("stage.recording"));
  frame.name.title = say.translated(header.question, `scenes.${header.scene}.question`) || "";
  root.setAttribute("aria-label", say("stage.label_of", { title: frame.name.textContent }));
  const budget = say("stage.budget", { n: header.max_num_batched_tokens });
  const model = (header.model || "").split("/").at(-1);
  const pills = { scheduler: header.scheduler, memory: `${header.kv_cache || "paged"} · ${header.block_size}`,
    budget, model: [model, header.device].filter(Boolean).join(" · ") };
  frame.pills.replaceChildren(...Object.entries(pills).filter(([, words]) => words).map(([why, words]) => {
    const pill = el("span", "ms-pill", { "data-why": why, tabindex: "0" });
    pill.textContent = words;
    return pill;
  }));
  setText(frame.budget, budget);
  fillLegend(frame.legend, header.prefix_caching, say);
}
