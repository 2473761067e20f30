// What the stage says: minillm's catalogues, by the rules of minillm/messages/__init__.py.

import enNarration from "../../messages/en/narration.json" with { type: "json" };
import enScenes from "../../messages/en/scenes.json" with { type: "json" };
import enStage from "../../messages/en/stage.json" with { type: "json" };
import enWhy from "../../messages/en/why.json" with { type: "json" };
import zhNarration from "../../messages/zh/narration.json" with { type: "json" };
import zhScenes from "../../messages/zh/scenes.json" with { type: "json" };
import zhStage from "../../messages/zh/stage.json" with { type: "json" };
import zhWhy from "../../messages/zh/why.json" with { type: "json" };

const CATALOGUES = {
  en: byKey({ narration: enNarration, scenes: enScenes, stage: enStage, why: enWhy }),
  zh: byKey({ narration: zhNarration, scenes: zhScenes, stage: zhStage, why: zhWhy }),
};
const PLACEHOLDER = /\{(\w+)\}/;

function byKey(files) {
  return new Map(Object.entries(files).flatMap(([file, texts]) => (
    Object.entries(texts).map(([name, text]) => [`${file}.${name}`, text]))));
}

/** A whole number with its commas. */
export function count(n) {
  return String(n).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** `say(key, values)`: the text of `key` with its values put in. `say.parts` gives it as parts,
 * {text} or {id}, and keeps those that are given as a value. `say.entry(group, name)`: the text of
 * `group_name`, or the name as it is where there is none: that of a newer minillm's record.
 * `say.translated(text, key)`: the text of `key` in place of its English; other texts stay.
 * `own`: {language: files} that are spoken beside the stage's. */
export function createSpeaker(language, own = {}) {
  if (!CATALOGUES[language]) throw new RangeError(`unknown language ${language}: use ${Object.keys(CATALOGUES)}`);
  const texts = new Map([...CATALOGUES[language], ...byKey(own[language] ?? {})]);

  function pieces(key, values) {
    const text = texts.get(key);
    if (text === undefined) throw new RangeError(`no text ${key} in ${language}`);
    const template = typeof text === "string" ? text : text[values.n === 1 ? "one" : "other"];
    return template.split(PLACEHOLDER).map((piece, i) => {
      if (i % 2 === 0) return piece;
      if (values[piece] === undefined) throw new RangeError(`${key} needs a value for ${piece}`);
      return values[piece];
    });
  }

  const say = (key, values = {}) => pieces(key, values).map(written).join("");

  say.parts = (key, values = {}) => {
    const parts = [];
    for (const value of pieces(key, values)) {
      for (const part of Array.isArray(value) ? value : [{ text: written(value) }]) {
        const last = parts.at(-1);
        if (part.text !== undefined && last?.text !== undefined) {
          parts[parts.length - 1] = { text: last.text + part.text };
        } else if (part.text !== "") {
          parts.push(part);
        }
      }
    }
    return parts;
  };

  say.entry = (group, name) => (texts.has(`${group}_${name}`) ? say(`${group}_${name}`) : name);
  say.translated = (text, key) => (text && CATALOGUES.en.get(key) === text ? say(key) : text);
  return say;
}

function written(value) {
  return Number.isInteger(value) ? count(value) : String(value);
}
