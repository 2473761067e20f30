// The stage's frames: one is asked for where something changed or moves, and none otherwise.

/**
 * `advance(ms)`: let time pass; true when the stage moved. `draw(now)`: draw all; `cross(now)`: go
 * on with what was drawn; both true while something fades. `moving()`: another frame is due.
 * `after(now)`: what follows each frame.
 */
export function createLoop({ advance, draw, cross, moving, after }) {
  let dirty = false;
  let scheduled = 0;
  let previous = 0;

  function invalidate() {
    dirty = true;
    if (!scheduled) scheduled = requestAnimationFrame(tick);
  }

  function tick(now) {
    scheduled = 0;
    const elapsed = previous ? Math.min(100, now - previous) : 16;
    const moved = advance(elapsed);
    const fading = moved || dirty ? draw(now) : cross(now);
    dirty = false;
    if (moving() || fading) {
      previous = now;
      scheduled = requestAnimationFrame(tick);
    } else {
      previous = 0;
    }
    after(now);
  }

  return { invalidate, stop: () => cancelAnimationFrame(scheduled) };
}
