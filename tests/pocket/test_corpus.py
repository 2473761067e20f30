"""The corpus is seeded, says what was asked for, and never shows what is held out."""

from __future__ import annotations

import random
import re
import statistics
from itertools import islice, pairwise

import pytest

from minillm.pocket import arithmetic, stories
from minillm.pocket.corpus import FULL_MIX, Chat, chats
from minillm.pocket.curriculum import CURRICULUM
from minillm.pocket.facts import RELATIONS, Fact, sample_facts, weave
from minillm.pocket.pairs import pairs_text
from minillm.pocket.recall import recall_cases
from minillm.pocket.stories import LENGTHS, sample_subject, write_story
from minillm.pocket.words import NAMES, estimate_tokens


def _texts(chat: Chat) -> str:
    return " ".join(message["content"] for message in chat.messages)


def test_same_seed_same_chats() -> None:
    first, again, other = (list(islice(chats(s, FULL_MIX), 200)) for s in (1, 1, 2))
    assert first == again
    assert first != other


def _stated_facts(text: str) -> set[Fact]:
    """Read the facts back out of a text, by every statement form there is."""
    found: set[Fact] = set()
    for key, relation in RELATIONS.items():
        for statement in relation.statements:
            pattern = statement.replace(".", r"\.").format(name=r"(\w+)", value=r"([\w ]+)")
            found |= {Fact(name, key, value) for name, value in re.findall(pattern, text)}
    return found


@pytest.mark.parametrize(
    "stage", [stage for stage in CURRICULUM if stage.mix.facts], ids=lambda stage: stage.name
)
def test_no_held_out_fact_is_ever_stated(stage) -> None:
    stated: set[Fact] = set()
    for chat in islice(chats("leak", stage.mix), 400):
        if chat.kind == "facts":
            stated |= _stated_facts(_texts(chat))
    assert len(stated) > 100
    assert not [fact for fact in stated if fact.held_out]


def test_stories_state_no_facts() -> None:
    for chat in islice(chats("stories", FULL_MIX), 1500):
        if chat.kind == "story":
            assert not [fact for fact in _stated_facts(_texts(chat)) if fact.held_out]


def test_held_out_questions_sums_and_subjects_are_never_trained_on() -> None:
    forms = [relation.questions[-1].split("{")[0] for relation in RELATIONS.values()]
    sums = re.compile(r"(\d+) ([-+x]) (\d+) = ")
    asked = 0
    for chat in islice(chats("forms", FULL_MIX), 3000):
        text = _texts(chat)
        assert "What do I get from" not in text
        assert "I would like a" not in text
        if chat.kind == "facts":
            assert not any(form in text for form in forms)
        for a, op, b in sums.findall(text):
            assert not arithmetic.is_held_out(int(a), op, int(b))
            asked += 1
        for hero, thing in re.findall(r"an? (\w+) (?:and|who finds) an? (\w+)[ .]", text):
            if hero in stories.HEROES and thing in stories.OBJECTS:
                assert not stories.is_held_out(hero, thing)
    assert asked > 100


def test_every_word_of_the_held_out_cases_occurs_in_training() -> None:
    trained = set()
    for chat in islice(chats("words", FULL_MIX), 8000):
        trained |= set(re.findall(r"\w+", _texts(chat)))
    cases = recall_cases("words", 300, 8, 200, held_out_template=True)
    needed = {word for case in cases for word in re.findall(r"[A-Za-z]+", _texts(case))}
    assert needed <= trained


def test_recall_cases_ask_about_held_out_facts_and_state_the_answer_once() -> None:
    for case in recall_cases("check", 100, 8, 300):
        prompt, answer = case.messages[0]["content"], case.messages[1]["content"]
        held_out = [fact for fact in _stated_facts(prompt) if fact.held_out]
        assert answer in {fact.answer for fact in held_out}
        assert abs(estimate_tokens(prompt) - 300) < 30


@pytest.mark.parametrize("max_gap", [0, 6])
def test_in_pairs_the_value_is_the_one_first_given_after_the_last_name(max_gap: int) -> None:
    rng = random.Random(max_gap)
    names = set(NAMES)
    for _ in range(50):
        given: dict[str, str] = {}
        turns = pairs_text(rng, max_gap)
        assert len(turns) >= 3
        for cue, value in turns:
            words = re.findall(r"\w+", cue)
            positions = [i for i, word in enumerate(words) if word in names]
            for start, stop in pairwise(positions):
                given[words[start]] = words[stop - 1]
            assert value == f" {given[words[positions[-1]]]}"


@pytest.mark.parametrize("count", [1, 2, 16, 64, 120])
def test_facts_are_distinct(count: int) -> None:
    facts = sample_facts(random.Random(count), count)
    assert len({(fact.name, fact.relation) for fact in facts}) == count
    text = weave(random.Random(0), facts, 500)
    assert estimate_tokens(text) >= 495


def test_story_length_follows_the_request() -> None:
    rng = random.Random(0)
    ranges = {"short": (20, 45), "medium": (65, 130), "long": (200, 420)}
    for length in LENGTHS:
        tokens = [
            estimate_tokens(write_story(rng, length, *sample_subject(rng))) for _ in range(300)
        ]
        low, high = ranges[length]
        assert low <= min(tokens)
        assert max(tokens) <= high
        assert statistics.pstdev(tokens) > 2


def test_stories_fill_every_slot_and_keep_to_their_subject() -> None:
    rng = random.Random(5)
    for _ in range(300):
        for length in LENGTHS:
            hero, thing = sample_subject(rng)
            text = write_story(rng, length, hero, thing)
            assert not re.search(r"[\[\]{}|]|  ", text)
            assert hero in text
            assert thing in text
            assert text[-1] in '."'


def test_sums_are_right() -> None:
    rng = random.Random(0)
    for held_out in (False, True, None):
        for _ in range(200):
            question, answer = arithmetic.sum_question(rng, held_out)
            a, op, b, result = re.findall(r"(\d+) ([-+x]) (\d+) = (\d+)\.", answer)[0]
            assert eval(f"{a} {op.replace('x', '*')} {b}") == int(result)
            assert a in question
            assert b in question
