// Says what it is asked with the speaker of an X-ray's picture, which is the stage's with more texts. Reads JSON [[language, key, values]] from
// stdin and writes JSON [[plain text, parts]].
import fs from "node:fs";

import { createXraySpeaker } from "../../minillm/stage/xray/texts.js";

const plain = (parts) => parts.map((part) => part.text ?? `[${part.id}]`).join("");
const asked = JSON.parse(fs.readFileSync(0, "utf8"));
console.log(JSON.stringify(asked.map(([language, key, values]) => {
  const say = createXraySpeaker(language);
  const flat = Object.fromEntries(Object.entries(values).map(
    ([name, value]) => [name, Array.isArray(value) ? plain(value) : value]));
  return [say(key, flat), say.parts(key, values)];
})));
