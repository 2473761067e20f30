// Host: Jupyter, through anywidget. Traits: trace = {header, records} and options.

import { createStage } from "../stage.js";

export const anywidgetHost = {
  render({ model, el }) {
    const root = document.createElement("div");
    el.append(root);
    let stage = null;
    function load() {
      stage?.destroy();
      const options = model.get("options");
      root.style.height = `${options.height}px`;
      const { header, records } = JSON.parse(model.get("trace"));
      stage = createStage(root, options);
      stage.load(header, records);
    }
    load();
    model.on("change:trace", load);
    return () => {
      model.off("change:trace", load);
      stage.destroy();
    };
  },
};
