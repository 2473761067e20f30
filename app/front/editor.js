// Requests on a time line, to be drawn: a lane for each, its bar begins at the arrival, hatched for
// the prompt, solid for the answer. Arrivals and lengths have a scale each, said below.
//
// data = {rows: [{arrival, prompt_len, output_len, client, priority}], heard, height,
// limits: {requests, latest, tokens}, text: {…}}. After each change the state `rows` =
// {serial, rows} tells all rows in order of arrival; `heard` is the last serial the host knows.

const GUTTER = 46; // CSS px left of time 0
const SHARE = 0.5; // of the width, for arrivals; the rest is for the longest bar
const SETTLE = 350; // ms without a key before a change is told
const mounts = new WeakMap();
const hueOf = createHues();

function fill(template, values) {
  return template.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** 1, 2 or 5 times a power of ten, at least `least`. */
function round125(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= least * 0.9999);
}

function scalesOf(rows, width) {
  const latest = Math.max(0.02, ...rows.map((row) => row.arrival));
  const span = round125(latest * 1.15);
  const longest = Math.max(50, ...rows.map((row) => row.prompt_len + row.output_len));
  const room = Math.max(200, width - GUTTER - 140);
  return { span, second: (room * SHARE) / span, token: (room * (1 - SHARE)) / longest,
    tick: round125(span / 6), unit: round125(longest / 12) };
}

