import assert from "node:assert/strict";
import { test } from "node:test";

import { createSpeaker } from "../../minillm/stage/js/messages.js";

const en = createSpeaker("en");
const zh = createSpeaker("zh");

test("a name nobody knows yet is shown as it is", () => {
  assert.equal(zh.entry("stage.reason", "no_kv_blocks"), "KV 块不足");
  assert.equal(zh.entry("stage.reason", "a_reason_of_tomorrow"), "a_reason_of_tomorrow");
});

test("a scene's own words are translated, a visitor's are not", () => {
  const key = "scenes.memory.title";
  assert.equal(zh.translated("Memory runs out", key), "内存耗尽");
  assert.equal(en.translated("Memory runs out", key), "Memory runs out");
  assert.equal(zh.translated("My own title", key), "My own title");
  assert.equal(zh.translated("Memory runs out", "scenes.my-own.title"), "Memory runs out");
  assert.equal(zh.translated(undefined, "scenes.undefined.title"), undefined);
});

test("a value is never read as a template", () => {
  assert.equal(en("stage.request", { id: "{id}<b>" }), "request {id}<b>");
});
