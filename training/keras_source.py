"""Source `keras`: a data set of keras.datasets, downloaded by Keras to its own cache or found there.

Only MNIST and Fashion-MNIST: what Keras downloads of CIFAR is a pickle; TensorFlow Datasets has CIFAR without.
"""

from importlib import import_module

from serving.errors import Unavailable
from training.array_files import Arrays, split_of


def open_keras(name: str, dataset: str, names: tuple[str, ...]) -> Arrays:
    """The data set of that name.

    Raises:
        Unavailable: it is not in Keras' cache and cannot be downloaded.
    """
    try:
        train, test = import_module(f"keras.datasets.{name}").load_data()
    except Exception as error:  # whatever a download can meet: network, proxy, checksum, disk
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise Unavailable(
            f"{dataset} cannot be downloaded by Keras ({reason}): give --data-dir a local copy "
            "(.npz, idx files or a folder per class), or --source tfds"
        ) from error
    return Arrays(dataset, names, split_of(*train), split_of(*test), "keras")
