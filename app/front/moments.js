// The blocks that a run held, step by step, and the moments at which some were copied or swapped:
// marks on the curve and buttons below. A click asks for its moment: the trigger `step` = number.
//
// data = {curve: [[step, share of the pool]], last (step), moments: [[step, kind, id, words]],
// text: {held, steps}}.

const WIDTH = 1240;
const HEIGHT = 108;
const LEFT = 4;
const RIGHT = 1236;
const TOP = 22;
const BOTTOM = 90;
const SIGNS = { copied: "M-6 -6h12v12h-12z", forked: "M0 -7l7 7-7 7-7-7z", swapped_out: "M-7 -6h14l-7 12z",
  swapped_in: "M-7 6h14l-7 -12z" };
const hueOf = createHues();

function sign(kind, id) {
  return svg("path", { d: SIGNS[kind], fill: hueOf(id), class: "sign" });
}

function curve(data, choose) {
  const x = (step) => LEFT + (step / data.last) * (RIGHT - LEFT);
  const y = (share) => BOTTOM - share * (BOTTOM - TOP);
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true" });
  const line = data.curve.map(([step, share]) => `${x(step).toFixed(1)},${y(share).toFixed(1)}`);
  const end = x(data.curve.at(-1)?.[0] ?? 0);
  picture.append(svg("polygon", { class: "held", points: [`${LEFT},${BOTTOM}`, ...line, `${end},${BOTTOM}`].join(" ") }));
  picture.append(svg("line", { class: "full", x1: LEFT, x2: RIGHT, y1: TOP, y2: TOP }));
  picture.append(svg("line", { class: "axis", x1: LEFT, x2: RIGHT, y1: BOTTOM, y2: BOTTOM }));
  picture.append(svg("text", { x: LEFT, y: HEIGHT - 3 }, data.text.held));
  picture.append(svg("text", { x: RIGHT, y: HEIGHT - 3, "text-anchor": "end" }, data.text.steps));
  data.moments.forEach(([step, kind, id, words], number) => {
    const mark = svg("g", { class: "mark", transform: `translate(${x(step)} ${TOP - 9})` });
    mark.append(svg("line", { class: "stem", y1: 8, y2: BOTTOM - TOP + 9 }), sign(kind, id), svg("title", {}, `${id}: ${words}`));
    mark.addEventListener("click", () => choose(number));
    picture.append(mark);
  });
  return picture;
}

function buttons(data, choose) {
  const row = make("div", "row");
  data.moments.forEach(([, kind, id, words], number) => {
    const button = make("button");
    button.type = "button";
    const picture = svg("svg", { viewBox: "-9 -9 18 18", class: "icon", "aria-hidden": "true" });
    picture.append(sign(kind, id));
    button.append(picture, badge(id, hueOf), make("span", "", words));
    button.addEventListener("click", () => choose(number));
    row.append(button);
  });
  return row;
}

export default function (part) {
  redraw("moments", part, (tell) => {
    const choose = (number) => {
      tell("step", number);
      document.querySelector(".st-key-view")?.scrollIntoView({ block: "end" });
    };
    return [curve(part.data, choose), buttons(part.data, choose)];
  });
}
