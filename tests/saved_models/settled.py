"""Take out of a SavedModel what differs from run to run, so that making it again changes nothing."""

from pathlib import Path

from tensorflow.core.protobuf import saved_model_pb2


def settle(version: Path) -> None:
    """Order the maps of `saved_model.pb` and drop the random fingerprint."""
    file = version / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    file.write_bytes(model.SerializeToString(deterministic=True))
    (version / "fingerprint.pb").unlink(missing_ok=True)
