// The sentence that leads the stage, and the same, with the state of the step, for who listens.

import { createBadge, el, setBadge, setText, toggle } from "./dom.js";
import { plain } from "./narration.js";

export function createSentence(frame, look, say, widthOf) {
  const { narration, sentence: line, spoken } = frame;

  /** The state of the step, for who listens instead of looking. */
  function aloud(words, { state, view, waiting, slots }) {
    if (state.n < 0) return words;
    return say("stage.aloud", { step: state.n, words, running: slots.length, waiting: waiting.length,
      held: view.held, all: view.owner.length });
  }

  /** Show the narration's parts in nodes that stay; `room`: CSS px for a line of them. */
  function draw(scene, { room, isPlaying }) {
    const parts = scene.narration;
    parts.forEach((part, i) => {
      const wantsBadge = part.id !== undefined;
      let node = line.childNodes[i];
      if (!node || node.classList.contains("ms-badge") !== wantsBadge) {
        const made = wantsBadge ? createBadge() : el("span");
        if (node) node.replaceWith(made);
        else line.append(made);
        node = made;
      }
      if (wantsBadge) setBadge(node, part.id, look, say);
      else setText(node, part.text);
    });
    while (line.childNodes.length > parts.length) line.lastChild.remove();
    const words = plain(parts);
    toggle(narration, "ms-long", widthOf(words, 21) > room);
    if (!isPlaying) setText(spoken, aloud(words, scene));
  }

  /** In place of it: words about the stage itself, until the first frame. */
  function tell(words) {
    const node = el("span");
    node.textContent = words;
    line.replaceChildren(node);
    setText(spoken, words);
  }

  return { draw, tell };
}
