"""Open Inference Protocol, version 2: the one name that the doors import.

oip_grpc.py reads and writes the messages, oip_json.py the REST bodies with raw tensors behind them,
and oip_tensors.py holds the data types and InferRequest, which both forms share.
"""

from serving.wire.oip_grpc import read_grpc, write_grpc
from serving.wire.oip_json import read_json, write_json
from serving.wire.oip_tensors import DATATYPES, InferRequest, datatype, numpy_dtype

__all__ = ["DATATYPES", "InferRequest", "datatype", "numpy_dtype", "read_grpc", "read_json", "write_grpc", "write_json"]
