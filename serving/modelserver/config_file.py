"""Which models to serve, out of a text-format ModelServerConfig, and what is refused in one.

The same rules hold for the file, for what a reload brings and for --model_base_path. text_files.py
reads the file, `lifecycle/` gets the settings.
"""

import functools
import logging
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from serving.errors import BadInput, Unimplemented
from serving.modelserver import text_files
from serving.modelserver.lifecycle.settings import All, Latest, ModelSettings, Policy, Specific
from serving.wire.protos import ModelServerConfig

log = logging.getLogger(__name__)

PLATFORM = "tensorflow"
_MODEL_TYPES = {0: "", 1: "tensorflow", 2: "other"}


def read(path: str | Path) -> ModelServerConfig:
    """The config in a file.

    Raises:
        NotFound: no such file.
        BadInput: it does not parse.
    """
    return text_files.read(path, ModelServerConfig)


def models(config: ModelServerConfig, *, known: Collection[str] = ()) -> list[ModelSettings]:
    """The models of a config, checked.

    Args:
        config: what a file or a reload says.
        known: names of the models that are being served, whose platform may not change.

    Raises:
        BadInput: one of the refusals of the original, in its words.
        Unimplemented: a base path on a remote file system.
    """
    if config.WhichOneof("config") != "model_config_list":
        raise BadInput(
            "ServerModelConfig type not supported by HandleReloadConfigRequest. "
            "Only ModelConfigList is currently supported"
        )
    entries = config.model_config_list.config
    _check_names(entries)
    platforms = [_platform(entry) for entry in entries]
    for entry, platform in zip(entries, platforms, strict=True):
        if entry.name in known and platform != PLATFORM:
            raise BadInput(
                f"Illegal to change a model's platform. For model {entry.name} platform was {PLATFORM} "
                f"and new platform requested is {platform}"
            )
        if platform != PLATFORM:
            raise BadInput(f"Model {entry.name} requests unsupported platform {platform}")
    return [_settings(entry) for entry in entries]


def base_path(name: str, path: str) -> Path:
    """The folder of a model's versions.

    Raises:
        BadInput: neither absolute nor a URI, or nothing that a path can be.
        Unimplemented: a URI of anything but this machine's files.
    """
    scheme, separator, rest = path.partition("://")
    if separator and scheme:
        if scheme != "file":
            raise Unimplemented(
                f"Model {name} has its versions at {path}, but only folders of this machine are read here: "
                "mount or copy it, and give the absolute path"
            )
        path = rest if rest.startswith("/") else rest[rest.find("/") :]
    if not os.path.isabs(path) or "\0" in path:
        raise BadInput(f"Expected model {name} to have an absolute path or URI; got base_path()={path}")
    return Path(path)


def _check_names(entries: Sequence[Any]) -> None:
    seen: set[str] = set()
    for entry in entries:
        if entry.name in seen:
            raise BadInput(f"Illegal to list model {entry.name} multiple times in config list")
        seen.add(entry.name)
        base_path(entry.name, entry.base_path)


def _platform(entry: Any) -> str:
    if entry.model_type and entry.model_platform:
        raise BadInput(
            "Illegal setting both ModelServerConfig::model_type (deprecated) and ModelServerConfig::model_platform, "
            f"model name is {entry.name}"
        )
    platform = entry.model_platform or _MODEL_TYPES.get(entry.model_type, str(entry.model_type))
    if not platform:
        raise BadInput(
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
            f"ModelServerConfig::model_platform, model name is {entry.name}"
        )
    return str(platform)


@functools.lru_cache
def _warn_once(text: str) -> None:
    """A config is read again and again while it is polled."""
    log.warning("%s", text)


def _settings(entry: Any) -> ModelSettings:
    if entry.HasField("logging_config"):
        _warn_once(f"Requests are not logged here: the logging_config of model {entry.name} has no effect")
    return ModelSettings(
        entry.name, base_path(entry.name, entry.base_path), _policy(entry), dict(entry.version_labels.items())
    )


def _policy(entry: Any) -> Policy:
    policy = entry.model_version_policy
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return All()
    if choice == "specific":
        if not policy.specific.versions:
            raise BadInput(f"Model {entry.name} has the policy `specific` with no versions; list one at least")
        return Specific(frozenset(policy.specific.versions))
    if choice == "latest" and policy.latest.num_versions:
        return Latest(policy.latest.num_versions)
    return Latest()
