// What the parts of the pages are built of. Each part is joined behind the stage's palette and this
// file, and has a `hueOf` of its own where it shows requests.

function make(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function svg(tag, attributes = {}, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

/** A request's id in its colour. */
function badge(id, hueOf) {
  const node = make("span", "badge", id);
  node.style.background = hueOf(id);
  node.style.color = inkOn(hueOf(id));
  return node;
}

/** Let `draw(tell)` give the children of the part's root, only where its data are new: a redraw
 * between press and release would swallow a click. `tell(name, value)` fires a trigger. The button
 * with the keyboard's focus keeps it. */
function redraw(name, { data, parentElement, setTriggerValue }, draw) {
  let root = parentElement.querySelector(`.${name}`);
  if (!root) parentElement.append((root = make("div", name)));
  root.fire = setTriggerValue;
  const what = JSON.stringify(data);
  if (root.drawn === what) return;
  root.drawn = what;
  const at = [...root.querySelectorAll("button")].findIndex((button) => button.matches(":focus"));
  root.replaceChildren(...draw((trigger, value) => root.fire(trigger, value)));
  if (at >= 0) root.querySelectorAll("button")[at]?.focus({ preventScroll: true });
}
