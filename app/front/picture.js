// Saves a chart of the page as it is seen, as SVG or PNG. The chart is an SVG already, so no server
// draws it again: data = {chart: key of its container, name: of the file, text: {save, svg, png}}.

const SHARP = 2; // pixels per px
const NAMESPACE = "http://www.w3.org/2000/svg";

function picture(chart) {
  const seen = document.querySelector(`.st-key-chart-${CSS.escape(chart)} svg.marks`);
  if (!seen) return null;
  const { width, height } = seen.getBoundingClientRect();
  const copy = seen.cloneNode(true);
  copy.setAttribute("xmlns", NAMESPACE);
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  const paper = document.createElementNS(NAMESPACE, "rect");
  paper.setAttribute("width", "100%");
  paper.setAttribute("height", "100%");
  paper.setAttribute("fill", getComputedStyle(document.querySelector(".stApp")).backgroundColor);
  copy.prepend(paper);
  const text = new XMLSerializer().serializeToString(copy);
  return { width, height, blob: new Blob([text], { type: "image/svg+xml;charset=utf-8" }) };
}

async function pixels({ width, height, blob }) {
  const url = URL.createObjectURL(blob);
  try {
    const image = new Image();
    image.src = url;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(width * SHARP);
    canvas.height = Math.round(height * SHARP);
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((done) => { canvas.toBlob(done, "image/png"); });
  } finally {
    URL.revokeObjectURL(url);
  }
}

async function save(kind, { chart, name }) {
  const drawn = picture(chart);
  if (!drawn) return;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(kind === "png" ? await pixels(drawn) : drawn.blob);
  link.download = `${name}.${kind}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000); // once the browser has begun
}

function draw(data) {
  const buttons = ["svg", "png"].map((kind) => {
    const button = make("button", "", kind.toUpperCase());
    button.type = "button";
    button.setAttribute("aria-label", data.text[kind]);
    button.addEventListener("click", () => save(kind, data));
    return button;
  });
  return [make("span", "", data.text.save), ...buttons];
}

export default function (part) {
  redraw("picture", part, () => draw(part.data));
}
