"""Ray Serve: a deployment whose batch method gets the requests that came together.

Source: https://docs.ray.io/en/latest/serve/advanced-guides/dyn-req-batch.html.
"""

import sys
import time
from typing import Any

import ray
from ray import serve
from starlette.requests import Request

from tests.bench.peers import work


class Photos:
    """One replica."""

    def __init__(self, folder: str) -> None:
        self.run = work.loaded(folder)

    @serve.batch(max_batch_size=work.BATCH, batch_wait_timeout_s=work.WAIT_S)  # type: ignore[untyped-decorator]
    async def classify(self, photos: list[bytes]) -> list[dict[str, Any]]:
        """Those that came together."""
        return self.run([work.pixels(photo) for photo in photos])

    async def __call__(self, request: Request) -> dict[str, Any]:
        """One request."""
        answer: dict[str, Any] = await self.classify(await request.body())
        return answer


if __name__ == "__main__":
    ray.init(include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[2])})
    serve.run(serve.deployment(max_ongoing_requests=64)(Photos).bind(sys.argv[1]))
    while True:
        time.sleep(1)
