"""Many calls, a bounded number of them at a time, their results in the order of the questions."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")

AHEAD = 2
"""Questions taken up per worker, so that none waits while the first answer is late."""


def in_order(ask: Callable[[Question], Answer], questions: Iterable[Question], workers: int) -> Iterator[Answer]:
    """Ask `workers` questions at a time; questions are drawn only as answers are taken.

    Raises:
        Exception: whatever `ask` raises, at the place of its question; what had not begun is dropped.
    """
    waiting: deque[Future[Answer]] = deque()
    source = iter(questions)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="asking")
    try:
        waiting.extend(pool.submit(ask, question) for question in islice(source, AHEAD * workers))
        while waiting:
            answer = waiting.popleft().result()
            waiting.extend(pool.submit(ask, question) for question in islice(source, 1))
            yield answer
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def groups(items: Iterable[Question], size: int) -> Iterator[list[Question]]:
    """Lists of `size` items, the last one shorter."""
    source = iter(items)
    while group := list(islice(source, size)):
        yield group
