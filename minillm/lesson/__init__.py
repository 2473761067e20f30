"""What the lessons import. A notebook begins with

    from minillm.lesson import begin

    lesson = begin("01_one_request", language="en")

and then `lesson.predict(…)`, `lesson.check(…)`, `lesson.show(…)`; see `Lesson`. docs/lessons.md
says how a lesson is written.
"""

from minillm.lesson.lesson import Lesson, begin

__all__ = ["Lesson", "begin"]
