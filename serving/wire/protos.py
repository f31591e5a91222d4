"""Every message that is spoken here, from one committed descriptor set, without TensorFlow.

The classes live in a pool of their own, so they stand beside TensorFlow's in one process whichever
is imported first. They are different classes, though: a message of one pool is never assigned or
copied to a field of the other; cross as bytes or as numpy. text_format and json_format need
`descriptor_pool=POOL` for an Any. regenerate.py writes the set; protos.pyi tells the type checker the names.
"""

from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message_factory import GetMessageClass

POOL = DescriptorPool()
"""All files of the set; server reflection lists from it."""

for _file in FileDescriptorSet.FromString(Path(__file__).with_name("descriptors.binpb").read_bytes()).file:
    POOL.Add(_file)


def message(full_name: str) -> Any:
    """The class of any message in the set, by its full name, such as `tensorflow.NodeDef`."""
    return GetMessageClass(POOL.FindMessageTypeByName(full_name))


def _serving(name: str) -> Any:
    return message(f"tensorflow.serving.{name}")


def _tensorflow(name: str) -> Any:
    return message(f"tensorflow.{name}")


def _inference(name: str) -> Any:
    return message(f"inference.{name}")


# PredictionService
ClassificationRequest = _serving("ClassificationRequest")
ClassificationResponse = _serving("ClassificationResponse")
ClassificationResult = _serving("ClassificationResult")
GetModelMetadataRequest = _serving("GetModelMetadataRequest")
GetModelMetadataResponse = _serving("GetModelMetadataResponse")
InferenceTask = _serving("InferenceTask")
ModelSpec = _serving("ModelSpec")
MultiInferenceRequest = _serving("MultiInferenceRequest")
MultiInferenceResponse = _serving("MultiInferenceResponse")
PredictRequest = _serving("PredictRequest")
PredictResponse = _serving("PredictResponse")
RegressionRequest = _serving("RegressionRequest")
RegressionResponse = _serving("RegressionResponse")
RegressionResult = _serving("RegressionResult")
SignatureDefMap = _serving("SignatureDefMap")

# ModelService
GetModelStatusRequest = _serving("GetModelStatusRequest")
GetModelStatusResponse = _serving("GetModelStatusResponse")
Metric = _serving("Metric")
ModelVersionStatus = _serving("ModelVersionStatus")
ReloadConfigRequest = _serving("ReloadConfigRequest")
ReloadConfigResponse = _serving("ReloadConfigResponse")
StatusProto = _serving("StatusProto")

# What files hold
BatchingParameters = _serving("BatchingParameters")
ModelConfig = _serving("ModelConfig")
ModelConfigList = _serving("ModelConfigList")
ModelServerConfig = _serving("ModelServerConfig")
MonitoringConfig = _serving("MonitoringConfig")
PredictionLog = _serving("PredictionLog")
SSLConfig = _serving("SSLConfig")

# tf.Example and lists of it
BytesList = _tensorflow("BytesList")
Example = _tensorflow("Example")
ExampleList = _serving("ExampleList")
ExampleListWithContext = _serving("ExampleListWithContext")
Feature = _tensorflow("Feature")
Features = _tensorflow("Features")
FloatList = _tensorflow("FloatList")
Input = _serving("Input")
Int64List = _tensorflow("Int64List")

# Tensors, graphs and SavedModels
ConfigProto = _tensorflow("ConfigProto")
GraphDef = _tensorflow("GraphDef")
MetaGraphDef = _tensorflow("MetaGraphDef")
NodeDef = _tensorflow("NodeDef")
SavedModel = _tensorflow("SavedModel")
SignatureDef = _tensorflow("SignatureDef")
TensorInfo = _tensorflow("TensorInfo")
TensorProto = _tensorflow("TensorProto")
TensorShapeProto = _tensorflow("TensorShapeProto")
DataType = EnumTypeWrapper(POOL.FindEnumTypeByName("tensorflow.DataType"))

# Open Inference Protocol, version 2
InferParameter = _inference("InferParameter")
InferTensorContents = _inference("InferTensorContents")
ModelInferRequest = _inference("ModelInferRequest")
ModelInferResponse = _inference("ModelInferResponse")
ModelMetadataRequest = _inference("ModelMetadataRequest")
ModelMetadataResponse = _inference("ModelMetadataResponse")
ModelReadyRequest = _inference("ModelReadyRequest")
ModelReadyResponse = _inference("ModelReadyResponse")
ServerLiveRequest = _inference("ServerLiveRequest")
ServerLiveResponse = _inference("ServerLiveResponse")
ServerMetadataRequest = _inference("ServerMetadataRequest")
ServerMetadataResponse = _inference("ServerMetadataResponse")
ServerReadyRequest = _inference("ServerReadyRequest")
ServerReadyResponse = _inference("ServerReadyResponse")
