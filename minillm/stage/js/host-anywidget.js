// Host: Jupyter, through anywidget. Traits: `traces`, JSON text of one to four {header, records},
// `options`, whose `step` and `select` move the stage without starting it over, and `state`, what
// the stage tells of itself. Several are a comparison.

import { createStage } from "../stage.js";
import { createComparison } from "./compare.js";
import { unpacked } from "./packed.js";

export const anywidgetHost = {
  render({ model, el }) {
    let shown = null;
    let latest = 0;
    let look = "";

    async function load() {
      const mine = (latest += 1);
      const traces = await Promise.all(JSON.parse(model.get("traces")).map(unpacked));
      if (mine !== latest) return; // another came meanwhile, or the view is gone
      shown?.destroy();
      look = lookOf(model);
      const { step, ...options } = model.get("options");
      if (step !== undefined) options.start = step;
      options.onState = (state) => {
        model.set("state", state);
        model.save_changes();
      };
      const root = document.createElement("div");
      el.replaceChildren(root);
      shown = traces.length > 1 ? createComparison(root, traces, options) : play(root, traces[0], options);
    }

    function turn() {
      if (lookOf(model) !== look) return load();
      const { step, select } = model.get("options");
      if (step !== undefined) shown?.seek(step);
      shown?.select(select ?? null, true);
    }

    load();
    model.on("change:traces", load);
    model.on("change:options", turn);
    return () => {
      latest += 1;
      model.off("change:traces", load);
      model.off("change:options", turn);
      shown?.destroy();
    };
  },
};

/** What a stage is made with, and must be made anew for. */
function lookOf(model) {
  const { step, select, ...look } = model.get("options");
  return JSON.stringify(look);
}

function play(root, { header, records }, { height, ...options }) {
  root.style.height = `${height}px`;
  const stage = createStage(root, options);
  stage.load(header, records);
  return stage;
}
