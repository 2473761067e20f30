// What the stage tells its host of itself: {step, selection, playing}, where it rests. While it
// plays it tells that it does, once.

const REST = 250; // ms of stillness before a change is told

/** `tell` may be called with every frame; `onState` is called only when there is news. */
export function createReporter(onState) {
  let told = "";
  let timer = 0;
  let playing = false;

  function send(state) {
    const text = JSON.stringify(state);
    if (text === told) return;
    told = text;
    onState(state);
  }

  return {
    tell(state) {
      if (state.playing && playing) return;
      clearTimeout(timer);
      if (state.playing !== playing) {
        playing = state.playing;
        send(state);
      } else {
        timer = setTimeout(() => send(state), REST);
      }
    },
    stop() {
      clearTimeout(timer);
    },
  };
}
