import assert from "node:assert/strict";
import { test } from "node:test";

import { notesAt } from "../../minillm/stage/js/notes.js";

const NOTES = [{ note: 4, text: "a" }, { note: 4, text: "b" }, { note: 10, text: "c" },
  { note: 100, text: "x".repeat(400) }];
const textsAt = (n) => notesAt(NOTES, n).map(({ text }) => text);

test("a note is shown from its step on, until the next is due", () => {
  assert.deepEqual(textsAt(3), []);
  assert.deepEqual(textsAt(4), ["a", "b"]);
  assert.deepEqual(textsAt(9), ["a", "b"]);
  assert.deepEqual(textsAt(10), ["c"]);
});

test("and no longer than it takes to read", () => {
  assert.deepEqual(textsAt(34), ["c"]);
  assert.deepEqual(textsAt(35), []);
  assert.equal(textsAt(300).length, 1);
  assert.deepEqual(textsAt(301), []);
});
