"""Scalars of every epoch as TensorBoard's event files; the `tensorboard` package is only needed to look at them.

<run>/tensorboard/<phase>/train/       loss, accuracy, learning_rate
<run>/tensorboard/<phase>/validation/  loss, accuracy
"""

from pathlib import Path
from typing import Any

import tensorflow as tf

from training.saved_model_writer import disk_errors


class EventLog:
    """The event files of one phase."""

    def __init__(self, folder: Path | None) -> None:
        """Args: folder: None writes nothing."""
        self._folder = folder
        self._writers: dict[str, Any] = {}

    def write(self, epoch: int, measures: dict[str, float]) -> None:
        """Add the measures of an epoch; `val_loss` is validation's `loss`, so that TensorBoard lays the two together.

        Raises:
            OSError: no space or no permission.
        """
        if self._folder is None:
            return
        with disk_errors():
            for part, values in _parts(measures).items():
                writer = self._writer(part)
                with writer.as_default():
                    for tag, value in values.items():
                        tf.summary.write(tag, tf.constant(value), step=epoch, metadata=_scalar())
                writer.flush()

    def close(self) -> None:
        """Let go of the files."""
        for writer in self._writers.values():
            writer.close()

    def _writer(self, part: str) -> Any:
        if part not in self._writers:
            self._writers[part] = tf.summary.create_file_writer(f"{self._folder}/{part}")
        return self._writers[part]


def _parts(measures: dict[str, float]) -> dict[str, dict[str, float]]:
    checked = {name.removeprefix("val_"): value for name, value in measures.items() if name.startswith("val_")}
    learned = {name: value for name, value in measures.items() if not name.startswith("val_")}
    return {"train": learned, "validation": checked}


def _scalar() -> tf.compat.v1.SummaryMetadata:
    plugin = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
    return tf.compat.v1.SummaryMetadata(plugin_data=plugin, data_class="DATA_CLASS_SCALAR")
