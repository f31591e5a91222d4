"""Sections 10, 11.2 and 11.3 of the protocol: labels, reloads and swaps, as callers see them."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import text_format

from serving.modelserver.lifecycle.settings import LifecycleOptions
from serving.modelserver.server import ModelServer, StartFailed
from serving.modelserver.server_config import ServerConfig
from serving.wire import protos
from tests.modelserver.asking import Grpc, Refusal, grpc_to, predict_request, rest_to
from tests.modelserver.conftest import config_text
from tests.modelserver.stand_ins import load, publish
from tests.waiting import until

RELOAD = "ModelService/HandleReloadConfigRequest"
X = {"x": [1.0]}


def reload_request(text: str, *metrics: str) -> protos.ReloadConfigRequest:
    request = protos.ReloadConfigRequest(metric_names=metrics)
    request.config.CopyFrom(text_format.Parse(text, protos.ModelServerConfig()))
    return request


@pytest.fixture
def running(tmp_path: Path) -> Iterator[ModelServer]:
    """A server of `a` in version 1, to which a failed load is failed for good."""
    with started(tmp_path) as server:
        yield server


def started(tmp_path: Path, config_poll_s: float = 0) -> ModelServer:
    file = tmp_path / "models.config"
    file.write_text(config_text({"a": publish(tmp_path, "a", 1)}))
    config = ServerConfig(
        model_config_file=file,
        config_poll_s=config_poll_s,
        grpc_port=0,
        rest_port=0,
        lifecycle=LifecycleOptions(poll_s=0.02, load_retries=0),
    )
    return ModelServer(config, load)


@pytest.fixture
def asked(running: ModelServer) -> Iterator[Grpc]:
    with grpc_to(running) as channel:
        yield channel


def code_of(asked: Grpc, model: str, **how: Any) -> str:
    try:
        asked.predict(predict_request(model, X, **how))
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


def replace(tmp_path: Path, text: str) -> None:
    """Replace the config file by one rename."""
    (tmp_path / "new.config").write_text(text)
    (tmp_path / "new.config").rename(tmp_path / "models.config")


def test_a_new_list_replaces_the_old_one_and_waits_for_new_models(asked: Grpc, tmp_path: Path) -> None:
    answer = asked.call(RELOAD, reload_request(config_text({"b": publish(tmp_path, "b", 1)})))

    assert answer.HasField("status")
    assert answer.status.error_code == 0
    assert code_of(asked, "b") == "OK"
    until(lambda: code_of(asked, "a") == "NOT_FOUND")

    asked.call(RELOAD, reload_request(config_text({"a": tmp_path / "a", "b": tmp_path / "b"})))
    assert [code_of(asked, model) for model in ("a", "b")] == ["OK", "OK"]


def test_the_same_config_again_is_fine_and_metrics_tell_their_growth(asked: Grpc, tmp_path: Path) -> None:
    name = "/tensorflow/cc/saved_model/load_attempt_count"
    text = config_text({"a": tmp_path / "a", "b": publish(tmp_path, "b", 1)})

    first = asked.call(RELOAD, reload_request(text, name, ":tensorflow:serving:request_count", "unknown"))
    again = asked.call(RELOAD, reload_request(text, name))

    assert {metric.name: metric.int64_value_increase for metric in first.metric} == {
        name: 1,
        ":tensorflow:serving:request_count": 0,
        "unknown": 0,
    }
    assert [metric.int64_value_increase for metric in again.metric] == [0]


@pytest.mark.parametrize(
    ("more", "code", "text"),
    [
        pytest.param(
            'version_labels { key: "x" value: 7 }',
            "FAILED_PRECONDITION",
            "Request to assign label to version 7 of model a, which is not currently available for inference",
            id="a label for a version that is not there",
        ),
        pytest.param(
            "model_type: TENSORFLOW",
            "INVALID_ARGUMENT",
            "Illegal setting both ModelServerConfig::model_type (deprecated) and ModelServerConfig::model_platform, "
            "model name is a",
            id="two platforms",
        ),
    ],
)
def test_a_refused_config_changes_nothing(asked: Grpc, tmp_path: Path, more: str, code: str, text: str) -> None:
    asked.call(RELOAD, reload_request(config_text({"a": tmp_path / "a"}, a='version_labels { key: "old" value: 1 }')))

    refusal = asked.refusal(RELOAD, reload_request(config_text({"a": tmp_path / "a"}, a=more)))

    assert refusal == Refusal(code, text)
    assert code_of(asked, "a", label="old") == "OK"


def test_a_platform_may_not_change(asked: Grpc, tmp_path: Path) -> None:
    text = config_text({"a": tmp_path / "a"}).replace('"tensorflow"', '"caffe"')

    refusal = asked.refusal(RELOAD, reload_request(text))

    assert refusal == Refusal(
        "INVALID_ARGUMENT",
        "Illegal to change a model's platform. For model a platform was tensorflow and new platform requested is caffe",
    )


def test_a_config_of_another_kind_is_refused(asked: Grpc) -> None:
    refusal = asked.refusal(RELOAD, protos.ReloadConfigRequest())

    assert refusal == Refusal(
        "INVALID_ARGUMENT",
        "ServerModelConfig type not supported by HandleReloadConfigRequest. "
        "Only ModelConfigList is currently supported",
    )


def test_a_new_model_that_fails_for_good_is_told_and_the_others_serve_on(asked: Grpc, tmp_path: Path) -> None:
    text = config_text({"a": tmp_path / "a", "broken": publish(tmp_path, "broken", 13)})

    refusal = asked.refusal(RELOAD, reload_request(text))

    assert refusal.code == "UNKNOWN"
    assert refusal.details.startswith("1 model(s) did not become available: {{name: broken version: 13} due to error: ")
    assert code_of(asked, "a") == "OK"


def test_labels_move_with_each_config_as_a_whole(asked: Grpc, tmp_path: Path) -> None:
    policy = "model_version_policy { all {} }"
    publish(tmp_path, "a", 2)
    asked.call(RELOAD, reload_request(config_text({"a": tmp_path / "a"}, a=policy)))
    until(lambda: code_of(asked, "a", version=2) == "OK")
    both = 'version_labels { key: "x" value: 1 } version_labels { key: "y" value: 1 }'
    asked.call(RELOAD, reload_request(config_text({"a": tmp_path / "a"}, a=f"{policy} {both}")))
    assert [code_of(asked, "a", label=label) for label in "xy"] == ["OK", "OK"]

    one = 'version_labels { key: "x" value: 2 }'
    asked.call(RELOAD, reload_request(config_text({"a": tmp_path / "a"}, a=f"{policy} {one}")))

    response = asked.call("PredictionService/Predict", predict_request("a", X, label="x"))
    assert response.model_spec.version.value == 2
    assert code_of(asked, "a", label="y") == "INVALID_ARGUMENT"


def test_the_config_file_is_read_again_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    with started(tmp_path, config_poll_s=0.05) as server, grpc_to(server) as asked:
        replace(tmp_path, config_text({"a": tmp_path / "a", "b": publish(tmp_path, "b", 1)}))
        until(lambda: code_of(asked, "b") == "OK")

        replace(tmp_path, "nonsense")
        publish(tmp_path, "a", 2)
        until(lambda: code_of(asked, "a", version=2) == "OK")
        assert code_of(asked, "b") == "OK"

        replace(tmp_path, config_text({"a": tmp_path / "a"}))
        until(lambda: code_of(asked, "b") == "NOT_FOUND")


def test_an_empty_file_serves_nothing_until_it_lists_models(tmp_path: Path) -> None:
    (tmp_path / "models.config").touch()
    config = ServerConfig(model_config_file=tmp_path / "models.config", config_poll_s=0.05, grpc_port=0)

    with ModelServer(config, load) as server, grpc_to(server) as asked:
        assert code_of(asked, "a") == "NOT_FOUND"

        replace(tmp_path, config_text({"a": publish(tmp_path, "a", 1)}))
        until(lambda: code_of(asked, "a") == "OK")


def test_a_label_in_the_file_is_given_once_its_version_is_there(tmp_path: Path) -> None:
    with started(tmp_path, config_poll_s=0.05) as server, grpc_to(server) as asked:
        replace(tmp_path, config_text({"a": tmp_path / "a"}, a='version_labels { key: "x" value: 2 }'))
        publish(tmp_path, "a", 2)

        until(lambda: code_of(asked, "a", label="x") == "OK")


def test_labels_at_start_are_refused_unless_allowed(tmp_path: Path) -> None:
    file = tmp_path / "models.config"
    file.write_text(config_text({"a": publish(tmp_path, "a", 1)}, a='version_labels { key: "x" value: 1 }'))

    with pytest.raises(StartFailed) as refused:
        ModelServer(ServerConfig(model_config_file=file, grpc_port=0), load).start()

    assert refused.value.message == (
        "Failed to start server. Error: FAILED_PRECONDITION: Request to assign label to version 1 of model a, "
        "which is not currently available for inference"
    )
    lenient = LifecycleOptions(allow_labels_for_unavailable=True)
    with (
        ModelServer(ServerConfig(model_config_file=file, grpc_port=0, lifecycle=lenient), load) as server,
        grpc_to(server) as channel,
    ):
        assert code_of(channel, "a", label="x") == "OK"


def test_a_first_load_that_fails_for_good_refuses_the_start(tmp_path: Path) -> None:
    config = ServerConfig(base_path=publish(tmp_path, "m", 13), grpc_port=0, lifecycle=LifecycleOptions(load_retries=0))

    with pytest.raises(StartFailed) as refused:
        ModelServer(config, load).start()

    assert refused.value.message.startswith(
        "Failed to start server. Error: UNKNOWN: 1 servable(s) did not become available: "
        "{{name: m version: 13} due to error: "
    )
    assert refused.value.message.endswith("}, }")


class Caller(threading.Thread):
    """Asks `a` again and again over one protocol until it is told to stop."""

    def __init__(self, server: ModelServer, ask: Callable[[ModelServer], str]) -> None:
        super().__init__()
        self.server, self.ask = server, ask
        self.stopping = threading.Event()
        self.answers: Counter[str] = Counter()

    def run(self) -> None:
        while not self.stopping.is_set():
            self.answers[self.ask(self.server)] += 1


def over_grpc(server: ModelServer) -> str:
    with grpc_to(server) as channel:
        return code_of(channel, "a")


def over_rest(server: ModelServer) -> str:
    with rest_to(server) as connection:
        answer = connection.post("/v1/models/a:predict", {"instances": [1.0]})
        return "OK" if answer.status == 200 else answer.error


def test_no_request_fails_while_versions_come_and_go(running: ModelServer, tmp_path: Path) -> None:
    """Up, back down by removal of the newest, and up again; both doors, several callers."""
    callers = [Caller(running, ask) for ask in (over_grpc, over_grpc, over_rest)]
    for caller in callers:
        caller.start()
    newest = 1

    def answers_from_the_newest() -> bool:
        return running.manager.find("a", None, None).version == newest

    for version in range(2, 12):
        publish(tmp_path, "a", version)
        newest = version
        until(answers_from_the_newest)
        if version % 4 == 0:
            (tmp_path / f"a/{version}").rmdir()
            newest = version - 1
            until(answers_from_the_newest)
    for caller in callers:
        caller.stopping.set()
        caller.join()

    assert all(caller.answers["OK"] > 3 and set(caller.answers) == {"OK"} for caller in callers)


def test_a_base_path_that_goes_unloads_nothing(asked: Grpc, tmp_path: Path) -> None:
    (tmp_path / "a").rename(tmp_path / "elsewhere")
    publish(tmp_path, "b", 1)

    asked.call(RELOAD, reload_request(config_text({"a": tmp_path / "a", "b": tmp_path / "b"})))

    assert code_of(asked, "a") == "OK"
    (tmp_path / "elsewhere").rename(tmp_path / "a")
    (tmp_path / "a/1").rmdir()
    until(lambda: code_of(asked, "a") == "NOT_FOUND")
    publish(tmp_path, "a", 1)
    until(lambda: code_of(asked, "a") == "OK")
