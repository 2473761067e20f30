// Small helpers to keep the DOM still: nodes are made once and touched only where they change.

export function el(tag, className = "", attributes = {}) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  for (const name in attributes) node.setAttribute(name, attributes[name]);
  return node;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setShown(node, shown) {
  if (node.hidden === shown) node.hidden = !shown;
}

export function toggle(node, className, on) {
  if (node.classList.contains(className) !== on) node.classList.toggle(className, on);
}

/** Make `container` show `items` in order; a key keeps its node for as long as it is shown. */
export function keyed(container, items, keyOf, create, update) {
  const nodes = (container.keyedNodes ??= new Map());
  const wanted = new Set();
  let previous = null;
  for (const item of items) {
    const key = keyOf(item);
    wanted.add(key);
    let node = nodes.get(key);
    if (!node) {
      node = create(item);
      nodes.set(key, node);
    }
    const place = previous ? previous.nextSibling : container.firstChild;
    if (node !== place) container.insertBefore(node, place);
    update(node, item);
    previous = node;
  }
  for (const [key, node] of nodes) {
    if (!wanted.has(key)) {
      node.remove();
      nodes.delete(key);
    }
  }
}

/** A request's badge: a real button, which selects it. */
export function createBadge() {
  return el("button", "ms-badge", { type: "button", tabindex: "-1" });
}

export function setBadge(node, id, look, say) {
  if (node.dataset.request === id) return;
  node.dataset.request = id;
  node.textContent = id;
  node.setAttribute("aria-label", say("stage.request", { id }));
  paintHue(node, id, look);
}

export function paintHue(node, id, look) {
  const hue = look.hue(id);
  node.style.setProperty("--hue", hue);
  node.style.setProperty("--on-hue", look.inkOn(hue));
}

/** Remember the sizes of canvases (CSS px), so that a frame need not ask for layout. */
export function measure(canvases) {
  for (const canvas of canvases) canvas.box = { width: canvas.clientWidth, height: canvas.clientHeight };
}

/** Size a canvas to its measured box; true when it changed (and so was cleared). */
export function fitCanvas(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const width = Math.max(1, Math.round(canvas.box.width * ratio));
  const height = Math.max(1, Math.round(canvas.box.height * ratio));
  if (canvas.width === width && canvas.height === height) return false;
  canvas.width = width;
  canvas.height = height;
  return true;
}
