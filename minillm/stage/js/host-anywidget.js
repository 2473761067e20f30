// Host: Jupyter, through anywidget. Traits: `traces`, JSON text of one or two {header, records},
// and `options`. Two are played by one clock: the longer leads, the other shows the same moment.

import { createStage } from "../stage.js";
import { unpacked } from "./packed.js";

export const anywidgetHost = {
  render({ model, el }) {
    let stages = [];
    let latest = 0;
    async function load() {
      const mine = (latest += 1);
      const traces = await Promise.all(JSON.parse(model.get("traces")).map(unpacked));
      if (mine !== latest) return; // another came meanwhile, or the view is gone
      for (const stage of stages) stage.destroy();
      el.replaceChildren();
      const { height, ...options } = model.get("options");
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
    return () => {
      latest += 1;
      model.off("change:traces", load);
      for (const stage of stages) stage.destroy();
    };
  },
};

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
