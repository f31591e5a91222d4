"""Section 13 of the protocol: warm-up records of the tf.Example kind are replayed as the requests that they are."""

from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from serving.modelserver.lifecycle import tfrecord
from serving.modelserver.lifecycle.settings import LifecycleOptions
from serving.modelserver.runtimes.protocol import LoadedModel, Tensors
from serving.modelserver.server import ModelServer, StartFailed
from serving.modelserver.server_config import ServerConfig
from serving.repository import WARMUP_FILE
from serving.wire.protos import PredictionLog
from tests.modelserver.asking import rest_to
from tests.modelserver.stand_ins import Arrays, StandIn, classifier, publish
from tests.modelserver.test_classify_regress import fill


def classify_log(signature: str) -> PredictionLog:
    log = PredictionLog()
    log.classify_log.request.model_spec.signature_name = signature
    fill(log.classify_log.request.input)
    return log


def regress_log(signature: str) -> PredictionLog:
    log = PredictionLog()
    log.regress_log.request.model_spec.name = "some other model"
    log.regress_log.request.model_spec.signature_name = signature
    fill(log.regress_log.request.input)
    return log


def multi_log(signature: str) -> PredictionLog:
    log = PredictionLog()
    request = log.multi_inference_log.request
    task = request.tasks.add(method_name="tensorflow/serving/regress")
    task.model_spec.name, task.model_spec.signature_name = "some other model", signature
    fill(request.input)
    return log


Ran = list[str]


def remembering(ran: Ran) -> Callable[[Path], LoadedModel]:
    """Loads a classifier that remembers which signatures were run."""

    def load(_folder: Path) -> LoadedModel:
        model = classifier()
        assert isinstance(model, StandIn)
        compute = model.run

        def run(
            signature: str,
            inputs: Tensors,
            outputs: Collection[str] | None = None,
            deadline: float | None = None,
        ) -> Arrays:
            ran.append(signature)
            return compute(signature, inputs, outputs)

        model.run = run  # type: ignore[method-assign]
        return model

    return load


def config(tmp_path: Path, *logs: PredictionLog) -> ServerConfig:
    base_path = publish(tmp_path, "classifier", 1)
    path = base_path / "1" / WARMUP_FILE
    path.parent.mkdir()
    tfrecord.write(path, [log.SerializeToString() for log in logs])
    return ServerConfig(base_path=base_path, rest_port=0, lifecycle=LifecycleOptions(load_retries=0))


def test_every_kind_is_replayed_but_not_counted_as_requests(tmp_path: Path) -> None:
    ran: Ran = []
    logs = classify_log("only_scores"), regress_log("regress"), multi_log("column")

    with ModelServer(config(tmp_path, *logs), remembering(ran)) as server, rest_to(server) as rest:
        assert ran == ["only_scores", "regress", "column"]
        page = rest.get("/metrics").body.decode()
        assert 'modelserver_requests_total{code="OK"' not in page


@pytest.mark.parametrize(
    ("log", "text"),
    [
        (classify_log("flat_scores"), "INVALID_ARGUMENT: Expected Tensor shape: [batch_size num_classes] but got [2]"),
        (regress_log("unicorn"), "INVALID_ARGUMENT: No signature was found with the name: unicorn"),
        (multi_log("unicorn"), "INVALID_ARGUMENT: Requested signature not found in model graph: unicorn"),
    ],
)
def test_a_record_that_fails_fails_the_load(tmp_path: Path, log: PredictionLog, text: str) -> None:
    with pytest.raises(StartFailed) as failed:
        ModelServer(config(tmp_path, classify_log(""), log), remembering([])).start()

    assert text in failed.value.message
