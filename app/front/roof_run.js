// The batches of a run on the roof of a device: a mark on the axis for each step, and a point on the
// roof for the one at which the stage stands. It moves with the stage's frames (the window's event
// "minillm-moment") and with the slider; let go, the slider asks for its step: the trigger `step`.
//
// data = {session, at: step | null, steps: [[operations per byte, ms, decodes, prefill tokens]],
// flops, bandwidth, text: {slope, flat, intensity, point, slider}}.

const WIDTH = 1240;
const HEIGHT = 168;
const LEFT = 12;
const RIGHT = 1228;
const TOP = 16;
const AXIS = 128; // y of the axis; the roof ends above, the marks hang below
const TRAIL = 10; // steps before this one that are still seen
const mounts = new WeakMap();

function fill(template, values) {
  return template.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

function scales({ steps, flops, bandwidth }) {
  const ridge = flops / bandwidth;
  const all = steps.filter(([, , decodes, prefill]) => decodes + prefill).map(([value]) => value);
  const low = Math.floor(Math.log10(all.reduce((a, b) => Math.min(a, b), 1)) + 0.05);
  const high = Math.ceil(Math.log10(4 * all.reduce((a, b) => Math.max(a, b), ridge)));
  const x = (value) => LEFT + ((Math.log10(value) - low) / (high - low)) * (RIGHT - LEFT);
  const fall = (AXIS - 14 - TOP) / (Math.log10(ridge) - low); // px a decade on the slope
  const y = (value) => TOP + Math.max(0, Math.log10(ridge) - Math.log10(value)) * fall;
  return { low, high, ridge, x, y };
}

function drawRoof(data) {
  const { low, high, ridge, x, y } = scales(data);
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" });
  picture.append(svg("line", { class: "axis", x1: LEFT, x2: RIGHT, y1: AXIS, y2: AXIS }));
  for (let power = low; power <= high; power += 1) {
    const at = x(10 ** power);
    picture.append(svg("line", { class: "axis", x1: at, x2: at, y1: AXIS, y2: AXIS + 14 }));
    const anchor = power === low ? "start" : power === high ? "end" : "middle";
    picture.append(svg("text", { class: "tick", x: at, y: HEIGHT - 8, "text-anchor": anchor },
      (10 ** power).toLocaleString("en")));
  }
  const places = new Set(data.steps.filter((step) => step[2] + step[3]).map(([value]) => x(value).toFixed(1)));
  const marks = [...places].map((at) => `M${at} ${AXIS}v9`).join("");
  picture.append(svg("path", { class: "marks", d: marks }));
  const roof = [10 ** low, ridge, 10 ** high].map((value) => `${x(value)},${y(value)}`).join(" ");
  picture.append(svg("polyline", { class: "roof", points: roof }));
  picture.append(svg("line", { class: "ridge", x1: x(ridge), x2: x(ridge), y1: TOP, y2: AXIS }));
  picture.append(svg("text", { class: "side", x: x(ridge) - 10, y: AXIS - 8, "text-anchor": "end" }, data.text.slope));
  picture.append(svg("text", { class: "side", x: x(ridge) + 10, y: AXIS - 8 }, data.text.flat));
  picture.append(svg("text", { class: "side", x: RIGHT, y: AXIS - 8, "text-anchor": "end" }, `${data.text.intensity} →`));
  return { picture, x, y };
}

function render(mount, data) {
  const { picture, x, y } = drawRoof(data);
  const trail = Array.from({ length: TRAIL }, (_, i) => svg("circle", { class: "trail", r: 5, opacity: 0.5 * (1 - i / TRAIL) }));
  const stem = svg("line", { class: "stem", y2: AXIS });
  const point = svg("circle", { class: "point", r: 10 });
  picture.querySelector(".roof").before(stem);
  picture.append(...trail, point);
  const words = document.createElement("output");
  const slider = document.createElement("input");
  Object.assign(slider, { type: "range", min: 0, max: data.steps.length - 1, step: 1 });
  slider.setAttribute("aria-label", data.text.slider);
  slider.addEventListener("input", () => mount.show(slider.valueAsNumber));
  slider.addEventListener("change", () => mount.ask("step", slider.valueAsNumber));
  mount.root.replaceChildren(words, picture, slider);
  mount.show = (wanted) => {
    const at = Math.max(0, Math.min(wanted, data.steps.length - 1));
    if (at === mount.at) return;
    mount.at = at;
    const [intensity, ms, decodes, prefill] = data.steps[at];
    for (const node of [stem, point]) node.setAttribute("visibility", decodes + prefill ? "visible" : "hidden");
    const kind = prefill > decodes ? "prefill" : "decode";
    point.setAttribute("class", `point ${kind}`);
    point.setAttribute("cx", x(intensity));
    point.setAttribute("cy", y(intensity));
    stem.setAttribute("x1", x(intensity));
    stem.setAttribute("x2", x(intensity));
    stem.setAttribute("y1", y(intensity));
    trail.forEach((node, i) => {
      const [before, , some, more] = data.steps[at - 1 - i] ?? [1, 0, 0, 0];
      node.setAttribute("visibility", some + more ? "visible" : "hidden");
      node.setAttribute("cx", x(before));
      node.setAttribute("cy", y(before));
    });
    slider.value = at;
    const told = fill(data.text.point, { step: at, decodes, prefill, time: `${ms} ms`,
      intensity: intensity >= 10 ? Math.round(intensity).toLocaleString("en") : intensity });
    words.textContent = told;
    slider.setAttribute("aria-valuetext", told);
    picture.setAttribute("aria-label", told);
  };
}

export default function ({ data, parentElement, setTriggerValue }) {
  let mount = mounts.get(parentElement);
  if (!mount) {
    mount = { root: document.createElement("div"), at: -1, drawn: "", session: null };
    mount.root.className = "roof-run";
    parentElement.append(mount.root);
    mount.hear = ({ detail }) => {
      if (detail.session === mount.session && detail.position >= 0) mount.show(detail.position);
    };
    window.addEventListener("minillm-moment", mount.hear);
    mounts.set(parentElement, mount);
  }
  mount.ask = setTriggerValue;
  const what = JSON.stringify([data.session, data.flops, data.bandwidth, data.steps, data.text]);
  if (what !== mount.drawn) {
    const before = mount.session === data.session && mount.at >= 0 ? mount.at : data.at ?? 0;
    mount.drawn = what;
    mount.session = data.session;
    mount.at = -1;
    render(mount, data);
    mount.show(before);
  }
  return () => {
    window.removeEventListener("minillm-moment", mount.hear);
    mount.root.remove();
    mounts.delete(parentElement);
  };
}
