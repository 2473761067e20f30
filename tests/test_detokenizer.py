"""Incremental text equals the text of the whole, leaks no half character and no stop string."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from minillm.detokenizer import REPLACEMENT, Detokenizer, StopStrings

TEXT = "héllo 世界 🎉👩‍👩‍👧 the cat, the end.\n"


def byte_level() -> PreTrainedTokenizerFast:
    """Merges only a few English words: other characters take several tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=290,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["the cat the hat hello"] * 3, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", bos_token="<s>")


def byte_fallback() -> PreTrainedTokenizerFast:
    """Words by ▁, as Llama 2 does; unknown characters become byte tokens."""
    words = ["<unk>", *(f"<0x{b:02X}>" for b in range(256)), "▁", "▁the", "▁cat", "a", "e", "t"]
    vocab = {word: i for i, word in enumerate(words)}
    tokenizer = Tokenizer(models.BPE(vocab, [], unk_token="<unk>", byte_fallback=True))
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


BYTE_LEVEL = byte_level()
BYTE_FALLBACK = byte_fallback()


def stream(detokenizer: Detokenizer, ids: list[int]) -> list[str]:
    return [detokenizer.push([token]).text for token in ids] + [detokenizer.flush()]


@given(st.text(max_size=40))
def test_any_text_round_trips_and_no_half_character_shows(text: str):
    parts = stream(Detokenizer(BYTE_LEVEL, []), BYTE_LEVEL.encode(text))
    assert "".join(parts) == text
    if REPLACEMENT not in text:
        assert not any(REPLACEMENT in part for part in parts)


@given(st.lists(st.integers(2, 289), max_size=30), st.lists(st.integers(2, 289), max_size=4))
def test_random_tokens_give_the_text_of_the_whole(ids: list[int], prompt: list[int]):
    parts = stream(Detokenizer(BYTE_LEVEL, []), ids)
    if len(ids) < 16:  # beyond that, bytes that make no character are given up one by one
        assert "".join(parts) == BYTE_LEVEL.decode(ids)
    stream(Detokenizer(BYTE_LEVEL, prompt), ids)


def test_leading_spaces_survive_between_words_and_bytes_join():
    vocab = BYTE_FALLBACK.get_vocab()
    names = ["▁the", "▁cat", *(f"<0x{b:02X}>" for b in "世界".encode()), "▁the"]
    ids = [vocab[name] for name in names]
    assert "".join(stream(Detokenizer(BYTE_FALLBACK, []), ids)) == "the cat世界 the"
    after_prompt = stream(Detokenizer(BYTE_FALLBACK, [vocab["▁the"]]), ids)
    assert "".join(after_prompt) == " the cat世界 the"


def test_a_broken_tail_shows_only_in_the_end():
    detokenizer = Detokenizer(BYTE_LEVEL, [])
    ids = BYTE_LEVEL.encode("a世")[:-1]
    assert "".join(detokenizer.push([token]).text for token in ids) == "a"
    assert detokenizer.flush() == REPLACEMENT
    assert detokenizer.flush() == ""


def test_endless_broken_bytes_do_not_wait_for_ever():
    broken = BYTE_LEVEL.encode("世")[1]
    detokenizer = Detokenizer(BYTE_LEVEL, [])
    shown = "".join(detokenizer.push([broken]).text for _ in range(100))
    assert shown.count(REPLACEMENT) > 80


def test_special_tokens_are_skipped_or_shown():
    ids = [*BYTE_LEVEL.encode("the"), BYTE_LEVEL.eos_token_id, *BYTE_LEVEL.encode(" cat")]
    assert "".join(stream(Detokenizer(BYTE_LEVEL, []), ids)) == "the cat"
    shown = Detokenizer(BYTE_LEVEL, [], skip_special_tokens=False)
    assert "".join(stream(shown, ids)) == "the</s> cat"


@given(st.integers(1, 5), st.sampled_from(["the end", "世", "👧 t", "cat, the", "\n", "zzz"]))
def test_a_stop_string_never_leaks_however_tokens_arrive(size: int, stop: str):
    ids = BYTE_LEVEL.encode(TEXT)
    detokenizer = Detokenizer(BYTE_LEVEL, [], (stop, "never"))
    text, found = "", None
    for start in range(0, len(ids), size):
        delta = detokenizer.push(ids[start : start + size])
        text += delta.text
        found = found or delta.stop
        assert TEXT.split(stop)[0].startswith(text)
    text += detokenizer.flush()
    assert text == TEXT.split(stop)[0]
    assert found == (stop if stop in TEXT else None)


@given(
    st.text("ab", max_size=30),
    st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=3),
    st.lists(st.integers(0, 30), max_size=6),
)
def test_the_first_stop_string_completed_wins_however_text_is_cut(
    text: str, stops: list[str], cuts: list[int]
):
    ends = [(i, s) for i in range(len(text) + 1) for s in stops if text[:i].endswith(s)]
    bounds = sorted({0, len(text), *(min(c, len(text)) for c in cuts)})
    matcher, shown, found = StopStrings(tuple(stops)), "", None
    for start, end in pairwise(bounds):
        piece, found = matcher.push(text[start:end])
        shown += piece
        if found:
            break
    if not ends:
        assert (shown + matcher.held, found) == (text, None)
    else:
        end = min(ends)[0]
        longest = max((s for i, s in ends if i == end), key=len)
        assert (shown, found) == (text[: end - len(longest)], longest)


def test_min_tokens_lets_an_early_stop_string_pass():
    ids = BYTE_LEVEL.encode("the cat the cat")
    detokenizer = Detokenizer(BYTE_LEVEL, [], ("cat",), min_tokens=2)
    deltas = [detokenizer.push([token]) for token in ids]
    assert "".join(d.text for d in deltas) == "the cat the "
    assert deltas[-1].stop == "cat"


def test_after_a_stop_nothing_more_is_said():
    detokenizer = Detokenizer(BYTE_LEVEL, [], ("cat",))
    assert detokenizer.push(BYTE_LEVEL.encode("the cat")).stop == "cat"
    assert detokenizer.push(BYTE_LEVEL.encode(" the")).text == ""
    assert detokenizer.flush() == ""


def test_without_a_tokenizer_there_is_no_text():
    detokenizer = Detokenizer(None, [1, 2], ("x",))
    assert detokenizer.push([3]).text == ""
    assert detokenizer.flush() == ""


@settings(deadline=None)
@pytest.mark.parametrize("tokenizer", [BYTE_LEVEL], ids=["byte-level"])
@given(st.data())
def test_decoded_tokens_per_push_are_bounded(
    tokenizer: PreTrainedTokenizerFast, data: st.DataObject
):
    """Linear cost: no push decodes more than a fixed number of tokens."""
    sizes: list[int] = []

    class Counting:
        def decode(self, ids: list[int], **options: bool) -> str:
            sizes.append(len(ids))
            return str(tokenizer.decode(ids, skip_special_tokens=True))

    detokenizer = Detokenizer(Counting(), [])
    for token in data.draw(st.lists(st.integers(0, 289), max_size=100)):
        detokenizer.push([token])
    assert max(sizes, default=0) <= 32
