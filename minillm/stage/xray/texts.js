// What the X-ray says, beside what the stage says of its controls.

import enKernel from "../../messages/en/kernel.json" with { type: "json" };
import zhKernel from "../../messages/zh/kernel.json" with { type: "json" };
import { createSpeaker } from "../js/messages.js";

export function createXraySpeaker(language) {
  return createSpeaker(language, { en: { kernel: enKernel }, zh: { kernel: zhKernel } });
}
