// Memory as one bar: data = {title, limit (bytes), parts: [[kind, bytes, words]]}. What goes beyond
// the limit sticks out of it.

function draw(data) {
  const whole = Math.max(data.limit, data.parts.reduce((sum, [, bytes]) => sum + bytes, 0));
  const track = make("div", "track");
  const legend = make("p", "legend");
  for (const [kind, bytes, words] of data.parts) {
    const node = make("div", `part ${kind}`);
    node.style.width = `${(bytes / whole) * 100}%`;
    node.title = words;
    track.append(node);
    const entry = make("span", "entry");
    const sign = make("i", `part ${kind}`);
    sign.setAttribute("aria-hidden", "true");
    entry.append(sign, make("span", "", words));
    legend.append(entry);
  }
  const limit = make("div", "limit");
  limit.style.left = `${(data.limit / whole) * 100}%`;
  track.append(limit);
  return [make("p", "title", data.title), track, legend];
}

export default function (part) {
  redraw("bar", part, () => draw(part.data));
}
