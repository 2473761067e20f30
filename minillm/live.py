"""A run that is watched: an engine in its own thread, with play, pause, step and pace.

The engine thread owns the engine; everybody else talks to it through this class. The thread makes
`Step`s and hands them to the run's recorder; views read the recorder. Pausing and pacing delay
steps, and change no figure: the engine clock moves only while a step runs.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable

from minillm.chat import encode_prompt
from minillm.request import SamplingParams
from minillm.trace.recorder import Recorder
from minillm.workload.driver import WorkloadDriver
from minillm.workload.spec import Message

log = logging.getLogger(__name__)

FULL_SPEED = 0.0
MIN_PACE = 0.01  # steps per second


class LiveRun:
    """Starts paused. `pace` is steps per second, FULL_SPEED for no delay. Thread-safe."""

    def __init__(
        self, driver: WorkloadDriver, recorder: Recorder, *, pace: float = FULL_SPEED
    ) -> None:
        self.recorder = recorder
        self._driver = driver
        self._commands: deque[Callable[[], None]] = deque()
        self._gate = threading.Condition()
        self._playing = False
        self._steps_asked = 0
        self._stepping = False
        self._pace = pace
        self._closed = False
        self._problem: str | None = None
        self._cpu_seconds = 0.0
        driver.engine.hooks.on("step", recorder.on_step)
        self._thread = threading.Thread(target=self._run, name="minillm-engine", daemon=True)
        self._thread.start()

    # ---- from any thread ---------------------------------------------------------------------

    def play(self) -> None:
        with self._gate:
            self._playing = True
            self._gate.notify()

    def pause(self) -> None:
        """The step in progress ends; none begins after it, until `play` or `step`."""
        with self._gate:
            self._playing = False
            self._steps_asked = 0

    def step(self) -> None:
        """Run exactly one engine step, then stay paused."""
        with self._gate:
            self._playing = False
            self._steps_asked += 1
            self._gate.notify()

    def set_pace(self, steps_per_second: float) -> None:
        """FULL_SPEED (0), or steps per second from MIN_PACE up."""
        if steps_per_second != FULL_SPEED and not MIN_PACE <= steps_per_second < math.inf:
            raise ValueError(
                f"pace must be 0 (full speed) or at least {MIN_PACE} steps per second, got "
                f"{steps_per_second}"
            )
        with self._gate:
            self._pace = steps_per_second
            self._gate.notify()

    def submit(
        self, prompt: str | list[Message], sampling: SamplingParams, *, client: str | None = None
    ) -> None:
        """Add a request at the engine time of its arrival; it waits for its turn like any other.
        Raises ValueError for what cannot be tokenised, RequestRejected for what cannot fit,
        RuntimeError when the run is over."""
        if not self.alive or self._closed:
            raise RuntimeError(self._problem or "this run is closed: start a new one")
        engine = self._driver.engine
        text, token_ids = encode_prompt(prompt, engine.tokenizer, template_optional=True)
        engine.check_fits(len(token_ids), sampling)

        def add() -> None:
            engine.add_request(token_ids, sampling, prompt=text, client=client)

        with self._gate:
            self._commands.append(add)
            self._gate.notify()

    @property
    def playing(self) -> bool:
        return self._playing

    @property
    def stepping(self) -> bool:
        """A step is in progress, or will be though the run is paused. Once this is False and the
        run is not playing, all that it did is recorded."""
        return self.alive and (self._stepping or self._steps_asked > 0)

    @property
    def pace(self) -> float:
        return self._pace

    @property
    def idle(self) -> bool:
        """The workload has been served; the engine waits for prompts."""
        return self._driver.finished and not self._commands

    @property
    def problem(self) -> str | None:
        """What stopped the engine, if something did."""
        return self._problem

    @property
    def cpu_seconds(self) -> float:
        """CPU time of the engine thread, up to the end of its last step."""
        return self._cpu_seconds

    @property
    def rejections(self) -> list[str]:
        """Requests of the workload that were refused at the door, with the reason."""
        return list(self._driver.rejections)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def close(self, timeout: float = 10.0) -> None:
        """Stop the engine thread after its current step and close the recording."""
        with self._gate:
            self._closed = True
            self._gate.notify()
        self._thread.join(timeout)

    # ---- the engine thread -------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while self._wait_for_turn():
                began = time.monotonic()
                self._driver.step()
                self._stepping = False
                self._cpu_seconds = time.thread_time()
                self._rest(began)
        except Exception as error:
            log.exception("the engine stopped")
            self._problem = f"{type(error).__name__}: {error}"
        finally:
            engine = self._driver.engine
            how = "complete" if self._driver.finished else "stopped"
            self.recorder.close(events=engine.pending_events, how=how, time=engine.clock.now)

    def _wait_for_turn(self) -> bool:
        """Block until a step may begin. False when the run is closed."""
        with self._gate:
            while not self._closed:
                while self._commands:
                    self._obey(self._commands[0])
                    self._commands.popleft()  # only now: `idle` looks from another thread
                if not self._driver.finished:
                    if self._playing or self._steps_asked:
                        self._stepping = True
                        self._steps_asked -= not self._playing
                        return True
                else:
                    self._steps_asked = 0
                self._gate.wait()
            return False

    def _obey(self, command: Callable[[], None]) -> None:
        try:
            command()
        except ValueError as refusal:  # a race with the door check: recorded as rejected
            log.warning("request refused: %s", refusal)

    def _rest(self, began: float) -> None:
        """Keep the pace: wait until the next step is due, or something is asked meanwhile."""
        with self._gate:
            while self._pace > 0 and self._playing and not self._closed:
                remaining = began + 1 / self._pace - time.monotonic()
                if remaining <= 0:
                    return
                self._gate.wait(remaining)
