"""What a model manager may be told: the models, which of their versions, and how to load them.

The doors' config_file.py fills these in; manager.py, engine.py and source.py go by them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from serving.errors import BadInput
from serving.modelserver.lifecycle.batching.parameters import BatchingOptions
from serving.modelserver.lifecycle.warmup import WarmupOptions
from serving.modelserver.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Latest:
    """Serve the highest version numbers, so many of them."""

    count: int = 1

    def __post_init__(self) -> None:
        """Refuse a policy that would serve nothing."""
        if self.count < 1:
            raise BadInput(f"the policy `latest` needs num_versions of 1 or more, got {self.count}")


@dataclass(frozen=True, slots=True)
class All:
    """Serve every version there is."""


@dataclass(frozen=True, slots=True)
class Specific:
    """Serve these versions, those of them that exist."""

    versions: frozenset[int]


Policy = Latest | All | Specific


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """One model to serve."""

    name: str
    base_path: Path
    """Absolute; its sub-folders named as numbers are the versions."""
    policy: Policy = Latest()
    labels: Mapping[str, int] | None = field(default_factory=dict)
    """Label to version, from a config. None: what labels.json in the base path says at each poll; the
    versions that it names are then served besides those of the policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LifecycleOptions:
    """How all models of a server are watched, loaded and run."""

    poll_s: float = 1.0
    """Time between two looks at the base paths; 0: one look at each configure; negative: none at all."""
    load_retries: int = 5
    """Further tries after a load has failed."""
    load_retry_interval_s: float = 60.0
    """Time between two tries."""
    load_threads: int = 4
    """Loads at a time, over all models."""
    allow_labels_for_unavailable: bool = False
    """Whether a label not yet in use may be given to a version that is not available."""
    batching: BatchingOptions = field(default_factory=BatchingOptions)
    warmup: WarmupOptions = field(default_factory=WarmupOptions)
    metrics: Metrics = field(default_factory=Metrics)

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        if self.load_retries < 0 or self.load_retry_interval_s < 0 or self.load_threads < 1:
            raise BadInput(
                f"load_retries={self.load_retries} and load_retry_interval_s={self.load_retry_interval_s} "
                f"must not be negative, load_threads={self.load_threads} must be at least 1"
            )
