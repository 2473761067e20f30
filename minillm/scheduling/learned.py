"""Length predictors that learn from answers: by bucket as S3 does, by regression as SSJF does.

Both are linear models over the words of the prompt, its length and the client, small enough to be
asked at every arrival. What they learn from is any record of served requests:

    predictor = LengthRegressor().fit(trace.requests)
    Scheduler(order=ShortestPredicted(predictor))

scikit-learn is imported when the first model is fitted, which takes about a second.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import accumulate
from math import ceil, exp, inf, log
from typing import Any, Self

from minillm.request import FinishReason, Request
from minillm.scheduling.books import Books
from minillm.scheduling.features import Answer, Features, Record, answer_of, request_features

_ANYWAY = 10  # times `refit_after` answers, and the model is refitted even if none outgrew it


class Lengths:
    """Known lengths of answers, asked for the mean of those beyond a length."""

    def __init__(self, lengths: Iterable[float]) -> None:
        self._ranked = sorted(lengths)
        self._sums = [0.0, *accumulate(self._ranked)]  # of the first i

    @property
    def shortest(self) -> float:
        return self._ranked[0]

    @property
    def longest(self) -> float:
        return self._ranked[-1]

    def mean_beyond(self, length: float) -> float:
        """Of those longer than `length`; infinite when there is none."""
        first, count = bisect_right(self._ranked, length), len(self._ranked)
        if first == count:
            return inf
        mean = (self._sums[-1] - self._sums[first]) / (count - first)
        return max(mean, self._ranked[first])  # rounding must not bring it back to `length`


def whole_lengths(answers: Iterable[Answer]) -> list[float]:
    """How long each answer would have been: one that was cut off as long as those that were longer
    and not cut, on average; where there is none, as long as it is."""
    answers = list(answers)
    known = Lengths(answer.num_tokens for answer in answers if not answer.cut)

    def whole(answer: Answer) -> float:
        beyond = known.mean_beyond(answer.num_tokens) if answer.cut else inf
        return answer.num_tokens if beyond == inf else beyond

    return [whole(answer) for answer in answers]


class Learned(Books, ABC):
    """What both predictors share: history, overflow, refitting.

    A prediction is made when the request arrives and kept until it leaves, so that a refit
    reorders nobody who waits already; only the first fit does. Where an answer has outgrown its
    prediction, that is raised, in stages, until it is longer than what is written. So it depends
    on the model, the request and its num_output_tokens, and on nothing else. It is never above
    max_tokens, and it is max_tokens before anything was learned and beyond the longest answer
    known.

    It learns as it goes, if it is told who arrives and leaves (`ShortestPredicted` tells it): of
    the answers, known and new, the last `window` are kept, and it is refitted on them when
    `refit_after` new ones have outgrown their predictions, or after ten times as many in all. The
    first time, if it was never fitted, `refit_after` new answers are enough. Aborted and failed
    requests teach nothing. One that max_tokens cut off would have been longer: it counts as the
    mean of those that were longer than it.

    Like its scheduler it serves one engine. A prediction takes about 0.2 ms, once per request. A
    refit on 1,000 answers to prompts of twenty words takes about 20 ms for the regressor and 0.1 s
    for the classifier, between two steps.
    """

    def __init__(self, *, refit_after: int = 50, window: int = 1000) -> None:
        if refit_after < 1 or window < refit_after:
            raise ValueError(
                f"refit_after must be at least 1 and window no smaller than it, got "
                f"refit_after={refit_after} and window={window} answers"
            )
        self.refit_after = refit_after
        self._answers: deque[Answer] = deque(maxlen=window)
        self._arrived: dict[str, tuple[Features, float]] = {}  # with the first prediction
        self._new = self._outgrown = 0  # answers since the last fit; those longer than predicted
        self._fitted = False

    def fit(self, records: Iterable[Record]) -> Self:
        """Learn from served requests, for example `trace.requests`; what was known before is
        forgotten. Raises ValueError when none of them was answered to its end."""
        answers = [answer for answer in map(answer_of, records) if answer is not None]
        if not answers:
            raise ValueError(
                "no finished answer to learn from: none of the records has finish_reason 'stop' "
                "or 'length'"
            )
        self._answers.clear()
        self._answers.extend(answers)
        self._refit()
        return self

    def predict(self, request: Request) -> float:
        """Output tokens that `request` will have in all, more than it has now."""
        arrived = self._arrived.get(request.request_id)
        length = self._first(request_features(request)) if arrived is None else arrived[1]
        while length <= request.num_output_tokens:
            length = self._longer(length)
        return min(length, request.max_tokens)

    def added(self, request: Request) -> None:
        seen = request_features(request)
        self._arrived[request.request_id] = seen, self._first(seen)

    def finished(self, request: Request) -> None:
        arrived = self._arrived.pop(request.request_id, None)
        reason = request.finish_reason
        if arrived is None or reason not in (FinishReason.STOP, FinishReason.LENGTH):
            return
        seen, predicted = arrived
        length = request.num_output_tokens
        self._answers.append(Answer(seen, length, cut=reason is FinishReason.LENGTH))
        self._new += 1
        self._outgrown += length > predicted
        patience = self.refit_after * (_ANYWAY if self._fitted else 1)
        if self._outgrown >= self.refit_after or self._new >= patience:
            self._refit()

    def _refit(self) -> None:
        self._learn([answer.features for answer in self._answers], whole_lengths(self._answers))
        self._new = self._outgrown = 0
        if not self._fitted:  # who came before had no prediction at all
            self._fitted = True
            for name, (seen, _) in self._arrived.items():
                self._arrived[name] = seen, self._estimate(seen)

    def _first(self, seen: Features) -> float:
        """The prediction for a request of which nothing is written; infinite before the first
        fit."""
        return self._estimate(seen) if self._fitted else inf

    @abstractmethod
    def _learn(self, seen: Sequence[Features], lengths: Sequence[float]) -> None:
        """Fit the model: answers to prompts with these features had these lengths."""

    @abstractmethod
    def _estimate(self, seen: Features) -> float:
        """The model's answer: a length in tokens."""

    @abstractmethod
    def _longer(self, length: float) -> float:
        """The next stage when `length` was not enough; infinite when no answer was longer."""


