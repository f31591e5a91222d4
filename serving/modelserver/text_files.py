"""Files that hold one message in protobuf's text format: read, or refused in the original's words.

config_file.py and the other readers of settings stand on this.
"""

import sys
from pathlib import Path
from typing import TypeVar

from google.protobuf import text_format
from google.protobuf.message import Message

from serving.errors import BadInput, NotFound
from serving.wire.protos import POOL

M = TypeVar("M", bound=Message)


def read(path: str | Path, kind: type[M]) -> M:
    """The message in a file.

    Raises:
        NotFound: the file is missing or the system does not let it be read.
        BadInput: it does not parse; where and why is printed on stderr as tensorflow_model_server does.
    """
    try:
        text = Path(path).read_text(encoding="utf-8", errors="surrogateescape")  # any bytes may stand in a comment
    except OSError as error:
        raise NotFound(f"{path}; {error.strerror}") from error
    message = kind()
    try:
        text_format.Parse(text, message, descriptor_pool=POOL)
    except (text_format.ParseError, RecursionError) as error:
        print(f"Error parsing text-format {message.DESCRIPTOR.full_name}: {_place(error)}", file=sys.stderr, flush=True)
        raise BadInput(f"Invalid protobuf file: '{path}'") from error
    return message


def _place(error: Exception) -> str:
    """`<line>:<column>: <what>`, also where the parser does not know the place."""
    if isinstance(error, text_format.ParseError) and error.GetLine() is not None:
        return str(error).replace(" : ", ": ", 1)
    return f"1:1: {error}"
