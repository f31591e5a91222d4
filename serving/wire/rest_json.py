"""TensorFlow Serving's REST bodies, in and out: the one name that the doors import.

The work is done a floor below: json_text (parsing, quoting) over json_exact (unusual and broken JSON)
and json_numbers (floats as text); json_values (one tensor), json_in (predict requests), json_examples
(classify and regress requests) and json_out (answers). All are pure functions; a signature is known
here only as a mapping of alias to data type.
"""

from serving.wire.json_examples import examples
from serving.wire.json_in import Format, predict_inputs, signature_name
from serving.wire.json_out import (
    classify_answer,
    error_answer,
    metadata_answer,
    predict_answer,
    regress_answer,
    status_answer,
)
from serving.wire.json_text import parse

__all__ = [
    "Format",
    "classify_answer",
    "error_answer",
    "examples",
    "metadata_answer",
    "parse",
    "predict_answer",
    "predict_inputs",
    "regress_answer",
    "signature_name",
    "status_answer",
]
