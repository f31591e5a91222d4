"""Section 10 of the protocol at the doors: which of the versions on the disk answer, and what replaces them when."""

import logging
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.modelserver.lifecycle.settings import LifecycleOptions
from serving.modelserver.server import ModelServer
from serving.modelserver.server_config import ServerConfig
from tests.modelserver.asking import Grpc, Rest, grpc_to, predict_request, rest_to
from tests.modelserver.conftest import config_text
from tests.modelserver.stand_ins import load, publish
from tests.modelserver.test_reload import RELOAD, code_of, reload_request
from tests.waiting import until

VERSIONS = (1, 2, 3, 10, 13)
"""13 is broken."""
GONE, OK = "NOT_FOUND", "OK"


def started(tmp_path: Path, policy: str, *versions: int | str, retries: int = 0) -> ModelServer:
    file = tmp_path / "models.config"
    file.write_text(config_text({"m": publish(tmp_path, "m", *versions)}, m=policy))
    lifecycle = LifecycleOptions(poll_s=0.02, load_retries=retries)
    return ModelServer(ServerConfig(model_config_file=file, grpc_port=0, rest_port=0, lifecycle=lifecycle), load)


def answering(grpc: Grpc, rest: Rest) -> dict[int | None, str]:
    """What each version says (None: the latest) over gRPC, and that REST says the same."""
    found = {version: code_of(grpc, "m", version=version) for version in (None, *VERSIONS)}
    for version, code in found.items():
        place = "" if version is None else f"/versions/{version}"
        status = rest.post(f"/v1/models/m{place}:predict", {"instances": [1.0]}).status
        assert status == {OK: 200, GONE: 404}[code]
    return found


@pytest.mark.parametrize(
    ("policy", "served"),
    [
        ("", {10}),
        ("model_version_policy { latest {} }", {10}),
        ("model_version_policy { latest { num_versions: 2 } }", {3, 10}),
        ("model_version_policy { latest { num_versions: 9 } }", {1, 2, 3, 10}),
        ("model_version_policy { all {} }", {1, 2, 3, 10}),
        ("model_version_policy { specific { versions: 1 versions: 3 } }", {1, 3}),
    ],
)
def test_a_policy_says_which_versions_answer(tmp_path: Path, policy: str, served: set[int]) -> None:
    with started(tmp_path, policy, 1, 2, 3, 10) as server, grpc_to(server) as grpc, rest_to(server) as rest:
        until(lambda: {version for version, code in answering(grpc, rest).items() if code == OK} == served | {None})

        response = grpc.call("PredictionService/Predict", predict_request("m", {"x": [1.0]}))
        assert response.model_spec.version.value == max(served)


def test_a_specific_version_that_is_missing_is_only_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    policy = "model_version_policy { specific { versions: 2 versions: 77 } }"
    with caplog.at_level(logging.WARNING), started(tmp_path, policy, 1, 2) as server, grpc_to(server) as grpc:
        assert code_of(grpc, "m") == OK

    assert "m has no version [77]" in caplog.text


def test_names_with_leading_zeros_are_numbers_and_others_are_ignored(tmp_path: Path) -> None:
    with started(tmp_path, "", "00000002", "v3", "3.0", "-4", "tmp") as server, grpc_to(server) as grpc:
        assert code_of(grpc, "m", version=2) == OK
        assert [entry.version for entry in server.manager.status("m")] == [2]


def test_another_policy_takes_effect_without_a_failed_request(tmp_path: Path) -> None:
    with started(tmp_path, "", 1, 2, 3) as server, grpc_to(server) as grpc:
        pinned = "model_version_policy { specific { versions: 1 } }"
        grpc.call(RELOAD, reload_request(config_text({"m": tmp_path / "m"}, m=pinned)))

        codes = set()

        def rolled_back() -> bool:
            codes.add(code_of(grpc, "m"))
            return code_of(grpc, "m", version=1) == OK and code_of(grpc, "m", version=3) == GONE

        until(rolled_back)
        assert codes == {OK}


