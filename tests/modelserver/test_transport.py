"""Sections 1, 9 and 16 of the protocol: methods, statuses, sizes, deadlines, sockets, TLS, many callers at once."""

import shutil
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc as grpc_library
import numpy as np
import pytest

from serving.errors import HTTP_STATUS, Code
from serving.modelserver.flag_effects import channel_arguments
from serving.modelserver.grpc_methods import truncated
from serving.modelserver.server import ModelServer, StartFailed
from serving.modelserver.server_config import ServerConfig, Tls
from tests.modelserver.asking import Grpc, Refusal, Rest, grpc_to, predict_request, rest_to
from tests.modelserver.stand_ins import ASLEEP, load, publish
from tests.modelserver.test_classify_regress import CLASSIFY, asked
from tests.modelserver.test_health import health_of
from tests.waiting import until

X = {"x": [1.0]}
PREDICT = "PredictionService/Predict"


@pytest.mark.parametrize(
    "method",
    [
        "/tensorflow.serving.PredictionService/Explain",
        "/tensorflow.serving.SessionService/SessionRun",
        "/tensorflow.ProfilerService/Profile",
        "/no.such.Service/Call",
    ],
)
def test_a_method_that_does_not_exist_is_unimplemented(stand_in_grpc: Grpc, method: str) -> None:
    call: Any = stand_in_grpc.channel.unary_unary(method)
    with pytest.raises(grpc_library.RpcError) as refused:
        call(b"", timeout=10)

    assert refused.value.code() is grpc_library.StatusCode.UNIMPLEMENTED


def test_every_code_has_the_http_status_of_the_original() -> None:
    assert {code.name: HTTP_STATUS[code] for code in Code} == {
        "OK": 200,
        "INVALID_ARGUMENT": 400,
        "FAILED_PRECONDITION": 400,
        "OUT_OF_RANGE": 400,
        "UNAUTHENTICATED": 401,
        "PERMISSION_DENIED": 403,
        "NOT_FOUND": 404,
        "ALREADY_EXISTS": 409,
        "ABORTED": 409,
        "RESOURCE_EXHAUSTED": 429,
        "CANCELLED": 499,
        "UNKNOWN": 500,
        "INTERNAL": 500,
        "DATA_LOSS": 500,
        "UNIMPLEMENTED": 501,
        "UNAVAILABLE": 503,
        "DEADLINE_EXCEEDED": 504,
    }


def test_an_error_of_the_runtime_keeps_its_code_and_long_details_are_cut(
    stand_in_grpc: Grpc, stand_in_rest: Rest
) -> None:
    refusal = stand_in_grpc.cannot_predict(predict_request("breaker"))

    assert refusal == Refusal("OUT_OF_RANGE", "x" * 1024 + "...TRUNCATED")
    assert truncated("é" * 600) == "é" * 512 + "...TRUNCATED"
    assert truncated("é" * 512) == "é" * 512


def test_an_exception_of_python_does_not_leak(stand_in_grpc: Grpc) -> None:
    refusal = stand_in_grpc.cannot_predict(predict_request("breaker", signature="crash"))

    assert refusal.code == "INTERNAL"
    assert "secret" not in refusal.details
    assert "Exception calling application" not in refusal.details


def test_the_deadline_of_the_caller_bounds_the_run_and_holds_up_nobody(stand_in_server: ModelServer) -> None:
    with grpc_to(stand_in_server) as one, grpc_to(stand_in_server) as other:
        slow = predict_request("sleeper", {"seconds": [1.5]})
        refusal = one.refusal(PREDICT, slow, timeout_s=0.2)
        assert refusal.code == "DEADLINE_EXCEEDED"

        with ThreadPoolExecutor(8) as pool:
            sleeping = [pool.submit(one.predict, slow) for _ in range(8)]
            until(lambda: len(ASLEEP) >= 8)
            assert other.predict(predict_request("doubler", X))["y"].tolist() == [2]
            assert not any(future.done() for future in sleeping)


def test_a_rest_call_has_a_time_limit_too(tmp_path: Path) -> None:
    config = ServerConfig(base_path=publish(tmp_path, "sleeper", 1), rest_port=0, rest_timeout_s=0.2)
    with ModelServer(config, load) as server, rest_to(server) as rest:
        answer = rest.predict("sleeper", {"instances": [0.8]})
        assert answer.status == 504
        assert answer.error
        assert rest.predict("sleeper", {"instances": [0.0]}).status == 200


