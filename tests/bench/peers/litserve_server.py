"""LitServe: an API class with batching, photos as base64 in JSON, as its guide to fast serving has it.

Source: https://lightning.ai/docs/litserve/speed-up-serving-by-200x and .../features/batching.
"""

import base64
import sys
from typing import Any

import litserve
import numpy as np

from tests.bench.peers import work


class Photos(litserve.LitAPI):  # type: ignore[misc]
    """Its steps, in their order."""

    def setup(self, device: str) -> None:
        """Once a worker."""
        self.classify = work.loaded(sys.argv[1])

    def decode_request(self, request: dict[str, str]) -> Any:
        """One request."""
        return work.pixels(base64.b64decode(request["image_data"]))

    def batch(self, inputs: list[Any]) -> Any:
        """Requests that go together."""
        return np.stack(inputs)

    def predict(self, x: Any) -> list[dict[str, Any]]:
        """All at once."""
        return self.classify(x)

    def unbatch(self, output: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """And apart again."""
        return output

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """One answer."""
        return output


if __name__ == "__main__":
    api = Photos(max_batch_size=work.BATCH, batch_timeout=work.WAIT_S)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="error")
