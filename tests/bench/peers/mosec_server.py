"""mosec: a stage that decodes in as many processes as there are cores, then one that runs batches.

Source: https://mosecorg.github.io/mosec/examples/pytorch.html, "Computer Vision".
"""

import os
from typing import Any

import mosec

from tests.bench.peers import work


class Decoding(mosec.Worker):  # type: ignore[misc]
    """Photos to pixels."""

    def deserialize(self, data: bytes) -> bytes:
        """The body as it is."""
        return data

    def forward(self, data: bytes) -> Any:
        """One photo."""
        return work.pixels(data)


class Running(mosec.Worker):  # type: ignore[misc]
    """Pixels to labels."""

    def __init__(self) -> None:
        super().__init__()
        self.classify = work.loaded(os.environ["MODEL"])

    def forward(self, data: list[Any]) -> list[dict[str, Any]]:
        """Those that came together."""
        return self.classify(data)


if __name__ == "__main__":
    server = mosec.Server()
    server.append_worker(Decoding, num=len(os.sched_getaffinity(0)))
    server.append_worker(Running, max_batch_size=work.BATCH, max_wait_time=round(1000 * work.WAIT_S))
    server.run()
