"""View: a picture as the model sees it, after the preparation that training used too, for people to look at.

`classify.py` adds it to a prediction where the caller asked for it by `?view=true`.
"""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

COMPRESSION = 1
"""The fastest; a view is looked at once."""


def view(pixels: NDArray[np.uint8]) -> str:
    """A PNG file in base64 of one prepared picture, uint8 [height, width, channels]; no pixel is changed."""
    file = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(file, "PNG", compress_level=COMPRESSION)
    return base64.b64encode(file.getvalue()).decode("ascii")