class BucketClassifier(Learned):
    """S3: a classifier names the bucket in which the answer's length falls, and the prediction is
    the longest length in it. An answer that outgrows its bucket is moved to the next one. The
    buckets hold about equally many of the known answers (the paper's are equally wide): no more
    than `num_buckets`, and fewer where many lengths are equal."""

    def __init__(self, num_buckets: int = 10, *, refit_after: int = 50, window: int = 1000) -> None:
        super().__init__(refit_after=refit_after, window=window)
        if num_buckets < 1:
            raise ValueError(f"num_buckets must be at least 1, got {num_buckets}")
        self.num_buckets = num_buckets
        self._edges: list[float] = []  # the longest length of each bucket, ascending
        self._model: Any = None

    def _learn(self, seen: Sequence[Features], lengths: Sequence[float]) -> None:
        from sklearn.feature_extraction import DictVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        ranked, parts = sorted(lengths), self.num_buckets
        last = [ceil(part * len(ranked) / parts) - 1 for part in range(1, parts + 1)]
        self._edges = sorted({ranked[max(0, index)] for index in last})
        self._model = None
        if len(self._edges) > 1:  # else there is nothing to tell apart
            buckets = [bisect_left(self._edges, length) for length in lengths]
            classifier = LogisticRegression(max_iter=1000)
            self._model = make_pipeline(DictVectorizer(), classifier).fit(seen, buckets)

    def _estimate(self, seen: Features) -> float:
        return self._edges[0 if self._model is None else int(self._model.predict([seen])[0])]

    def _longer(self, length: float) -> float:
        bucket = bisect_right(self._edges, length)
        return self._edges[bucket] if bucket < len(self._edges) else inf


class LengthRegressor(Learned):
    """SSJF: regression predicts the length itself, here ridge regression of its logarithm, so that
    being wrong by half counts the same for short and long answers. One that outgrows its
    prediction is expected to be as long as the known answers that are longer, on average."""

    def __init__(self, *, refit_after: int = 50, window: int = 1000) -> None:
        super().__init__(refit_after=refit_after, window=window)
        self._known = Lengths(())
        self._model: Any = None

    def _learn(self, seen: Sequence[Features], lengths: Sequence[float]) -> None:
        from sklearn.feature_extraction import DictVectorizer
        from sklearn.linear_model import Ridge
        from sklearn.pipeline import make_pipeline

        self._known = Lengths(lengths)
        logarithms = [log(length) for length in lengths]
        self._model = make_pipeline(DictVectorizer(), Ridge(alpha=1.0)).fit(seen, logarithms)

    def _estimate(self, seen: Features) -> float:
        # never outside of what has been seen: a line does not end by itself
        shortest, longest = log(self._known.shortest), log(self._known.longest)
        return exp(min(longest, max(shortest, float(self._model.predict([seen])[0]))))

    def _longer(self, length: float) -> float:
        return self._known.mean_beyond(length)
