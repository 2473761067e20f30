// Asks for the part of the page around it to be drawn anew, where that is of use: data = {part: key
// of its container, every: ms until the next drawing or null, unseen: whether it is needed where
// nobody sees it, too}. The state `look` counts.

const EDGE = "-8px"; // what ends where the window does is not seen
const views = new WeakMap();

export default function ({ data, parentElement, setStateValue }) {
  let view = views.get(parentElement);
  if (!view) {
    view = { looks: 0, seen: false, timer: 0, due: 0 };
    view.observer = new IntersectionObserver((entries) => {
      view.seen = entries.at(-1).isIntersecting;
      arm(view);
    }, { rootMargin: EDGE });
    view.observer.observe(document.querySelector(`.st-key-${CSS.escape(data.part)}`));
    views.set(parentElement, view);
  }
  Object.assign(view, { data, setStateValue, due: performance.now() + (data.every ?? 0) });
  arm(view);
  return () => {
    clearTimeout(view.timer);
    view.observer.disconnect();
    views.delete(parentElement);
  };
}

function arm(view) {
  clearTimeout(view.timer);
  if (view.data.every === null || !(view.seen || view.data.unseen)) return;
  view.timer = setTimeout(() => {
    view.looks += 1;
    view.setStateValue("look", view.looks);
  }, view.due - performance.now());
}