class Editor {
  constructor(parent) {
    this.root = make("div", "editor");
    this.axis = make("div", "axis");
    this.lanes = make("ol", "lanes");
    this.foot = make("div", "foot");
    this.root.append(this.axis, this.lanes, this.foot);
    parent.append(this.root);
    this.rows = [];
    this.chosen = null; // a row
    this.serial = 0;
    this.timer = 0;
    this.drag = null;
    this.lanes.addEventListener("pointerdown", (event) => this.press(event));
    this.lanes.addEventListener("pointermove", (event) => this.move(event));
    this.lanes.addEventListener("pointerup", () => this.release());
    this.lanes.addEventListener("pointercancel", () => this.release());
    this.lanes.addEventListener("dblclick", (event) => this.addAt(event));
    this.root.addEventListener("keydown", (event) => this.key(event));
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.root);
  }

  receive(data, setStateValue) {
    this.data = data;
    this.tell = setStateValue;
    this.serial = Math.max(this.serial, data.heard);
    this.root.style.height = `${data.height}px`;
    if (data.heard >= this.serial && !this.drag && !this.timer) {
      const at = this.rows.indexOf(this.chosen);
      this.rows = data.rows.map((row) => ({ ...row }));
      this.chosen = this.rows[Math.min(at, this.rows.length - 1)] ?? null;
    }
    this.draw();
  }

  /** Tell the host, once nothing has changed for `wait` ms. */
  changed(wait = 0) {
    clearTimeout(this.timer);
    const send = () => {
      this.timer = 0;
      this.rows.sort((a, b) => a.arrival - b.arrival);
      this.serial += 1;
      this.tell("rows", { serial: this.serial, rows: this.rows });
      this.draw();
    };
    this.timer = wait ? setTimeout(send, wait) : 0;
    if (!wait) send();
    else this.draw();
  }

  limit(row) {
    const { latest, tokens } = this.data.limits;
    row.arrival = Math.round(Math.min(latest, Math.max(0, row.arrival)) * 1000) / 1000;
    for (const name of ["prompt_len", "output_len"]) {
      row[name] = Math.min(tokens, Math.max(1, Math.round(row[name])));
    }
  }

  add(arrival) {
    if (this.rows.length >= this.data.limits.requests) return;
    const like = this.chosen ?? this.rows.at(-1) ?? { prompt_len: 64, output_len: 64, client: "", priority: 0 };
    this.chosen = { ...like, arrival };
    this.limit(this.chosen);
    this.rows.push(this.chosen);
    this.changed();
    this.focus();
  }

  remove() {
    const at = this.rows.indexOf(this.chosen);
    if (at < 0) return;
    this.rows.splice(at, 1);
    this.chosen = this.rows[Math.min(at, this.rows.length - 1)] ?? null;
    this.changed();
    this.focus();
  }

  focus() {
    this.lanes.children[this.rows.indexOf(this.chosen)]?.focus();
  }

  // The pointer.

  press(event) {
    const lane = event.target.closest(".lane");
    if (!lane || event.button !== 0) return;
    this.chosen = this.rows[Number(lane.dataset.at)];
    const grip = event.target.closest("[data-grip]")?.dataset.grip;
    if (grip) {
      this.drag = { grip, x: event.clientX, before: { ...this.chosen }, moved: false };
      this.lanes.setPointerCapture(event.pointerId);
    }
    this.draw();
    this.focus();
    event.preventDefault();
  }

  move(event) {
    if (!this.drag) return;
    const { grip, x, before } = this.drag;
    const by = event.clientX - x;
    if (Math.abs(by) > 2) this.drag.moved = true;
    if (!this.drag.moved) return;
    const { second, token } = this.scales;
    if (grip === "arrival") {
      const grain = round125(1.5 / second);
      this.chosen.arrival = Math.round((before.arrival + by / second) / grain) * grain;
    } else {
      const grain = Math.max(1, round125(1 / token));
      this.chosen[grip] = Math.max(1, Math.round((before[grip] + by / token) / grain) * grain);
    }
    this.limit(this.chosen);
    this.draw();
  }

  release() {
    const moved = this.drag?.moved;
    this.drag = null;
    if (moved) this.changed();
  }

  addAt(event) {
    const box = this.lanes.getBoundingClientRect();
    this.add(Math.max(0, (event.clientX - box.left - GUTTER) / this.scales.second));
  }

  // The keyboard.

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const row = this.chosen;
    const way = { ArrowLeft: -1, ArrowRight: 1, "-": -1, "+": 1, "=": 1 }[event.key];
    if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      const at = this.rows.indexOf(row) + (event.key === "ArrowUp" ? -1 : 1);
      this.chosen = this.rows[Math.max(0, Math.min(at, this.rows.length - 1))] ?? null;
      this.draw();
      this.focus();
    } else if (event.key === "Delete" || event.key === "Backspace") {
      this.remove();
    } else if (event.key === "Insert") {
      this.add((row?.arrival ?? 0) + this.scales.tick / 10);
    } else if (row && way) {
      const { tick, unit } = this.scales;
      if (event.key.length === 1) row.prompt_len += way * Math.max(1, unit / 10);
      else if (event.shiftKey) row.output_len += way * Math.max(1, unit / 10);
      else row.arrival += way * (tick / 10);
      this.limit(row);
      this.changed(SETTLE);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  // Drawing.

  draw() {
    const width = this.root.clientWidth;
    if (!width || !this.data) return;
    if (!this.drag && !this.timer) this.scales = scalesOf(this.rows, width);
    this.drawAxis();
    const focused = this.root.getRootNode().activeElement;
    const had = focused?.classList?.contains("lane");
    while (this.lanes.children.length > this.rows.length) this.lanes.lastChild.remove();
    this.rows.forEach((row, at) => this.drawLane(row, at));
    if (had) this.focus();
    const { text } = this.data;
    const rule = make("span", "rule");
    rule.style.width = `${this.scales.unit * this.scales.token}px`;
    const scale = make("span", "scale");
    scale.append(rule, make("span", "", fill(text.tokens, { n: this.scales.unit.toLocaleString("en") })));
    this.foot.replaceChildren(make("span", "hint", text.hint), scale);
  }

  drawAxis() {
    const { span, second, tick } = this.scales;
    const marks = [];
    const places = Math.max(0, Math.ceil(-Math.log10(tick) - 1e-9));
    for (let i = 0; i * tick <= span * 1.0001; i += 1) {
      const mark = make("span", "tick", `${(i * tick).toFixed(places)} s`);
      mark.style.left = `${GUTTER + i * tick * second}px`;
      marks.push(mark);
    }
    this.axis.replaceChildren(...marks);
    this.lanes.style.setProperty("--tick", `${tick * second}px`);
    this.lanes.style.setProperty("--span", `${span * second + 1}px`);
  }

  drawLane(row, at) {
    let lane = this.lanes.children[at];
    if (!lane) {
      lane = make("li", "lane");
      lane.tabIndex = 0;
      lane.parts = { badge: make("b", "badge"), bar: make("div", "bar"), prompt: make("i", "prompt"),
        seam: make("i", "grip"), output: make("i", "output"), end: make("i", "grip"), words: make("span", "words") };
      const { badge, bar, prompt, seam, output, end, words } = lane.parts;
      bar.dataset.grip = "arrival";
      seam.dataset.grip = "prompt_len";
      end.dataset.grip = "output_len";
      bar.append(prompt, seam, output, end);
      lane.append(badge, bar, words);
      lane.addEventListener("focus", () => {
        const chosen = this.rows[Number(lane.dataset.at)];
        if (chosen === this.chosen) return;
        this.chosen = chosen;
        this.draw();
      });
      this.lanes.append(lane);
    }
    const { badge, bar, prompt, output, words } = lane.parts;
    const { second, token } = this.scales;
    lane.dataset.at = String(at);
    lane.classList.toggle("chosen", row === this.chosen);
    const hue = hueOf(String(at));
    lane.style.setProperty("--hue", hue);
    badge.textContent = String(at);
    badge.style.color = inkOn(hue);
    bar.style.left = `${GUTTER + row.arrival * second}px`;
    prompt.style.width = `${Math.max(2, row.prompt_len * token)}px`;
    output.style.width = `${Math.max(2, row.output_len * token)}px`;
    const numbers = { id: at, at: row.arrival.toFixed(3), prompt: row.prompt_len.toLocaleString("en"),
      output: row.output_len.toLocaleString("en"), client: row.client };
    const { text } = this.data;
    const said = fill(row === this.chosen ? text.chosen : text.lengths, numbers)
      + (row.client ? ` · ${row.client}` : "") + (row.priority ? ` · ${fill(text.priority, { n: row.priority })}` : "");
    words.textContent = said;
    words.style.left = `${GUTTER + row.arrival * second + (row.prompt_len + row.output_len) * token + 14}px`;
    lane.setAttribute("aria-label", `${fill(text.request, numbers)}: ${fill(text.chosen, numbers)}`);
  }
}

export default function ({ data, parentElement, setStateValue }) {
  let editor = mounts.get(parentElement);
  if (!editor) mounts.set(parentElement, (editor = new Editor(parentElement)));
  editor.receive(data, setStateValue);
  return () => {
    clearTimeout(editor.timer);
    editor.observer.disconnect();
    editor.root.remove();
    mounts.delete(parentElement);
  };
}
