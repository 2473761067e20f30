// A tour of the Live page: a few steps, each beside the part of the page that it explains. It comes
// by itself once, on the first visit, and again from its link.
//
// data = {steps: [{at: selector, title, words}], text: {tour, next, back, skip, done, count}}.

const KEY = "minillm-tour";
const GAP = 12; // CSS px between the card and what it explains
const PATIENCE = 20000; // ms that the first visit waits for the page to be drawn
const LOOK = 250; // ms between two looks at where things are
const mounts = new WeakMap();

function button(className, text, act) {
  const node = make("button", className, text);
  node.type = "button";
  node.addEventListener("click", act);
  return node;
}

/** The first element that matches, also in the shadow of the page's parts. */
function find(selector) {
  const plain = document.querySelector(selector);
  if (plain) return plain;
  for (const host of document.querySelectorAll(".st-key-view *")) {
    const found = host.shadowRoot?.querySelector(selector);
    if (found) return found;
  }
  return null;
}

/** Where a card of `width` × `height` stands beside `box` without covering it; below if it can. */
function beside(box, width, height) {
  const inX = (x) => Math.max(GAP, Math.min(x, innerWidth - width - GAP));
  const inY = (y) => Math.max(GAP, Math.min(y, innerHeight - height - GAP));
  const places = [
    [inX(box.left), box.bottom + GAP], [inX(box.left), box.top - GAP - height],
    [box.right + GAP, inY(box.top)], [box.left - GAP - width, inY(box.top)],
  ];
  const fits = ([x, y]) => x >= 0 && y >= 0 && x + width <= innerWidth && y + height <= innerHeight;
  return places.find(fits) ?? [inX(innerWidth), inY(innerHeight)];
}

/** Whether the tour has been seen; a browser that keeps nothing is not asked again and again. */
function seen() {
  try {
    return localStorage.getItem(KEY) !== null;
  } catch {
    return true;
  }
}

function remember() {
  try {
    localStorage.setItem(KEY, "seen");
  } catch {
    // a browser that keeps nothing
  }
}

class Tour {
  constructor(parent) {
    this.root = make("div", "tour");
    this.link = button("link", "", () => this.start());
    this.frame = make("div", "frame");
    this.card = make("div", "card");
    this.card.tabIndex = -1;
    this.card.dataset.keys = "own";
    this.card.setAttribute("role", "dialog");
    this.frame.popover = "manual"; // the top layer, above everything
    this.card.popover = "manual";
    this.root.append(this.link, this.frame, this.card);
    parent.append(this.root);
    this.at = -1;
    this.timer = 0;
    this.card.addEventListener("keydown", (event) => this.key(event));
    if (!seen()) this.await(performance.now());
  }

  receive(data) {
    this.data = data;
    this.link.textContent = data.text.tour;
    if (this.at >= 0) this.show(this.at);
  }

  /** Start as soon as everything that is explained is there. */
  await(since) {
    this.timer = setTimeout(() => {
      if (this.data?.steps.every(({ at }) => find(at))) this.start();
      else if (performance.now() - since < PATIENCE) this.await(since);
    }, LOOK);
  }

  start() {
    clearTimeout(this.timer);
    remember();
    this.before = document.activeElement;
    this.frame.showPopover();
    this.card.showPopover();
    this.show(0);
    clearInterval(this.watch);
    this.watch = setInterval(() => this.place(), LOOK);
  }

  end() {
    this.at = -1;
    clearInterval(this.watch);
    this.frame.hidePopover();
    this.card.hidePopover();
    this.link.focus({ preventScroll: true });
  }

  show(at) {
    const { steps, text } = this.data;
    if (at >= steps.length) return this.end();
    this.at = Math.max(0, at);
    const { title, words } = steps[this.at];
    const last = this.at === steps.length - 1;
    const row = make("p", "row");
    const count = text.count.replace("{at}", this.at + 1).replace("{n}", steps.length);
    row.append(make("span", "count", count));
    if (!last) row.append(button("plain", text.skip, () => this.end()));
    if (this.at) row.append(button("plain", text.back, () => this.show(this.at - 1)));
    row.append(button("go", last ? text.done : text.next, () => this.show(this.at + 1)));
    this.card.setAttribute("aria-label", `${text.tour}: ${title}`);
    this.card.replaceChildren(make("h2", "", title), make("p", "", words), row);
    this.place();
    this.card.focus({ preventScroll: true });
  }

  place() {
    if (this.at < 0) return;
    const box = find(this.data.steps[this.at].at)?.getBoundingClientRect();
    this.frame.style.visibility = box ? "visible" : "hidden";
    if (!box) return;
    Object.assign(this.frame.style, { left: `${box.left - 4}px`, top: `${box.top - 4}px`,
      width: `${box.width + 8}px`, height: `${box.height + 8}px` });
    const [x, y] = beside(box, this.card.offsetWidth, this.card.offsetHeight);
    Object.assign(this.card.style, { left: `${x}px`, top: `${y}px` });
  }

  key(event) {
    const onButton = event.composedPath()[0].tagName === "BUTTON";
    if (event.key === "Escape") this.end();
    else if (event.key === "ArrowRight" || (event.key === "Enter" && !onButton)) this.show(this.at + 1);
    else if (event.key === "ArrowLeft") this.show(this.at - 1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

export default function ({ data, parentElement }) {
  let tour = mounts.get(parentElement);
  if (!tour) mounts.set(parentElement, (tour = new Tour(parentElement)));
  tour.receive(data);
  return () => {
    clearTimeout(tour.timer);
    clearInterval(tour.watch);
    tour.root.remove();
    mounts.delete(parentElement);
  };
}
