// What the stage tells its host of itself: {step, selection, playing}, where it rests. While it
// plays it tells that it does: once, or as often as the host wants to hear.

const REST = 250; // ms of stillness before a change is told

/** `tell` may be called with every frame; `onState` is called only when there is news. `every()`:
 * ms between two tellings while playing, 0 for one only. */
export function createReporter(onState, every = () => 0) {
  let told = "";
  let toldAt = 0;
  let timer = 0;
  let playing = false;

  function send(state) {
    const text = JSON.stringify(state);
    if (text === told) return;
    told = text;
    toldAt = performance.now();
    onState(state);
  }

  return {
    tell(state) {
      if (state.playing && playing) {
        if (every() && performance.now() - toldAt >= every()) send(state);
        return;
      }
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
