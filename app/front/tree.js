// Who shares which blocks: data = {title, roots: [node]}, node = {blocks (number), words, owners:
// [id], cached, children: [node]}. What is left of a run of blocks stands before it in its prompt.

const hueOf = createHues();
const MOST_BADGES = 8;

function branch(node) {
  const row = make("div", "branch");
  const run = make("div", `run ${node.owners.length > 1 ? "shared" : ""} ${node.owners.length ? "" : "cached"}`);
  run.title = node.words;
  run.style.flexBasis = `${Math.min(520, 112 + 9 * node.blocks)}px`;
  run.append(make("span", "size", node.words));
  run.append(...node.owners.slice(0, MOST_BADGES).map((id) => badge(id, hueOf)));
  if (node.owners.length > MOST_BADGES) run.append(make("span", "", `+${node.owners.length - MOST_BADGES}`));
  const children = make("div", "children");
  children.append(...node.children.map(branch));
  row.append(run, children);
  return row;
}

export default function (part) {
  const { title, roots } = part.data;
  redraw("tree", part, () => [make("p", "title", title), ...roots.map(branch)]);
}
