"""Whatever can be asked by the description of the API is answered as the description says."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

from serving.embedded import EmbeddedUpstream
from serving.gateway.config import GatewayConfig
from serving.gateway.passage import passage
from serving.gateway.server import Gateway
from serving.gateway.site import PAGES
from serving.modelserver.server import ModelServer
from serving.modelserver.server_config import ServerConfig
from tests.gateway.caller import Caller
from tests.gateway.test_health import ready
from tests.waiting import until

schemathesis: Any = pytest.importorskip("schemathesis", reason="needs schemathesis: make install")

openapi_checks: Any = pytest.importorskip("schemathesis.specs.openapi.checks")
CHECKS = (
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
MODELS = ("tiny_image", "tiny_text", "half_plus_two")


@pytest.fixture(scope="module")
def address(saved_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("models")
    for name in MODELS:
        version = next(entry for entry in sorted((saved_models / name).iterdir()) if entry.name.isdigit())
        shutil.copytree(version, root / name / "1")
    with ModelServer(ServerConfig(models_root=root)) as server:
        for name in MODELS:
            server.wait_until_available(name, timeout_s=60)
        config = GatewayConfig(port=0, access_log=False, calm_latency_s=5)
        with Gateway(config, EmbeddedUpstream(server.manager)) as gateway:
            until(lambda: ready(Caller(gateway)))
            yield gateway.url


described = schemathesis.openapi.from_path(PAGES / "openapi.json")


@described.parametrize()  # type: ignore[untyped-decorator, unused-ignore]
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_one_that_is_described(case: Any, address: str) -> None:
    if "model" in case.path_parameters:
        name = str(case.path_parameters["model"])
        case.path_parameters["model"] = [*MODELS, name][len(name) % (len(MODELS) + 1)]
    own = ["unsupported_method"] if passage(case.operation.path) is None else []  # the model server's REST says 400
    checks = [getattr(openapi_checks, name) for name in [*CHECKS, *own]]
    case.call_and_validate(base_url=address, checks=[schemathesis.checks.not_a_server_error, *checks])
