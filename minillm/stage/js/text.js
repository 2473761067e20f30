// Text that a model or a user wrote is hostile until shown otherwise: it reaches the page through
// textContent alone, what does not print is drawn as a picture of itself, and what would turn the
// direction of its surroundings is named instead of obeyed.

const BIDI = {
  "\u061c": "ALM", "\u200e": "LRM", "\u200f": "RLM", "\u202a": "LRE", "\u202b": "RLE",
  "\u202c": "PDF", "\u202d": "LRO", "\u202e": "RLO", "\u2066": "LRI", "\u2067": "RLI",
  "\u2068": "FSI", "\u2069": "PDI",
};

const ODD = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

export function visible(text) {
  return text.replace(ODD, (c) => {
    const code = c.charCodeAt(0);
    if (c === "\n") return "↵ ";
    if (c === "\t") return "⇥ ";
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    if (code === 0x7f) return "␡";
    if (BIDI[c]) return `‹${BIDI[c]}›`;
    return "�";
  });
}

/** The end of `text`, at most `most` characters, led by an ellipsis where it was cut. */
export function tail(text, most) {
  if (text.length <= most) return text;
  const cut = text.slice(text.length - most);
  const space = cut.indexOf(" ");
  return "…" + (space >= 0 && space < 14 ? cut.slice(space + 1) : cut.replace(/^[\udc00-\udfff]/, ""));
}

/** How wide `text` is, in Latin characters: Chinese, Japanese and Korean ones are two. */
export function columns(text) {
  return text.length + (text.match(/[\u2e80-\uffef]/g)?.length ?? 0);
}
