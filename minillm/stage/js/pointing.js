// The pointer: a click on a badge, block, share or lane selects its request; dragging over the
// timeline moves the cursor; pointing at a block says what it is.

import { setText } from "./dom.js";

const DRAG = 3; // CSS px a press may move and still be a click

export function listenToPointer(root, frame, parts, stage) {
  root.addEventListener("click", (event) => {
    const badge = event.target.closest?.("[data-request]");
    if (badge) stage.select(badge.dataset.request);
  });
  frame.batchCanvas.addEventListener("click", (event) => stage.select(parts.batch.at(event.offsetX)));

  frame.blocksCanvas.addEventListener("click", (event) => {
    const block = parts.blocks.at(event.offsetX, event.offsetY);
    const owners = block === null ? [] : stage.ownersOf(block);
    // A shared block gives each of its owners in turn.
    const next = owners[(owners.indexOf(stage.selection()) + 1) % owners.length];
    stage.select(next ?? null, true);
  });
  frame.blocksCanvas.addEventListener("pointermove", (event) => {
    const block = parts.blocks.at(event.offsetX, event.offsetY);
    if (block === null) return hideTip();
    setText(frame.tip, stage.describeBlock(block));
    const bounds = root.getBoundingClientRect();
    const x = event.clientX - bounds.left;
    frame.tip.hidden = false;
    frame.tip.style.transform = `translate(${Math.round(Math.min(x + 14, bounds.width - 260))}px, `
      + `${Math.round(event.clientY - bounds.top - 38)}px)`;
    frame.blocksCanvas.style.cursor = stage.ownersOf(block).length ? "pointer" : "default";
  });
  frame.blocksCanvas.addEventListener("pointerleave", hideTip);
  function hideTip() {
    frame.tip.hidden = true;
  }

  const canvas = frame.timelineCanvas;
  let press = null;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    const hit = parts.timeline.at(event.offsetX, event.offsetY);
    const onCursor = parts.timeline.onCursor(event.offsetX, event.offsetY, stage.time());
    press = { x: event.clientX, y: event.offsetY, hit: onCursor ? null : hit, moved: onCursor || hit === null };
    canvas.setPointerCapture(event.pointerId);
    if (press.moved && !onCursor) stage.seekAlong(parts.timeline.placeAt(event.offsetX, press.y));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!press) {
      const onCursor = parts.timeline.onCursor(event.offsetX, event.offsetY, stage.time());
      const hit = parts.timeline.at(event.offsetX, event.offsetY);
      canvas.style.cursor = onCursor ? "ew-resize" : hit === null ? "col-resize" : "pointer";
      return;
    }
    if (Math.abs(event.clientX - press.x) > DRAG) press.moved = true;
    if (press.moved) stage.seekAlong(parts.timeline.placeAt(event.offsetX, press.y));
  });
  canvas.addEventListener("pointerup", () => {
    if (press && !press.moved) stage.select(press.hit);
    press = null;
  });
  canvas.addEventListener("pointercancel", () => { press = null; });
}

/** Words on one block. */
export function describeBlock(view, index, blockSize, ids, say) {
  const block = String(index); // a name, not a number: no commas
  if (!view.owners[index]) return say(view.cached[index] ? "stage.block_cached" : "stage.block_free", { block });
  const named = ids.slice(0, 3).join(", ");
  const who = ids.length > 3 ? say("stage.and_more", { who: named, n: ids.length - 3 }) : named;
  return say(ids.length > 1 ? "stage.block_shared" : "stage.block_held",
    { block, who, filled: view.filled[index], n: blockSize });
}
