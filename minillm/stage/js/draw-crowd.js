// The whole of a run in a strip, where its lanes do not fit: how many ran (ink) and waited (the
// warning colour, on top) in each pixel's stretch of time. A frame marks what the lanes show.

import { mix } from "./palette.js";
import { crowdBins } from "./timeline.js";
import { font } from "./paint.js";
import { count } from "./messages.js";

/** Draw into [left, right] × [top, top + tall] of `ink`; `place(ns)` is a part of the axis. */
export function drawCrowd(ink, look, timeline, { left, right, top, tall, ratio, place }) {
  const columns = Math.max(1, Math.round((right - left) * ratio));
  const { running, waiting } = crowdBins(timeline.crowd, columns, place);
  let most = 1;
  for (let i = 0; i < columns; i++) most = Math.max(most, running[i] + waiting[i]);
  const { theme } = look;
  const wide = 1 / ratio;
  const bottom = top + tall;
  for (const [colour, counts, below] of [[mix(theme.quiet, theme.paper, 0.6), running, null],
    [theme.warn, waiting, running]]) {
    ink.fillStyle = colour;
    for (let i = 0; i < columns; i++) {
      if (!counts[i]) continue;
      const base = below ? (below[i] / most) * tall : 0;
      const height = Math.max(below ? 1 : 0, (counts[i] / most) * tall);
      ink.fillRect(left + i * wide, bottom - base - height, wide, height);
    }
  }
  ink.fillStyle = theme.line;
  ink.fillRect(left, bottom, right - left, 1);
  ink.font = font(look, 400, 14);
  ink.fillStyle = theme.quiet;
  ink.textAlign = "right";
  ink.textBaseline = "top";
  ink.fillText(count(most), left - 6, top);
}
