"""What stands behind the = of a flag: which texts are a switch, a number, one of a few words."""

import re

import pytest

from serving.modelserver import flags


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("--enable_batching", True),
        ("--enable_batching=true", True),
        ("--enable_batching=false", False),
        ("--enable_batching=1", True),
        ("--enable_batching=0", False),
    ],
)
def test_a_switch_may_stand_alone(argument: str, value: bool) -> None:
    assert flags.parse([argument]).flags.enable_batching is value


@pytest.mark.parametrize(
    "argument",
    [
        "--port=eighty",
        "--enable_batching=perhaps",
        "--port=",
        "--precision=f16",
        "--drain_seconds=long",
        "--drain_seconds=nan",
        "--rest_api_body_seconds=inf",
        "--rest_api_body_seconds=1_0",
        "--port=1_0",
        "--port= 1",
        "--port=1 ",
        "--port=1.0",
        "--port=\u0661",
        "--file_system_poll_wait_seconds=2147483648",
        "--file_system_poll_wait_seconds=-2147483649",
        "--load_retry_interval_micros=9223372036854775808",
        f"--load_retry_interval_micros={'9' * 5000}",
    ],
)
def test_a_value_that_does_not_parse_is_refused_by_name(argument: str) -> None:
    with pytest.raises(flags.UsageError, match=re.escape(argument)):
        flags.parse([argument])


def test_whole_numbers_are_taken_as_far_as_their_bits_reach() -> None:
    found = flags.parse(
        ["--file_system_poll_wait_seconds=-2147483648", f"--load_retry_interval_micros=+{2**63 - 1}"]
    ).flags

    assert (found.file_system_poll_wait_seconds, found.load_retry_interval_micros) == (-(2**31), 2**63 - 1)
