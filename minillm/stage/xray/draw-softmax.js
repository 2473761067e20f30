// The online softmax of one row of the chosen program: its running maximum and sum after each
// tile, and what the maximum's rise does to what was summed before.

import { el, setText } from "../js/dom.js";
import { baseOf, softmaxAt } from "./anatomy.js";
import { shape } from "./frame.js";

const PAD = { left: 2, right: 2 };
const LABEL = 19; // CSS px above a value for its number

export function createSoftmax(region, look, say, chooseRow) {
  const rowOf = el("select", "kx-row", { "aria-label": say("kernel.row") });
  rowOf.addEventListener("change", () => chooseRow(Number(rowOf.value)));
  region.figure.append(rowOf);
  const plots = ["maximum", "sum"].map((name) => {
    const head = el("p", "kx-plot-head");
    const words = el("span", "kx-plot-title");
    words.textContent = say(`kernel.${name}`);
    const formula = el("b", "kx-formula");
    head.append(words, formula);
    const place = el("div", "kx-plot");
    region.body.append(head, place);
    return { formula, place };
  });
  const acc = el("p", "kx-plot-head");
  const words = el("span", "kx-plot-title");
  words.textContent = say("kernel.output");
  const rescaled = el("b", "kx-formula");
  acc.append(words, rescaled);
  region.body.append(acc);
  let shown = null;

  function fillRows(program) {
    rowOf.replaceChildren(...program.rows.map(({ position, head }, i) => {
      const option = el("option", "", { value: String(i) });
      option.textContent = say("kernel.row_of", { position, head });
      return option;
    }));
    rowOf.disabled = program.rows.length < 2;
  }

  function draw(program, step, row) {
    if (shown !== program) {
      shown = program;
      fillRows(program);
    }
    rowOf.value = String(row);
    const seen = softmaxAt(program, step, row);
    const [maximum, sum] = plots;
    const x = ruler(program.tiles.length - 1, Math.max(160, maximum.place.clientWidth));
    const draws = program.rows.length > 0;
    for (const { place } of plots) place.replaceChildren();
    if (draws) {
      maximum.place.append(paintMaximum(program, seen, row, x, maximum.place));
      sum.place.append(paintSum(seen, x, sum.place));
    }
    tellFormulas(program, seen);
  }

  /** x of the middle of tile `i` (1 is the first), and the width of one. */
  function ruler(count, width) {
    const each = Math.min(104, (width - PAD.left - PAD.right) / Math.max(1, count));
    return { of: (i) => PAD.left + each * (i - 0.5), each };
  }

  function labelled(i, seen, each) {
    return each >= 38 || i === seen.done || (i === seen.tiles.length - 1 && (i - seen.done) * each > 44);
  }

  function canvas(place, words) {
    return shape("svg", { width: "100%", height: place.clientHeight, role: "img", "aria-label": words });
  }

  function paintMaximum(program, seen, row, x, place) {
    const drawing = canvas(place, sentence(seen));
    const all = seen.tiles.slice(1).map(({ highest }) => highest).filter(Number.isFinite);
    const [low, high] = [Math.min(...all), Math.max(...all)];
    const tall = place.clientHeight;
    const y = (value) => LABEL + (1 - (value - low) / (high - low || 1)) * (tall - LABEL - 5);
    const path = (from, until) => {
      let line = "";
      for (let i = from; i <= until; i++) {
        const value = seen.tiles[i].highest;
        if (!Number.isFinite(value)) continue;
        line += `${line ? "L" : "M"}${x.of(i) - x.each / 2} ${y(value)}L${x.of(i) + x.each / 2} ${y(value)}`;
      }
      return line;
    };
    const last = program.tiles.length - 1;
    drawing.append(shape("path", { d: path(Math.max(1, seen.done), last), class: "kx-line kx-ahead" }));
    drawing.append(shape("path", { d: path(1, seen.done), class: "kx-line kx-past" }));
    for (let i = 1; i <= last; i++) {
      const value = seen.tiles[i].highest;
      if (!Number.isFinite(value) || !labelled(i, seen, x.each)) continue;
      drawing.append(shape("text", { x: x.of(i), y: y(value) - 5, "text-anchor": "middle",
        class: i > seen.done ? "kx-value kx-ahead" : i === seen.done ? "kx-value kx-current" : "kx-value" }, figure(value)));
    }
    return drawing;
  }

  /** Of each tile: what the sum was (dashed), what is left of it rescaled, and what is new. */
  function paintSum(seen, x, place) {
    const drawing = canvas(place, "");
    drawing.setAttribute("aria-hidden", "true");
    const most = Math.max(...seen.tiles.map(({ total }) => total).filter(Number.isFinite), 1e-9);
    const floor = place.clientHeight - 2;
    const y = (value) => floor - (value / most) * (floor - LABEL);
    const wide = Math.max(3, Math.min(42, x.each * 0.62));
    for (let i = 1; i < seen.tiles.length; i++) {
      const { total, shrink } = seen.tiles[i];
      const before = seen.tiles[i - 1].total;
      const kept = before * shrink || 0;
      const group = shape("g", { class: i > seen.done ? "kx-ahead" : i === seen.done ? "kx-current" : "" });
      const left = x.of(i) - wide / 2;
      if (i > 1) group.append(shape("rect", { x: left, y: y(before), width: wide, height: floor - y(before), class: "kx-before" }));
      group.append(shape("rect", { x: left, y: y(kept), width: wide, height: floor - y(kept), class: "kx-kept" }));
      group.append(shape("rect", { x: left, y: y(total), width: wide, height: Math.max(0, y(kept) - y(total)), class: "kx-new" }));
      if (labelled(i, seen, x.each)) {
        group.append(shape("text", { x: x.of(i), y: Math.min(y(total), y(i > 1 ? before : 0)) - 5, "text-anchor": "middle", class: "kx-value" }, figure(total)));
      }
      drawing.append(group);
    }
    drawing.append(shape("path", { d: `M${PAD.left} ${floor}H${x.of(seen.tiles.length - 1) + x.each / 2}`, class: "kx-floor" }));
    return drawing;
  }

  /** m, l and acc as this tile changed them, in the kernel's own numbers. */
  function tellFormulas(program, seen) {
    const [m, l] = plots.map(({ formula }) => formula);
    const after = seen.tiles[seen.done];
    const base = baseOf(program);
    region.body.title = base === null ? "" : say(base === 2 ? "kernel.base_two" : "kernel.base_e");
    if (after.highest === undefined) {
      for (const line of [m, l, rescaled]) setText(line, "–");
    } else if (seen.done === 0) {
      setText(m, figure(after.highest));
      setText(l, figure(after.total));
      setText(rescaled, "0");
    } else {
      const before = seen.tiles[seen.done - 1];
      const kept = before.total * after.shrink || 0;
      setText(m, `max(${figure(before.highest)}, …) = ${figure(after.highest)}`);
      setText(l, `${figure(before.total)} × ${figure(after.shrink)} + ${figure(after.total - kept)} = ${figure(after.total)}`);
      setText(rescaled, `acc × ${figure(after.shrink)} + ${say("kernel.weighted")}`);
    }
  }

  function sentence(seen) {
    const { highest, total } = seen.tiles[seen.done];
    if (highest === undefined) return say("kernel.softmax_none");
    return say("kernel.softmax_at", { tile: seen.done, of: seen.tiles.length - 1, highest: figure(highest), total: figure(total) });
  }

  return { draw };
}

/** Three digits or so. */
export function figure(value) {
  if (value === Infinity) return "∞";
  if (value === -Infinity) return "−∞";
  if (value === undefined || Number.isNaN(value)) return "–";
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toFixed(digits).replace("-", "−");
}
