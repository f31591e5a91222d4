"""The environment variables that TensorFlow sets as it is imported, set before there are threads.

setenv moves the table of variables, and code of the libraries that reads it at that moment in another
thread ends the process: OpenVINO compiles one model while TensorFlow is imported for another. What is
there already stays where it is. tests/test_environment.py says when a release sets others. What a
library sets from its own native code cannot be helped from here.
"""

import os
from importlib import metadata


def settle() -> None:
    """Set them where TensorFlow is installed; to be called before threads are made."""
    try:
        version = metadata.version("tensorflow")
    except metadata.PackageNotFoundError:
        return
    for name, value in {
        "ENABLE_RUNTIME_UPTIME_TELEMETRY": "1",
        "HDF5_PLUGIN_PATH": "disable",
        "KMP_DUPLICATE_LIB_OK": "True",
        "KMP_INIT_AT_FORK": "FALSE",
        "TF2_BEHAVIOR": "1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TPU_ML_PLATFORM": "Tensorflow",
        "TPU_ML_PLATFORM_VERSION": version,
    }.items():
        os.environ.setdefault(name, value)
