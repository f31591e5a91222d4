"""BentoML: a service with a batchable API over lists of pictures.

Source: https://docs.bentoml.com/en/latest/get-started/adaptive-batching.html.
"""

import os
from typing import Any

import bentoml
import numpy as np
from PIL.Image import Image

from tests.bench.peers import work


@bentoml.service(workers=1, traffic={"timeout": 60})
class Photos:
    """One worker that loads the model."""

    def __init__(self) -> None:
        self.run = work.loaded(os.environ["MODEL"])

    @bentoml.api(batchable=True, max_batch_size=work.BATCH, max_latency_ms=1000)  # type: ignore[untyped-decorator]
    def classify(self, images: list[Image]) -> list[dict[str, Any]]:
        """Those that came together."""
        sides = (work.SIDE, work.SIDE)
        return self.run([np.asarray(image.convert("RGB").resize(sides)) for image in images])
