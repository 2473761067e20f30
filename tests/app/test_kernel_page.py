"""The Kernel page: what comes with minillm is there at once, the rest is interpreted."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import Any

import pytest
from backstage import xrays as module
from backstage.shared import kernel_xrays
from backstage.xrays import FIRST, KERNELS, SIZES, Wanted, XRays

from minillm.stage.bundle import bundle
from minillm.xray import Case, XRay, XRayError, bundled_xray
from minillm.xray.case import LAYOUTS
from minillm.xray.cases import CASES
from minillm.xray.file import decode
from minillm.xray.reading import attention, blocks_read

OTHER = Wanted("csr_attention", "prefill", 16)


def drawn(at: Any) -> dict[str, Any]:
    """What the page gave the picture."""
    (element,) = [e for e in at.get("bidi_component") if e.proto.component_name == "minillm_xray"]
    return json.loads(element.proto.json)


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A stand-in for the interpreter, which takes what is bundled; the kernels it was asked for."""
    asked: list[str] = []

    def take(cases: Sequence[Case], *, kernel: str, timeout: float) -> tuple[XRay, ...]:
        asked.append(kernel)
        return tuple(bundled_xray("prefill", case.layout) for case in cases)

    monkeypatch.setattr(module, "xrays", take)
    kernel_xrays.clear()
    yield asked
    kernel_xrays.clear()


@pytest.mark.parametrize("name", CASES)
def test_every_case_is_there_at_once_in_every_layout(name: str) -> None:
    texts = XRays().ready(Wanted(FIRST.kernel, name, FIRST.block_size))
    assert texts is not None
    for layout in LAYOUTS:
        assert decode(str(texts[layout]).encode()) == bundled_xray(name, layout)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", CASES)
def test_every_choice_can_be_interpreted_and_has_an_estimate(kernel: str, name: str) -> None:
    room = XRays()
    for size in SIZES:
        wanted = Wanted(kernel, name, size)
        assert all(case.layout == layout for layout, case in wanted.cases().items())
        assert list(wanted.cases()) == (["NHD"] if kernel == "simple_attention" else [*LAYOUTS])
        assert 4 < room.seconds(wanted) < 120


def test_what_one_visitor_takes_is_there_for_the_others(
    interpreted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    room, inside, go = XRays(), threading.Event(), threading.Event()
    stand_in = module.xrays

    def slow(cases: Sequence[Case], **options: Any) -> tuple[XRay, ...]:
        inside.set()
        assert go.wait(20)
        return stand_in(cases, **options)

    monkeypatch.setattr(module, "xrays", slow)
    visitors = [threading.Thread(target=room.take, args=(OTHER,)) for _ in range(3)]
    for visitor in visitors:
        visitor.start()
    assert inside.wait(20)
    assert room.busy
    assert room.ready(OTHER) is None
    go.set()
    for visitor in visitors:
        visitor.join(20)
    assert interpreted == ["csr_attention"]
    assert not room.busy
    assert room.ready(OTHER) is not None


def test_the_simple_kernel_reads_one_layout(interpreted: list[str]) -> None:
    room, simple = XRays(), Wanted("simple_attention", "prefill", 4)
    room.take(simple)
    texts = room.ready(simple)
    assert texts is not None
    assert {layout: text is not None for layout, text in texts.items()} == {
        "NHD": True,
        "HND": False,
        "packed": False,
    }


@pytest.mark.skipif(find_spec("triton") is None, reason="triton exists for Linux only")
def test_a_kernel_is_really_interpreted() -> None:
    room = XRays()
    room.take(OTHER)
    texts = room.ready(OTHER)
    assert texts is not None
    for layout in LAYOUTS:
        seen = decode(str(texts[layout]).encode())
        assert seen.kernel == "minillm.xray.csr:csr_attention"
        read = [blocks_read(seen, program) for program in attention(seen).programs]
        table = seen.case.block_tables[0]
        assert {blocks for blocks in read if blocks} == {table[:1], table}


def test_the_page_opens_with_what_is_bundled(page: Callable[..., Any], interpreted: list[str]):
    at = page("kernel")
    data = drawn(at)
    assert data["id"] == "paged_attention-mixed-4"
    assert data["layout"] == "NHD"
    assert set(data["xrays"]) == set(LAYOUTS)
    assert interpreted == []


def test_a_link_takes_parts_away(page: Callable[..., Any], interpreted: list[str]) -> None:
    whole, bare = page("kernel"), page("kernel", hide="nav,bar,question,controls")
    assert len(whole.selectbox) == 4
    assert not bare.selectbox
    assert not [text for text in bare.markdown if "Which program" in text.value]
    assert drawn(bare)["options"]["bare"]
    assert drawn(bare)["height"] > drawn(whole)["height"] + 100
    presenting = drawn(page("kernel", present="on"))["options"]
    assert presenting["present"]
    assert presenting["wholePage"]


def test_a_choice_is_in_the_link_and_interpreted_once(
    page: Callable[..., Any], interpreted: list[str]
) -> None:
    at = page("kernel")
    at.selectbox(key=next(b.key for b in at.selectbox if b.label == "Kernel")).select(
        "csr_attention"
    ).run()
    assert drawn(at)["id"] == "csr_attention-mixed-4"
    assert at.query_params["kernel"] == "csr_attention"
    assert interpreted == ["csr_attention"]
    again = page("kernel", kernel="csr_attention", layout="HND", lang="zh")
    assert drawn(again)["id"] == "csr_attention-mixed-4"
    assert drawn(again)["layout"] == "HND"
    assert drawn(again)["options"] == {"language": "zh"}
    assert interpreted == ["csr_attention"]


def test_a_place_in_the_link_is_handed_on_and_nonsense_is_told(
    page: Callable[..., Any], interpreted: list[str]
) -> None:
    assert drawn(page("kernel", load="0,1:12"))["place"] == "0,1:12"
    at = page("live", load="12")
    assert "such as 0,1:12" in at.error[0].value.replace("\\", "")


@pytest.mark.parametrize("triton", [True, False])
def test_a_failure_is_told_and_the_picture_before_stays(
    page: Callable[..., Any],
    interpreted: list[str],
    monkeypatch: pytest.MonkeyPatch,
    triton: bool,
) -> None:
    tries: list[str] = []

    def fail(cases: Sequence[Case], *, kernel: str, timeout: float) -> tuple[XRay, ...]:
        tries.append(kernel)
        raise XRayError("no *such* luck")

    monkeypatch.setattr(module, "xrays", fail)
    if not triton:
        found = find_spec
        monkeypatch.setattr(
            "importlib.util.find_spec", lambda name: None if name == "triton" else found(name)
        )
    at = page("kernel", case="shared", kernel_block="8")
    (error,) = at.error
    assert (r"no \*such\* luck" if triton else "exists for Linux only") in error.value
    assert drawn(at)["id"] == "paged_attention-mixed-4"
    at.run()
    assert len(at.error) == 1
    assert tries == ["paged_attention"], "it is not tried again by itself"


def test_the_picture_is_one_module() -> None:
    assert bundle("xray").rstrip().endswith("export default mountXray;")
