"""A class: what followers see, who is counted, and when it ends."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from backstage.lesson import AWAY, Lectern, Lessons
from backstage.shown import from_bundle
from backstage.teaching import address


def test_followers_see_what_the_teacher_sees() -> None:
    lessons = Lessons()
    lectern = Lectern(lessons)
    first = from_bundle("memory-vllm")
    lectern.tell(3, None)  # nobody follows: no matter
    assert lectern.tell_every == 0
    lectern.begin(first, 7, "2")
    lesson = lectern.lesson
    assert lesson is not None
    assert lessons.find(lesson.token) is lesson
    assert (lesson.shown, lesson.moment) == (first, (7, "2"))
    lectern.tell(9, "4")
    lectern.show(first)
    assert lesson.moment == (9, "4")
    other = from_bundle("static-static")
    lectern.show(other)
    assert (lesson.shown, lesson.moment) == (other, (other.start, None))
    assert lectern.tell_every > 0


def test_a_class_ends_once_and_its_link_with_it() -> None:
    lessons = Lessons()
    lectern = Lectern(lessons)
    shown = from_bundle("memory-vllm")
    lectern.begin(shown, None, None)
    first = lectern.lesson
    lectern.begin(shown, None, None)
    second = lectern.lesson
    assert first is not None
    assert second is not None
    assert first.over
    assert first.token != second.token
    assert len(second.token) >= 20
    lectern.close()
    lectern.close()
    assert second.over
    assert lessons.find(second.token) is None
    assert lessons.find("guess") is None


def test_those_who_look_are_counted() -> None:
    now = [0.0]
    lectern = Lectern(Lessons())
    lectern.begin(from_bundle("memory-vllm"), None, None)
    lesson = lectern.lesson
    assert lesson is not None
    lesson.clock = lambda: now[0]
    for who in ("a", "b", "a"):
        lesson.seen_by(who)
    assert lesson.num_followers == 2
    now[0] = AWAY - 1
    lesson.seen_by("b")
    now[0] = AWAY + 1
    assert lesson.num_followers == 1


def test_the_link_is_on_the_pages_own_server() -> None:
    link = urlsplit(address("https://host:8501/blocking?scene=memory", "a-b_c", "zh"))
    assert (link.scheme, link.netloc, link.path) == ("https", "host:8501", "/")
    assert parse_qs(link.query) == {"follow": ["a-b_c"], "lang": ["zh"]}
