"""Every failure keeps its meaning on every protocol."""

import grpc
import pytest

from serving import errors
from serving.errors import BadInput, Code, Overloaded, ServingError, gateway_status, of_code


@pytest.mark.parametrize("code", list(Code))
def test_every_code_is_numbered_as_grpc_numbers_it(code: Code) -> None:
    assert grpc.StatusCode[code.name].value[0] == code


@pytest.mark.parametrize("code", list(Code))
def test_every_code_has_an_http_status(code: Code) -> None:
    assert errors.HTTP_STATUS[code] == 200 or 400 <= errors.HTTP_STATUS[code] <= 504


@pytest.mark.parametrize("code", [code for code in Code if code is not Code.OK])
def test_a_code_from_another_server_becomes_an_error_of_that_code(code: Code) -> None:
    assert of_code(code, "why").code is code


def test_a_number_that_is_no_code_is_unknown() -> None:
    assert of_code(77, "why").code is Code.UNKNOWN


def test_overload_is_429_for_services_and_503_for_people() -> None:
    assert errors.HTTP_STATUS[Overloaded.code] == 429
    assert gateway_status(Overloaded("full")) == 503


@pytest.mark.parametrize(
    ("kind", "status"),
    [("BodyTooLarge", 413), ("UnsupportedKind", 415), ("TooMuchToProcess", 422), ("NoCard", 409), ("SlowBody", 408)],
)
def test_the_gateway_uses_the_narrower_word_of_http(kind: str, status: int) -> None:
    assert gateway_status(getattr(errors, kind)("why")) == status


def test_an_error_reads_as_its_message_and_may_say_when_to_try_again() -> None:
    error: ServingError = Overloaded("queue full", retry_after_s=0.5)

    assert str(error) == error.message == "queue full"
    assert error.retry_after_s == 0.5
    assert BadInput("no").retry_after_s is None
