"""Keys: who may ask, and how often.

The file has one key a line, `NAME SHA256 [rate=10] [models=a,b]`; '#' starts a comment. It holds
hashes only, is read again when it changes, and a broken new file never replaces a good old one.
A hash is made by `printf %s "$KEY" | sha256sum`. How often is kept count of by pyrate-limiter, in this process.
"""

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from threading import Lock
from time import monotonic

from pyrate_limiter import Decision, Rate, RateItem, StateBucket, TokenBucket

from serving.errors import PermissionDenied, RateLimited, Unauthenticated
from serving.gateway.config import ConfigError
from serving.gateway.watched_file import WatchedFile

SLOWEST_S = 100_000
"""The least rate of a key is one request in so long; about a day."""
FASTEST = 1e6
"""Requests per second; the limiter counts in microseconds."""
_HOW = "send the header 'Authorization: Bearer KEY'"


@dataclass(frozen=True, slots=True)
class Key:
    """One line of the file."""

    name: str
    digest: bytes
    rate: float | None = None
    """Requests per second, None for any number; a burst of one second's worth is let through."""
    models: frozenset[str] | None = None
    """What it may ask, None for everything."""


class Keys:
    """The keys in force. Thread-safe."""

    def __init__(self, path: Path | None) -> None:
        """Raises: ConfigError: the file cannot be read or has a broken line."""
        self._file = None if path is None else WatchedFile(path, _read)
        self._lock = Lock()
        self._buckets: dict[str, tuple[float, StateBucket]] = {}
        """By the key's name: its rate as the bucket was made, and the bucket."""

    def check(self, authorization: str | None) -> str:
        """The name of the key that was sent; empty where no keys are used.

        Raises:
            Unauthenticated: no key, or none that is known.
            RateLimited: more requests than the key may make.
        """
        if self._file is None:
            return ""
        scheme, _, secret = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not secret:
            raise Unauthenticated(f"this server wants an API key: {_HOW}")
        key = _find(self._file.content(), secret.strip())
        if key is None:
            raise Unauthenticated(f"this API key is not known here: {_HOW}")
        with self._lock:
            self._spend(key)
        return key.name

    def permit(self, name: str, model: str) -> None:
        """Raise PermissionDenied if the key of this name may not ask this model."""
        allowed = self._models_of(name)
        if allowed is not None and model not in allowed:
            raise PermissionDenied(f"the key {name} may ask {', '.join(sorted(allowed))} only")

    def may_ask(self, name: str, model: str) -> bool:
        """Whether the key of this name may ask this model."""
        allowed = self._models_of(name)
        return allowed is None or model in allowed

    def _models_of(self, name: str) -> frozenset[str] | None:
        key = None if self._file is None else self._file.content().get(name)
        return None if key is None else key.models

    def _spend(self, key: Key) -> None:
        if key.rate is None:
            return
        rate, bucket = self._buckets.get(key.name, (0.0, None))
        if bucket is None or rate != key.rate:
            bucket = _bucket(key.rate)
            self._buckets[key.name] = (key.rate, bucket)
        decision = bucket.put_decision(RateItem(key.name, int(monotonic() * 1000)))
        assert isinstance(decision, Decision)
        if not decision.allowed:
            wait_s = (decision.retry_after_ms or 1) / 1000
            raise RateLimited(f"the key {key.name} may ask {key.rate:g} times a second", retry_after_s=wait_s)


def _bucket(rate: float) -> StateBucket:
    """Lets a burst of one second's worth through, at least one, and then so many a second."""
    share = Fraction(rate).limit_denominator(SLOWEST_S)
    allowed = Rate(share.numerator, share.denominator * 1000, burst=max(1, int(rate)))
    return StateBucket([allowed], TokenBucket())


def _find(keys: Mapping[str, Key], secret: str) -> Key | None:
    """Compare with every key, each in constant time, so that timing tells nothing."""
    digest = hashlib.sha256(secret.encode("latin-1", "replace")).digest()
    found = None
    for key in keys.values():
        if hmac.compare_digest(key.digest, digest):
            found = key
    return found


def _read(path: Path) -> dict[str, Key]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise ConfigError(f"the file of API keys cannot be read: {error}") from error
    return {key.name: key for key in _parse(path, lines)}


def _parse(path: Path, lines: list[str]) -> Iterator[Key]:
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            name, digest, *rest = words
            options = dict(word.split("=", 1) for word in rest)
            yield _key(name, digest, **options)
        except (TypeError, ValueError):
            raise ConfigError(f"{path.name}, line {number}: want NAME SHA256 [rate=10] [models=a,b]") from None


def _key(name: str, digest: str, rate: str | None = None, models: str | None = None) -> Key:
    if not re.fullmatch(r"[0-9a-fA-F]{64}", digest):
        raise ValueError(digest)
    per_s = None if rate is None else float(rate)
    if per_s is not None and not 1 / SLOWEST_S <= per_s <= FASTEST:
        raise ValueError(rate)
    return Key(name, bytes.fromhex(digest), per_s, None if models is None else frozenset(models.split(",")))
