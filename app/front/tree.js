// Who shares which blocks: data = {title, roots: [node]}, node = {blocks (number), words, owners:
// [id], cached, children: [node]}. What is left of a run of blocks stands before it in its prompt.

const hueOf = createHues();
const MOST_BADGES = 8;

function make(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function badge(id) {
  const node = make("span", "badge", id);
  node.style.background = hueOf(id);
  node.style.color = inkOn(hueOf(id));
  return node;
}

function branch(node) {
  const row = make("div", "branch");
  const run = make("div", `run ${node.owners.length > 1 ? "shared" : ""} ${node.owners.length ? "" : "cached"}`);
  run.title = node.words;
  run.style.flexBasis = `${Math.min(520, 112 + 9 * node.blocks)}px`;
  run.append(make("span", "size", node.words));
  run.append(...node.owners.slice(0, MOST_BADGES).map(badge));
  if (node.owners.length > MOST_BADGES) run.append(make("span", "", `+${node.owners.length - MOST_BADGES}`));
  const children = make("div", "children");
  children.append(...node.children.map(branch));
  row.append(run, children);
  return row;
}

export default function ({ data, parentElement }) {
  let root = parentElement.querySelector(".tree");
  if (!root) {
    root = make("div", "tree");
    parentElement.append(root);
  }
  root.replaceChildren(make("p", "title", data.title), ...data.roots.map(branch));
}