def test_without_polling_only_a_reload_looks_again(tmp_path: Path) -> None:
    config = ServerConfig(base_path=publish(tmp_path, "m", 1), grpc_port=0, lifecycle=LifecycleOptions(poll_s=0))
    with ModelServer(config, load) as server, grpc_to(server) as grpc:
        publish(tmp_path, "m", 2)
        time.sleep(0.2)
        assert code_of(grpc, "m", version=2) == GONE

        grpc.call(RELOAD, reload_request(config_text({"m": tmp_path / "m"})))
        until(lambda: code_of(grpc, "m", version=2) == OK)


@pytest.fixture
def retrying(tmp_path: Path) -> Iterator[ModelServer]:
    """A server that tries a broken version again and again."""
    with started(tmp_path, "", 2, retries=5) as server:
        yield server


def test_a_broken_new_version_is_loading_while_it_is_tried_again_and_the_old_one_serves(
    retrying: ModelServer, tmp_path: Path
) -> None:
    with rest_to(retrying) as rest:
        publish(tmp_path, "m", 13)
        until(lambda: states(rest) == {"13": "LOADING", "2": "AVAILABLE"})
        assert rest.predict("m", {"instances": [1.0]}).json == {"predictions": [2.0]}

        publish(tmp_path, "m", 14)
        until(lambda: states(rest) == {"14": "AVAILABLE", "13": "END", "2": "END"})


def states(rest: Rest) -> dict[str, str]:
    return {entry["version"]: entry["state"] for entry in rest.get("/v1/models/m").json["model_version_status"]}


def test_a_version_replaced_under_its_number_serves_on_as_it_was_loaded(saved_models: Path, tmp_path: Path) -> None:
    """Overwritten in place, file by file, as `cp -r` does it; the new content comes with a new number."""
    copy(saved_models / "half_plus_two/1", tmp_path / "m/1")
    options = LifecycleOptions(poll_s=0.02)
    config = ServerConfig(base_path=tmp_path / "m", grpc_port=0, rest_port=0, lifecycle=options)
    with ModelServer(config) as server, grpc_to(server) as grpc, rest_to(server) as rest:
        half = predict_request("m", {"x": [2.0]})
        assert grpc.predict(half)["y"].tolist() == [3]

        copy(saved_models / "half_plus_three/1", tmp_path / "m/1")
        assert grpc.predict(half)["y"].tolist() == [3]
        for file in sorted((tmp_path / "m/1").rglob("*")):
            if file.is_file():
                file.write_bytes(b"")
        assert grpc.predict(half)["y"].tolist() == [3]
        assert states(rest) == {"1": "AVAILABLE"}

        copy(saved_models / "half_plus_three/1", tmp_path / "elsewhere")
        (tmp_path / "elsewhere").rename(tmp_path / "m/2")
        until(lambda: states(rest) == {"2": "AVAILABLE", "1": "END"})
        assert grpc.predict(half)["y"].tolist() == [4]


def copy(version: Path, place: Path) -> None:
    shutil.copytree(version, place, dirs_exist_ok=True)


def test_a_version_that_goes_and_comes_back_is_loaded_anew(saved_models: Path, tmp_path: Path) -> None:
    copy(saved_models / "half_plus_two/1", tmp_path / "m/1")
    config = ServerConfig(base_path=tmp_path / "m", grpc_port=0, lifecycle=LifecycleOptions(poll_s=0.02))
    with ModelServer(config) as server, grpc_to(server) as grpc:
        shutil.rmtree(tmp_path / "m/1")
        until(lambda: grpc_code(grpc) == GONE)

        copy(saved_models / "half_plus_three/1", tmp_path / "elsewhere")
        (tmp_path / "elsewhere").rename(tmp_path / "m/1")
        until(lambda: grpc_code(grpc) == OK)
        assert grpc.predict(predict_request("m", {"x": [2.0]}))["y"].tolist() == [4]


def grpc_code(grpc: Grpc) -> str:
    return code_of(grpc, "m")


def test_where_a_folder_says_what_is_served_no_stranger_names_another(tmp_path: Path) -> None:
    publish(tmp_path, "a", 1)
    config = ServerConfig(models_root=tmp_path, grpc_port=0, rest_port=0)

    with ModelServer(config, load) as server, grpc_to(server) as asked:
        refusal = asked.refusal(RELOAD, reload_request(config_text({"a": Path("/etc")})))

        assert refusal.code == "FAILED_PRECONDITION"
        assert refusal.details.startswith(f"the folder {tmp_path.name} says what is served here")
        assert code_of(asked, "a") == "OK"
