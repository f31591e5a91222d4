"""Every failure a caller may read about, and the one way from it to a status number.

The gRPC code is the error; HTTP is looked up from it, so the protocols cannot drift apart.
Raise the narrow class deep down; each door (gRPC, REST, gateway) translates once.

    ServingError              INTERNAL
      BadInput                INVALID_ARGUMENT
        BodyTooLarge            at the gateway 413
        UnsupportedKind         at the gateway 415
        TooMuchToProcess        at the gateway 422
      FailedPrecondition      FAILED_PRECONDITION
        NoCard                  at the gateway 409
      Unauthenticated         UNAUTHENTICATED
      PermissionDenied        PERMISSION_DENIED
      NotFound                NOT_FOUND
      AlreadyExists           ALREADY_EXISTS
      RateLimited             RESOURCE_EXHAUSTED
      Overloaded              RESOURCE_EXHAUSTED, at the gateway 503
      Cancelled               CANCELLED
      DeadlineExceeded        DEADLINE_EXCEEDED
        SlowBody                at the gateway 408
      Unavailable             UNAVAILABLE
      Unimplemented           UNIMPLEMENTED
      DataLoss                DATA_LOSS
      Aborted                 ABORTED
      OutOfRange              OUT_OF_RANGE
      Unknown                 UNKNOWN
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import ClassVar, cast


class Code(IntEnum):
    """The canonical codes, numbered as gRPC and TensorFlow number them.

    Source: google/rpc/code.proto.
    """

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class ServingError(Exception):
    """A failure the caller may read about; its text says what to do where there is something."""

    code: ClassVar[Code] = Code.INTERNAL

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        """Args: message: one sentence for the caller. retry_after_s: when trying again may help."""
        super().__init__(message)
        self.message = message
        self.retry_after_s = retry_after_s


class BadInput(ServingError):
    """The request itself is wrong, and sending it again will not help."""

    code = Code.INVALID_ARGUMENT


class BodyTooLarge(BadInput):
    """More bytes than this server takes in one request."""


class UnsupportedKind(BadInput):
    """A kind of content that this model or this server does not take."""


class TooMuchToProcess(BadInput):
    """Well-formed, but past a limit once opened: pixels, characters, items, or nothing at all."""


class FailedPrecondition(ServingError):
    """The system is not in the state that the request needs."""

    code = Code.FAILED_PRECONDITION


class NoCard(FailedPrecondition):
    """The version carries no model card, so nobody knows its labels or preparation."""


class Unauthenticated(ServingError):
    """No key, or one that is not known here."""

    code = Code.UNAUTHENTICATED


class PermissionDenied(ServingError):
    """The caller is known and may not do this."""

    code = Code.PERMISSION_DENIED


class NotFound(ServingError):
    """No such model, version or label is being served."""

    code = Code.NOT_FOUND


class AlreadyExists(ServingError):
    """The thing to be made is there already."""

    code = Code.ALREADY_EXISTS


class RateLimited(ServingError):
    """This caller is over its own allowance."""

    code = Code.RESOURCE_EXHAUSTED


class Overloaded(ServingError):
    """The server has more work than it can finish in time, whoever sent it."""

    code = Code.RESOURCE_EXHAUSTED


class Cancelled(ServingError):
    """The caller went away."""

    code = Code.CANCELLED


class DeadlineExceeded(ServingError):
    """The time that the caller gave is over."""

    code = Code.DEADLINE_EXCEEDED


class SlowBody(DeadlineExceeded):
    """The caller took too long to send its request."""


class Unavailable(ServingError):
    """Not now: starting, draining, or the back end is away."""

    code = Code.UNAVAILABLE


class Unimplemented(ServingError):
    """Understood, but this server cannot do it; the text says what would."""

    code = Code.UNIMPLEMENTED


class DataLoss(ServingError):
    """Stored data is damaged or cut short."""

    code = Code.DATA_LOSS


class Aborted(ServingError):
    """Stopped half-way by something else; the same request may work another time."""

    code = Code.ABORTED


class OutOfRange(ServingError):
    """A value past the end of what the model can take."""

    code = Code.OUT_OF_RANGE


class Unknown(ServingError):
    """Failed for a reason that fits no other code."""

    code = Code.UNKNOWN


HTTP_STATUS: Mapping[Code, int] = {
    Code.OK: 200,
    Code.CANCELLED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
    Code.UNAUTHENTICATED: 401,
}
"""Every code's HTTP status, as tensorflow_model_server answers it over REST."""

_AT_THE_GATEWAY: Mapping[type[ServingError], int] = {
    BodyTooLarge: 413,
    UnsupportedKind: 415,
    TooMuchToProcess: 422,
    NoCard: 409,
    Overloaded: 503,
    SlowBody: 408,
}


def gateway_status(error: ServingError) -> int:
    """The HTTP status of the gateway's own routes, where HTTP has a narrower word than the code."""
    return _AT_THE_GATEWAY.get(type(error), HTTP_STATUS[error.code])


_PLAINEST: Mapping[Code, type[ServingError]] = {
    Code.INTERNAL: ServingError,
    **{kind.code: kind for kind in reversed(ServingError.__subclasses__())},
    Code.RESOURCE_EXHAUSTED: Overloaded,
}


def of_code(code: int, message: str) -> ServingError:
    """The error that another server meant by its code: the plainest class that has it."""
    return _PLAINEST.get(cast(Code, code), Unknown)(message)
