// Host: Jupyter, through anywidget. Traits: `traces`, JSON text of one or two {header, records},
// `options`, whose `step` and `select` move the stage without starting it over, and `state`, what
// the stage tells of itself. Two are played by one clock: the longer leads, the other shows the same moment.

import { createStage } from "../stage.js";
import { unpacked } from "./packed.js";

export const anywidgetHost = {
  render({ model, el }) {
    let stages = [];
    let latest = 0;
    let look = "";
    function turn() {
      if (lookOf(model) !== look) return load();
      const { step, select } = model.get("options");
      if (step !== undefined) stages[0]?.seek(step);
      stages[0]?.select(select ?? null, true);
    }
    async function load() {
      const mine = (latest += 1);
      const traces = await Promise.all(JSON.parse(model.get("traces")).map(unpacked));
      if (mine !== latest) return; // another came meanwhile, or the view is gone
      for (const stage of stages) stage.destroy();
      el.replaceChildren();
      const { height, step, ...options } = model.get("options");
      if (step !== undefined) options.start = step;
      options.onState = (state) => {
        model.set("state", state);
        model.save_changes();
      };
      look = lookOf(model);
      const roots = traces.map(() => {
        const root = document.createElement("div");
        root.style.height = `${height / traces.length}px`;
        el.append(root);
        return root;
      });
      stages = traces.length > 1 ? playTogether(roots, traces, options)
        : traces.map((trace, i) => play(roots[i], trace, options));
    }
    load();
    model.on("change:traces", load);
    model.on("change:options", turn);
    return () => {
      latest += 1;
      model.off("change:traces", load);
      model.off("change:options", turn);
      for (const stage of stages) stage.destroy();
    };
  },
};

/** What a stage is made with, and must be made anew for. */
function lookOf(model) {
  const { step, select, ...look } = model.get("options");
  return JSON.stringify(look);
}

function play(root, { header, records }, options) {
  const stage = createStage(root, options);
  stage.load(header, records);
  return stage;
}

function lengthOf({ records }) {
  return records.reduce((end, record) => Math.max(end, record.t !== undefined ? record.t + record.d : 0), 1);
}

function playTogether(roots, traces, options) {
  const lengths = traces.map(lengthOf);
  const first = lengths[0] >= lengths[1] ? 0 : 1;
  const until = lengths[first];
  let follower = null;
  const leader = createStage(roots[first], { ...options, until, onFrame: (seen) => follower?.follow(seen) });
  follower = createStage(roots[1 - first], { ...options, until, leader });
  follower.load(traces[1 - first].header, traces[1 - first].records);
  leader.load(traces[first].header, traces[first].records);
  return [leader, follower];
}
