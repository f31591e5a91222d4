"""What a team would write in an afternoon: Flask, Pillow and a SavedModel in TensorFlow, in one process.

    python -m tests.bench.plain_server VERSION_FOLDER

The gateway is compared with it. Werkzeug's own threaded server runs it, one thread and one connection a request,
since Flask brings that along; nearly all of its CPU is TensorFlow's and Pillow's, whatever the server.
"""

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from flask import Flask, request
from PIL import Image
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.bench.models import PLAIN_READY, SIDE


class Quiet(WSGIRequestHandler):
    """Without a line a request."""

    def log_request(self, *_arguments: Any) -> None:
        """Say nothing."""


def application(folder: Path) -> Flask:
    """POST a picture to /classify."""
    app = Flask("plain")
    model = tf.saved_model.load(str(folder))
    serve = model.signatures["serving_default"]

    @app.post("/classify")
    def classify() -> dict[str, Any]:
        picture = Image.open(io.BytesIO(request.get_data())).convert("RGB").resize((SIDE, SIDE))
        rows = serve(image=tf.constant(np.asarray(picture)[None]))["probabilities"].numpy()
        best = int(rows[0].argmax())
        return {"label": best, "probability": float(rows[0][best])}

    app.extensions["model"] = model  # its functions hold it weakly
    return app


def main(folder: Path) -> None:
    """Serve until killed."""
    server = make_server("127.0.0.1", 0, application(folder), threaded=True, request_handler=Quiet)
    print(f"{PLAIN_READY}{server.host}:{server.port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
