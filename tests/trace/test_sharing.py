"""The tree of shared prefixes: it holds every block where the state has it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_runs import record, runs

from minillm.events import Added, Admitted, Alloc, Cached, Finished, Free, Step
from minillm.recordings import bundled
from minillm.trace import Header, Recorder, Trace
from minillm.trace.sharing import Node, Sharing


def _paths(nodes: list[Node], above: tuple[int, ...] = ()) -> list[tuple[tuple[int, ...], Node]]:
    found = []
    for node in nodes:
        path = above + node.blocks
        found += [(path, node), *_paths(node.children, path)]
    return found


def _sound(trace: Trace, n: int) -> Sharing:
    state, tree = trace.state_at(n), trace.sharing(n)
    tables = {s.id: tuple(s.blocks) for s in state.sequences.values() if s.blocks}
    paths = _paths(tree.roots)
    for id, table in tables.items():
        mine = [path for path, node in paths if id in node.owners]
        assert max(mine, key=len) == table
        assert all(table[: len(path)] == path for path in mine)
    drawn = {block for path, _ in paths for block in path}
    assert drawn == state.cached | state.owners.keys()
    for _, node in tree.walk():
        assert node.cached == all(block in state.cached for block in node.blocks)
        assert node.cached or node.owners
        assert 0 <= node.tokens <= len(node.blocks) * trace.header.block_size
        assert not set(node.owners) - tables.keys()
        for child in node.children:
            assert set(child.owners) <= set(node.owners)
    assert tree.saved_blocks == sum(map(len, tables.values())) - len(state.owners)
    return tree


@settings(max_examples=40, deadline=None)
@given(runs, st.data())
def test_every_block_is_where_the_state_has_it(recorder: Recorder, data: st.DataObject) -> None:
    trace = recorder.trace
    if trace.steps:
        _sound(trace, data.draw(st.integers(-1, len(trace.steps) - 1)))


def test_a_common_beginning_is_one_node() -> None:
    header = Header(
        block_size=4, num_blocks=9, max_num_seqs=4, max_num_batched_tokens=16, max_model_len=64
    )
    first = Step(
        index=0, start=0, duration=1, prefills=(("a", 10),), after=(Cached((0, 1)),),
        events=(Added("a", 0, 10, 9), Admitted("a"), Alloc("a", (0, 1, 2))),
    )  # fmt: skip
    second = Step(
        index=1, start=1, duration=1, prefills=(("b", 1), ),
        events=(Added("b", 0, 9, 9), Admitted("b", 8), Alloc("b", (0, 1, 3))),
    )  # fmt: skip
    gone = Step(
        index=2, start=2, duration=1,
        after=tuple(e for id in "ab" for e in (Finished(id, "stop"), Free(id))),
    )  # fmt: skip
    trace = Trace(header, [first, second, gone])
    assert trace.sharing(1) == Sharing(
        [
            Node((0, 1), ("a", "b"), True, 8, [
                Node((2,), ("a",), False, 3), Node((3,), ("b",), False, 1)
            ])
        ],
        saved_blocks=2,
    )  # fmt: skip
    assert trace.sharing(2) == Sharing([Node((0, 1), (), True, 8)], saved_blocks=0)
    assert trace.sharing(-1) == Sharing([], 0)


def test_a_shared_prompt_is_seen() -> None:
    trace = Trace.load(bundled("shared-prompt-vllm"))
    most = max(range(len(trace.steps)), key=lambda n: trace.sharing(n).saved_blocks)
    tree = _sound(trace, most)
    assert tree.saved_blocks > 10
    assert max(len(node.owners) for node in tree.roots) >= 3


def test_without_prefix_caching_nobody_shares() -> None:
    trace = record("vllm", seed=2, enable_prefix_caching=False).trace
    for n in range(len(trace.steps)):
        tree = _sound(trace, n)
        assert tree.saved_blocks == 0
        assert all(not node.cached and len(node.owners) == 1 for _, node in tree.walk())
