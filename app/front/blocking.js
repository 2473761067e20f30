// Who waited for whom: a bar for each request's life, and beside it what each culprit cost it.
//
// data = {rows: [{id, total, parts: [[kind, culprit, ns, words]], cells: [[ns, text, words] | null]}],
// culprits: [id], caused: [text], longest (ns), largest (ns), chosen: "waiter|culprit" | null,
// terms: {kind: address in the glossary}, text: {requests, lives, matrix, total, caused, kinds: {kind: words}}}.
// A click on a cell asks for its moment: the trigger `cell` = [waiter, culprit].

const OWN = new Set(["prefill", "decode"]);
const NOBODY = new Set(["idle", "cut"]); // nobody on record paid for these
const hueOf = createHues();

function bar(row, longest) {
  const track = make("div", "track");
  for (const [kind, culprit, ns, words] of row.parts) {
    const share = ns / longest;
    const node = make("div", `part ${kind} ${OWN.has(kind) ? "own" : "owed"}`);
    const who = OWN.has(kind) ? row.id : culprit;
    if (!NOBODY.has(kind)) node.style.setProperty("--hue", hueOf(who));
    node.style.width = `${share * 100}%`;
    node.title = words;
    if (!OWN.has(kind) && !NOBODY.has(kind) && share > 0.035) node.append(make("b", "", who));
    track.append(node);
  }
  return track;
}

function cell(row, culprit, entry, data, choose) {
  const place = make("td");
  if (!entry) return place;
  const [ns, text, words] = entry;
  const button = make("button", "cell", text);
  button.type = "button";
  button.title = words;
  button.setAttribute("aria-label", words);
  const weight = Math.sqrt(ns / data.largest);
  button.style.setProperty("--weight", `${Math.round(8 + 72 * weight)}%`);
  button.classList.toggle("heavy", weight > 0.62);
  button.setAttribute("aria-pressed", String(data.chosen === `${row.id}|${culprit}`));
  button.addEventListener("click", () => choose(row.id, culprit));
  place.append(button);
  return place;
}

function head(data) {
  const row = make("tr");
  row.append(make("th", "", data.text.requests), make("th", "wide", data.text.lives));
  row.append(make("th", "number", data.text.total));
  for (const id of data.culprits) {
    const th = make("th", "culprit");
    th.append(badge(id, hueOf));
    row.append(th);
  }
  const above = make("tr", "above");
  const over = make("th", "over", data.text.matrix);
  over.colSpan = Math.max(1, data.culprits.length);
  const blank = make("td");
  blank.colSpan = 3;
  above.append(blank, over);
  const top = make("thead");
  top.append(...(data.culprits.length ? [above, row] : [row]));
  return top;
}

function foot(data) {
  const row = make("tr");
  const name = make("th", "caused", data.text.caused);
  name.colSpan = 3;
  row.append(name, ...data.caused.map((text) => make("td", "number", text)));
  const bottom = make("tfoot");
  bottom.append(row);
  return bottom;
}

function legend(kinds, terms) {
  const line = make("p", "legend");
  for (const [kind, words] of Object.entries(kinds)) {
    const entry = make("span", "entry");
    const sign = make("i", `part ${kind} ${OWN.has(kind) ? "own" : "owed"}`);
    sign.setAttribute("aria-hidden", "true");
    const name = make(terms[kind] ? "a" : "span", "", words);
    if (terms[kind]) Object.assign(name, { href: terms[kind], target: "_blank", rel: "noopener" });
    entry.append(sign, name);
    line.append(entry);
  }
  return line;
}

function draw(data, tell) {
  const choose = (waiter, culprit) => {
    tell("cell", [waiter, culprit]);
    document.querySelector(".st-key-view")?.scrollIntoView({ block: "end" });
  };
  const table = make("table");
  const body = make("tbody");
  for (const row of data.rows) {
    const line = make("tr");
    const name = make("th", "who");
    name.scope = "row";
    name.append(badge(row.id, hueOf));
    const life = make("td", "wide");
    life.append(bar(row, data.longest));
    line.append(name, life, make("td", "number", row.total));
    data.culprits.forEach((id, i) => line.append(cell(row, id, row.cells[i], data, choose)));
    body.append(line);
  }
  table.append(head(data), body, ...(data.culprits.length ? [foot(data)] : []));
  return [table, legend(data.text.kinds, data.terms)];
}

export default function (part) {
  redraw("blocking", part, (tell) => draw(part.data, tell));
}
