"""One visitor's page: what is chosen, what is shown, and what changes it. What starts engines is
in `backstage.running`, what opens recordings in `backstage.opening`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import Any, Literal

import streamlit as st

from backstage import link
from backstage.choice import Choice, in_scene
from backstage.link import Look
from backstage.own import OWN, defaults
from backstage.runs import Runs
from backstage.shared import desk
from backstage.shown import Shown, from_bundle
from backstage.speech import of_browser, say, speak
from minillm.recordings import names

MOST_REJECTIONS = 3  # told at once
_CHOSEN = tuple(field.name for field in fields(Choice))
_KEPT = (*_CHOSEN, *OWN)


class Session:
    """Lives in `st.session_state`, and so do the values of its widgets, under `key(name)` for each
    field of `Choice` and each page's own parameter."""

    def __init__(self) -> None:
        asked = link.read(st.query_params.to_dict(), of_browser())
        self.look = asked.look
        if asked.look.lang is not None:
            speak(asked.look.lang)
        self.order = 0  # how often the stage was told where to stand
        self._edition = 0
        self._values: dict[str, Any] = {}  # of the widgets, as they were last
        self._page: str | None = None
        self.put(asked.choice, asked.own)
        self.shown: Shown = self._recording_of(asked.choice)
        self.problems: list[str] = asked.problems
        self.runs = Runs()
        self.wants_runs: bool | None = None
        self.opening: Any = None  # a file that is to be opened, as it was uploaded
        self.prompt_note: tuple[bool, str] | None = None  # (accepted, words)
        self.wants_run: bool | None = None
        self.waits = False  # in line for an engine

    @classmethod
    def current(cls) -> Session:
        if "session" not in st.session_state:
            st.session_state.session = cls()
        session = st.session_state.session
        for name in _KEPT:
            session._set(name, session._value(name))
        return session

    def key(self, name: str) -> str:
        """The key of the widget that chooses `name`. It changes with each `put`: a tick that the
        browser sent before it heard of that would bring the values of before with it."""
        return f"{name}-{self._edition}"

    @property
    def choice(self) -> Choice:
        return Choice(**{name: self._value(name) for name in _CHOSEN})

    @property
    def own(self) -> dict[str, Any]:
        """What is chosen on single pages; see `backstage.own`."""
        return {name: self._value(name) for name in OWN}

    def put(self, choice: Choice, own: dict[str, Any] | None = None) -> None:
        """Set the widgets; only before they are drawn, or in a callback."""
        kept = self.own if own is None else own
        self._edition += 1
        self._scene = choice.scene
        for name in _CHOSEN:
            self._set(name, getattr(choice, name))
        for name, value in kept.items():
            self._set(name, value)

    def choose(self, name: str, value: Any) -> None:
        """Set one of `own` elsewhere than in its widget; only in a callback."""
        self.put(self.choice, {**self.own, name: value})

    def _set(self, name: str, value: Any) -> None:
        self._values[name] = st.session_state[self.key(name)] = value

    def _value(self, name: str) -> Any:
        """What the widget says. Streamlit forgets that where a run of the script does not draw it:
        on another page, or when it was broken off."""
        return st.session_state.get(self.key(name), self._values[name])

    def link(self) -> dict[str, str]:
        """The parameters of the address that shows what is seen now; none on the plain page."""
        plain = (self.choice, self.look, self.own) == (Choice(), Look(), defaults())
        return {} if plain else link.write(self.choice, self.look, self.own)

    def write_link(self) -> None:
        """Let the address say what is seen, once it differs from the plain page."""
        now = st.query_params.to_dict()
        query = link.write(self.choice, self.look, self.own)
        if now != query and (now or self.link()):
            st.query_params.from_dict(query)

    def turn_to(self, page: str) -> None:
        """Another page. A moment of the Compare page is one of other runs, and of no other page;
        its runs are made while it is looked at."""
        if self._page not in (None, page) and "compare" in (self._page, page):
            self.look_at(None, None)
            self.wants_runs = None
        self._page = page

    def show(self, shown: Shown) -> None:
        """Put something else on the stage, from its beginning."""
        self.shown = shown
        self.look_at(None, None)

    def look_at(self, step: int | None, select: str | None) -> None:
        """Let the stage stand at `step`, with a request picked out, wherever it was led."""
        self.look = replace(self.look, step=step, select=select)
        self.order += 1

    def saw(self, state: dict[str, Any]) -> None:
        """The stage reports where it stands: no moment while it plays. A report that crossed with
        an order is dropped."""
        if state["order"] >= self.order:
            step = None if state["playing"] else state["step"]
            self.look = replace(self.look, step=step, select=state["selection"])

    def spoken(self, code: str) -> None:
        """The visitor has chosen a language."""
        plain = code == of_browser()
        self.look = replace(self.look, lang=None if plain else code)

    # ---- what the buttons do (callbacks) -------------------------------------------------------

    def scene_changed(self) -> None:
        """Another scene: its scheduler, its recording. A live run of the scene before ends."""
        choice = self.choice
        if choice.scene == self._scene:  # a widget new to the browser reports its first value too
            return
        scene = choice.the_scene
        start = {"scheduler": scene.scheduler, "memory": scene.memory}
        self.put(replace(choice, **start, requests=None, title=None))
        self.problems, self.prompt_note = [], None
        desk().reset()
        self.show(self._recording_of(self.choice))

    def way_changed(self) -> None:
        """A live run stays on the stage until the next begins."""
        if self.shown.run is None:
            self.show(self._recording_of(self.choice))

    def ask_to_run(self, scheduler: str | None = None, memory: str | None = None) -> None:
        """Start a live run in this run of the script (not here, so that a spinner can show), with
        another scheduler and memory if they are given."""
        if scheduler is not None and memory is not None:
            self.put(replace(self.choice, scheduler=scheduler, memory=memory))
        self.wants_run = True
        self.waits = False

    def ask_for_runs(self) -> None:
        """Make the runs that the Compare page lacks, in this run of the script."""
        self.wants_runs = True

    @contextmanager
    def fulfilling(self, wish: Literal["wants_run", "wants_runs", "opening"]) -> Iterator[None]:
        """The wish stands until the block ends. Streamlit may break a run of the script off in its
        midst, with an exception that is no Exception: then the next run has to begin again."""
        try:
            yield
        except Exception:
            setattr(self, wish, None)
            raise
        setattr(self, wish, None)

    def reset(self) -> None:
        """End the live run and return to the scene as it was given."""
        desk().reset()
        self.problems, self.prompt_note = [], None
        self.put(in_scene(self.choice.scene))
        self.show(self._recording_of(self.choice))

    # ---- in the run of the script --------------------------------------------------------------

    def notes(self) -> list[str]:
        """What went wrong or needs to be known, for the place above the stage."""
        run = self.shown.run
        if run is None:
            return self.problems
        stopped = [say("live.stopped", problem=run.problem)] if run.problem else []
        if not run.alive and not run.problem:
            stopped = [say("live.lost")]
        rejected = [
            say("live.rejected", message=message) for message in run.rejections[:MOST_REJECTIONS]
        ]
        return [*self.problems, *stopped, *rejected]

    def recording(self) -> Shown:
        """The bundled recording of what is chosen now."""
        return self._recording_of(self.choice)

    def _recording_of(self, choice: Choice) -> Shown:
        """The bundled recording of what is chosen, or the nearest there is."""
        there = names()
        scene = choice.the_scene
        for way in ((choice.scheduler, choice.memory), scene.ways[0]):
            name = scene.recording(*way)
            if name in there:
                return from_bundle(name)
        return from_bundle("long-prompt-vllm")
