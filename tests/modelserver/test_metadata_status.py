"""Section 5 of the protocol: GetModelMetadata and GetModelStatus, over gRPC and REST."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.modelserver.lifecycle.settings import LifecycleOptions, ModelSettings, Specific
from serving.modelserver.server import ModelServer
from serving.modelserver.server_config import ServerConfig
from serving.wire import protos
from tests.modelserver.asking import Grpc, Refusal, Rest, fill_spec, grpc_to, rest_to
from tests.modelserver.stand_ins import load, publish
from tests.waiting import until

METADATA, STATUS = "PredictionService/GetModelMetadata", "ModelService/GetModelStatus"


def metadata_request(model: str, *fields: str, version: int | None = None) -> protos.GetModelMetadataRequest:
    request = protos.GetModelMetadataRequest(metadata_field=fields)
    fill_spec(request.model_spec, model, version)
    return request


def status_request(model: str, version: int | None = None, label: str | None = None) -> protos.GetModelStatusRequest:
    request = protos.GetModelStatusRequest()
    fill_spec(request.model_spec, model, version, label)
    return request


@pytest.mark.parametrize("request_", [protos.GetModelMetadataRequest(), protos.GetModelStatusRequest()])
def test_a_request_without_a_spec_is_told_so(stand_in_grpc: Grpc, request_: object) -> None:
    method = METADATA if isinstance(request_, protos.GetModelMetadataRequest) else STATUS

    assert stand_in_grpc.refusal(method, request_) == Refusal("INVALID_ARGUMENT", "Missing ModelSpec")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ((), "GetModelMetadataRequest must specify at least one metadata_field"),
        (("signature_def", "colour"), "Metadata field colour is not supported"),
    ],
)
def test_the_fields_are_checked_before_the_model(stand_in_grpc: Grpc, fields: tuple[str, ...], text: str) -> None:
    refusal = stand_in_grpc.refusal(METADATA, metadata_request("unicorn", *fields))

    assert refusal == Refusal("INVALID_ARGUMENT", text)


def test_metadata_of_an_unknown_model_is_not_found(stand_in_grpc: Grpc) -> None:
    refusal = stand_in_grpc.refusal(METADATA, metadata_request("unicorn", "signature_def"))

    assert refusal == Refusal("NOT_FOUND", "Servable not found for request: Latest(unicorn)")


def test_metadata_holds_every_signature_as_it_is_stored(grpc: Grpc, saved_models: Path) -> None:
    stored = protos.SavedModel.FromString((saved_models / "two_inputs/1/saved_model.pb").read_bytes())

    answer = grpc.call(METADATA, metadata_request("two_inputs", "signature_def"))

    signatures = protos.SignatureDefMap()
    assert answer.metadata["signature_def"].Unpack(signatures)
    assert dict(signatures.signature_def) == dict(stored.meta_graphs[0].signature_def)
    assert signatures.signature_def["defaulted"].defaults["b"].tensor_shape.dim[1].size == 2
    assert (answer.model_spec.name, answer.model_spec.version.value) == ("two_inputs", 1)
    assert answer.model_spec.signature_name == ""


def test_rest_metadata_has_the_doubled_key_and_every_default(rest: Rest) -> None:
    answer = rest.get("/v1/models/half_plus_two/metadata")

    assert answer.status == 200
    document = answer.json
    assert document["model_spec"] == {"name": "half_plus_two", "signature_name": "", "version": "1"}
    assert "@type" not in document["metadata"]["signature_def"]
    signature = document["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["defaults"] == {}
    x = signature["inputs"]["x"]
    assert x["dtype"] == "DT_FLOAT"
    assert x["tensor_shape"] == {"dim": [{"size": "-1", "name": ""}, {"size": "1", "name": ""}], "unknown_rank": False}


def test_status_lists_versions_highest_first(stand_in_grpc: Grpc) -> None:
    entries = stand_in_grpc.call(STATUS, status_request("doubler")).model_version_status

    assert [(entry.version, entry.state) for entry in entries] == [(3, 30), (2, 30), (1, 30)]
    assert {(entry.status.error_code, entry.status.error_message) for entry in entries} == {(0, "")}


def test_status_of_one_version_is_that_one(stand_in_grpc: Grpc) -> None:
    entries = stand_in_grpc.call(STATUS, status_request("doubler", version=2)).model_version_status

    assert [entry.version for entry in entries] == [2]


@pytest.mark.parametrize("label", ["stable", "no-such-label"])
def test_status_ignores_labels(stand_in_grpc: Grpc, stand_in_rest: Rest, label: str) -> None:
    entries = stand_in_grpc.call(STATUS, status_request("doubler", label=label)).model_version_status
    over_rest = stand_in_rest.get(f"/v1/models/doubler/labels/{label}").json["model_version_status"]

    assert len(entries) == len(over_rest) == 3


@pytest.mark.parametrize(
    ("model", "version", "text"),
    [
        ("unicorn", None, "Could not find any versions of model unicorn"),
        ("doubler", 9, "Could not find version 9 of model doubler"),
    ],
)
def test_status_of_what_was_never_known_is_not_found(
    stand_in_grpc: Grpc, stand_in_rest: Rest, model: str, version: int | None, text: str
) -> None:
    assert stand_in_grpc.refusal(STATUS, status_request(model, version)) == Refusal("NOT_FOUND", text)

    answer = stand_in_rest.get(f"/v1/models/{model}" + (f"/versions/{version}" if version else ""))
    assert (answer.status, answer.error) == (404, text)


def test_rest_status_has_versions_as_strings_and_names_of_states(stand_in_rest: Rest) -> None:
    answer = stand_in_rest.get("/v1/models/doubler/versions/3")

    assert answer.json == {
        "model_version_status": [
            {"version": "3", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        ]
    }


@pytest.fixture
def changing(tmp_path: Path) -> Iterator[ModelServer]:
    """A server of one model in version 1, whose versions the test changes."""
    base_path = publish(tmp_path, "doubler", 1)
    options = LifecycleOptions(poll_s=0.02, load_retries=0)
    with ModelServer(ServerConfig(base_path=base_path, grpc_port=0, rest_port=0, lifecycle=options), load) as running:
        yield running


def states(rest: Rest) -> dict[str, tuple[str, str]]:
    """Version to state and error code."""
    entries = rest.get("/v1/models/doubler").json["model_version_status"]
    return {entry["version"]: (entry["state"], entry["status"]["error_code"]) for entry in entries}


def test_ended_versions_stay_listed_as_ok_and_failed_ones_with_their_error(
    changing: ModelServer, tmp_path: Path
) -> None:
    with rest_to(changing) as rest, grpc_to(changing) as grpc:
        publish(tmp_path, "doubler", 2)
        until(lambda: states(rest) == {"2": ("AVAILABLE", "OK"), "1": ("END", "OK")})

        publish(tmp_path, "doubler", 13)
        until(lambda: states(rest).get("13") == ("END", "NOT_FOUND"))

        failed = grpc.call(STATUS, status_request("doubler", 13)).model_version_status[0]
        assert (failed.state, failed.status.error_code) == (50, 5)
        assert failed.status.error_message.startswith(
            "Specified file path does not appear to contain a SavedModel bundle"
        )
        assert rest.post("/v1/models/doubler:predict", {"instances": [1.0]}).json == {"predictions": [2.0]}


def test_removed_models_stay_listed_and_may_come_back(changing: ModelServer, tmp_path: Path) -> None:
    base_path = tmp_path / "doubler"
    with rest_to(changing) as rest:
        changing.manager.configure([])
        until(lambda: states(rest) == {"1": ("END", "OK")})
        assert rest.post("/v1/models/doubler:predict", {"instances": [1.0]}).status == 404

        changing.manager.configure([ModelSettings("doubler", base_path, Specific(frozenset({1})))])
        assert states(rest) == {"1": ("AVAILABLE", "OK")}
