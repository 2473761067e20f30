// Host of the X-ray's picture: Streamlit, st.components.v2. data = {id, xrays: {layout: JSON text
// or null}, layout, place, height, options}; another `id` is another X-ray, which begins at
// `place`. Told: the triggers `layout` and `place`.

import { createXray } from "./xray.js";

const pictures = new WeakMap();

export function mountXray({ data, parentElement, setTriggerValue }) {
  let mount = pictures.get(parentElement);
  if (!mount) {
    mount = { root: document.createElement("div") };
    parentElement.append(mount.root);
    pictures.set(parentElement, mount);
  }
  mount.setTriggerValue = setTriggerValue;
  if (data) show(mount, data);
  return () => {
    mount.picture?.destroy();
    mount.root.remove();
    pictures.delete(parentElement);
  };
}

function show(mount, { id, xrays, layout, place, height, options }) {
  mount.root.style.height = `${height}px`;
  const wanted = JSON.stringify(options);
  if (mount.options !== wanted) {
    mount.options = wanted;
    mount.id = null;
    mount.picture?.destroy();
    mount.picture = createXray(mount.root, { ...options, onLayout: (name) => {
      mount.layout = name;
      mount.setTriggerValue("layout", name);
    }, onPlace: (text) => mount.setTriggerValue("place", text) });
  }
  if (mount.id !== id) {
    mount.id = id;
    const parsed = Object.entries(xrays).map(([name, text]) => [name, text && JSON.parse(text)]);
    mount.picture.load(Object.fromEntries(parsed), layout, place);
    mount.layout = layout;
  } else if (mount.layout !== layout) {
    mount.layout = layout;
    mount.picture.setLayout(layout);
  }
}