def test_messages_may_be_far_larger_than_four_megabytes_both_ways(stand_in_grpc: Grpc) -> None:
    sent = np.arange(8_000_000, dtype=np.float32)

    outputs = stand_in_grpc.predict(predict_request("doubler", {"x": sent}, as_content=True), timeout_s=60)

    assert np.array_equal(outputs["y"], 2 * sent)


def test_answers_are_not_mixed_between_many_callers(stand_in_server: ModelServer) -> None:
    wrong: list[float] = []

    def over_grpc(start: int) -> None:
        with grpc_to(stand_in_server) as channel:
            for value in range(start, start + 25):
                got = channel.predict(predict_request("doubler", {"x": [float(value)]}))["y"].tolist()
                wrong.extend(got if got != [2.0 * value] else ())

    def over_rest(start: int) -> None:
        with rest_to(stand_in_server) as rest:
            for value in range(start, start + 25):
                got = rest.predict("doubler", {"instances": [value]}).json["predictions"]
                wrong.extend(got if got != [2.0 * value] else ())

    threads = [threading.Thread(target=ask, args=(1000 * n,)) for n in range(8) for ask in (over_grpc, over_rest)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


def test_many_calls_at_once_over_one_connection_are_all_answered(stand_in_grpc: Grpc) -> None:
    ask: Any = stand_in_grpc.channel.unary_unary(
        f"/tensorflow.serving.{PREDICT}", request_serializer=lambda message: message.SerializeToString()
    )
    calls = [ask.future(predict_request("sleeper", {"seconds": [0.05]}), timeout=60) for _ in range(400)]

    assert all(call.result() for call in calls)


def test_more_calls_than_allowed_are_refused_at_once(tmp_path: Path) -> None:
    config = ServerConfig(base_path=publish(tmp_path, "sleeper", 1), grpc_port=0, most_calls=2)
    with ModelServer(config, load) as server, grpc_to(server) as channel, ThreadPoolExecutor(2) as pool:
        sleeping = [pool.submit(channel.predict, predict_request("sleeper", {"seconds": [1.0]})) for _ in range(2)]
        until(lambda: len(ASLEEP) == 2)
        assert channel.cannot_predict(predict_request("unicorn")).code == "RESOURCE_EXHAUSTED"
        assert health_of(channel, "sleeper") == "SERVING"
        assert [future.result()["slept"].tolist() for future in sleeping] == [[1], [1]]


def test_channel_arguments_nobody_knows_are_harmless(tmp_path: Path) -> None:
    arguments = channel_arguments("grpc.max_connection_age_ms=60000,no.such.argument=1,another=text")
    config = ServerConfig(base_path=publish(tmp_path, "doubler", 1), grpc_port=0, grpc_arguments=arguments)
    with ModelServer(config, load) as server, grpc_to(server) as channel:
        assert channel.predict(predict_request("doubler", X))["y"].tolist() == [2]


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_every_address_means_both_families(tmp_path: Path, address: str) -> None:
    config = ServerConfig(base_path=publish(tmp_path, "doubler", 1), bind_address=address, grpc_port=0)
    with ModelServer(config, load) as server:
        for host in ("127.0.0.1", "[::1]"):
            with Grpc(f"{host}:{server.grpc_port}") as channel:
                assert channel.predict(predict_request("doubler", X))["y"].tolist() == [2]


def test_a_unix_socket_serves_and_a_stale_one_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "grpc.sock"
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(path))
    config = ServerConfig(base_path=publish(tmp_path, "doubler", 1), grpc_socket_path=path)
    with ModelServer(config, load) as server, Grpc(f"unix:{path}") as channel:
        assert server.grpc_port is None
        assert channel.predict(predict_request("doubler", X))["y"].tolist() == [2]
    assert not path.exists()


def test_a_socket_of_a_server_that_runs_is_left_to_it(tmp_path: Path) -> None:
    path = tmp_path / "grpc.sock"
    config = ServerConfig(base_path=publish(tmp_path, "doubler", 1), grpc_socket_path=path)
    with ModelServer(config, load):
        with pytest.raises(StartFailed, match="another server does; stop it"):
            ModelServer(config, load).start()
        with Grpc(f"unix:{path}") as channel:
            assert channel.predict(predict_request("doubler", X))["y"].tolist() == [2]


def test_tensors_are_returned_as_content_where_the_server_was_told_to(tmp_path: Path) -> None:
    config = ServerConfig(base_path=publish(tmp_path, "doubler", 1), grpc_port=0, tensor_content=True)
    with ModelServer(config, load) as server, grpc_to(server) as channel:
        proto = channel.call(PREDICT, predict_request("doubler", X)).outputs["y"]

    assert proto.tensor_content == np.array([2], np.float32).tobytes()
    assert len(proto.float_val) == 0


def test_method_names_are_held_where_the_server_was_told_to(tmp_path: Path) -> None:
    config = ServerConfig(base_path=publish(tmp_path, "classifier", 1), grpc_port=0, check_method_names=True)
    with ModelServer(config, load) as server, grpc_to(server) as channel:
        odd = channel.cannot_predict(predict_request("classifier", X, signature="odd_method"))
        other = channel.refusal(CLASSIFY, asked(CLASSIFY, "regress"))

    assert odd.code == "INTERNAL"
    assert other.code == "INVALID_ARGUMENT"
    assert other.details.startswith("Expected classification signature method_name to be tensorflow/serving/classify")


def pem(folder: Path, name: str) -> tuple[bytes, bytes]:
    """A key and a certificate that vouches for itself."""
    key, certificate = folder / f"{name}.key", folder / f"{name}.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={name}"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return key.read_bytes(), certificate.read_bytes()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl: apt-get install openssl")
def test_tls_may_demand_a_certificate_of_the_client(tmp_path: Path) -> None:
    key, certificate = pem(tmp_path, "server")
    client_key, client_certificate = pem(tmp_path, "client")
    tls = Tls(key=key, certificate=certificate, custom_ca=client_certificate, client_verify=True)
    config = ServerConfig(base_path=publish(tmp_path, "doubler", 1), grpc_port=0, rest_port=0, tls=tls)
    with ModelServer(config, load) as server:
        target = f"localhost:{server.grpc_port}"
        known = grpc_library.ssl_channel_credentials(certificate, client_key, client_certificate)
        with Grpc(target, known) as channel:
            assert channel.predict(predict_request("doubler", X))["y"].tolist() == [2]
        for stranger in (grpc_library.ssl_channel_credentials(certificate), None):
            with Grpc(target, stranger) as channel:
                refusal = channel.refusal(PREDICT, predict_request("doubler", X), timeout_s=5)
                assert refusal.code == "UNAVAILABLE"
        with rest_to(server) as rest:
            assert rest.predict("doubler", {"instances": [1.0]}).status == 200


def test_a_key_that_is_none_refuses_the_start_and_says_where_to_look(tmp_path: Path) -> None:
    tls = Tls(key=b"no key", certificate=b"no certificate")
    config = ServerConfig(base_path=publish(tmp_path, "doubler", 1), grpc_port=0, tls=tls)

    with pytest.raises(StartFailed, match="are the key, the certificates and client_verify of ssl_config_file right"):
        ModelServer(config, load).start()


def test_requests_under_way_end_well_when_the_server_stops(tmp_path: Path) -> None:
    config = ServerConfig(base_path=publish(tmp_path, "sleeper", 1), grpc_port=0, rest_port=0, drain_s=10)
    server = ModelServer(config, load)
    server.start()
    with ThreadPoolExecutor(2) as pool, grpc_to(server) as channel, rest_to(server) as rest:
        over_grpc = pool.submit(channel.predict, predict_request("sleeper", {"seconds": [0.6]}))
        over_rest = pool.submit(rest.predict, "sleeper", {"instances": [0.6]})
        until(lambda: len(ASLEEP) == 2)
        server.stop()

        assert over_grpc.result()["slept"].tolist() == pytest.approx([0.6])
        assert over_rest.result().status == 200


def test_cors_headers_are_sent_where_the_server_was_told_to(tmp_path: Path) -> None:
    config = ServerConfig(base_path=publish(tmp_path, "doubler", 1), rest_port=0, rest_cors=True)
    with ModelServer(config, load) as server, rest_to(server) as rest:
        for answer in (rest.get("/v1/models/doubler"), rest.get("/v1/models/unicorn")):
            assert answer.headers["access-control-allow-origin"] == "*"
            assert answer.headers["access-control-allow-methods"] == "POST, GET"
            assert answer.headers["access-control-allow-headers"] == "Content-Type"
