"""The limit, this project in every form, and the server that a user would build in an afternoon."""

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from serving import repository
from serving.modelserver.runtimes.precision import settled_precision
from serving.preprocess.image import to_pixels
from tests.bench import bodies, environments, numbers
from tests.bench.asks import Caller, GrpcAsk, rest_bodies
from tests.bench.contestants import Callers, Contestant, looping, posts, served, silent
from tests.bench.models import INT8, PICTURE, made, newest
from tests.bench.servers import LOCAL, gateway, modelserver
from tests.processes import free_port, slipway

Env = Mapping[str, str]
PHOTOS, REVIEWS = "pictures", "reviews"
JPEG, TEXT, JSON = "image/jpeg", "text/plain; charset=utf-8", "application/json"


@dataclass(frozen=True, slots=True)
class Given:
    """What there is to work with."""

    models: Path
    photos: Sequence[bytes]
    photo_folder: Path
    """The same photos as files."""
    reviews: Sequence[bytes]
    cores: int

    def alone(self, model: str) -> Path:
        """A folder of models with this one in it, as the servers that are compared have one."""
        folder = self.photo_folder.with_name(f"only-{model}")
        folder.mkdir(exist_ok=True)
        link = folder / model
        if not link.is_symlink():
            link.symlink_to((self.models / model).absolute())
        return folder


@contextmanager
def given(photos: Path | None, reviews: Path | None, out: Path) -> Iterator[Given]:
    """Models, photos and reviews; the photos also as files, for the loop."""
    with tempfile.TemporaryDirectory() as folder:
        files = bodies.photos(photos)
        written = Path(folder, "photos")
        written.mkdir()
        for number, data in enumerate(files):
            (written / f"{number}.jpg").write_bytes(data)
        cores = len(os.sched_getaffinity(0))
        yield Given(made(out / "models"), files, written, bodies.reviews(reviews), cores)


def everybody(given: Given) -> list[Contestant]:
    """Every row of the table but the peers."""
    return [*limits(given), *this_project(given), instead(given)]


def limits(given: Given) -> list[Contestant]:
    """What no server can be better than."""
    version = newest(given.models, PHOTOS)
    return [
        Contestant(
            numbers.LOOP,
            "limit",
            partial(looping, "photos", given.cores, version, given.photo_folder),
        ),
        Contestant("model alone, loop on all cores", "limit", partial(looping, "openvino", given.cores, version)),
        Contestant("HTTP alone", "limit", partial(served, partial(return_at_once, given))),
    ]


def this_project(given: Given) -> list[Contestant]:
    """The gateway with both kinds of back end, the model server by itself, each precision, texts."""
    disk = partial(_locked_mb, "gateway", "modelserver", "openvino")

    def inside(name: str, precision: str, model: str = PHOTOS) -> Contestant:
        return Contestant(name, "ours", partial(served, partial(embedded, given, precision, model)), disk)

    usual, *others = precisions(given, PHOTOS)
    return [
        inside(f"{numbers.EMBEDDED}{usual}", "auto"),
        *(inside(f"{numbers.EMBEDDED}{other}", other) for other in others),
        *(inside(f"{numbers.EMBEDDED}{other}", other, INT8) for other in precisions(given, INT8) if other == "int8"),
        Contestant(numbers.SPLIT, "ours", partial(served, partial(_in_front, given)), disk),
        Contestant(numbers.PREDICT, "ours", partial(served, partial(_predict, given)), disk),
        Contestant("model server, REST", "ours", partial(served, partial(_rest, given)), disk),
        Contestant(numbers.REVIEWS, "ours", partial(served, partial(_reviews, given)), disk, what="review"),
    ]


def precisions(given: Given, model: str) -> list[str]:
    """What the server chooses by itself for a model on this machine, then what else can be asked for."""
    usual: str = settled_precision("auto", repository.read_card(newest(given.models, model)))
    return list(dict.fromkeys([usual, "f32"]))


def instead(given: Given) -> Contestant:
    """Flask under gunicorn with Pillow and TensorFlow."""
    needed = ["flask", "gunicorn", "pillow", "tensorflow"]
    disk = partial(_closure_mb, needed)
    note = f"gunicorn, {given.cores} workers of 4 threads"
    return Contestant(numbers.PLAIN, "instead", partial(served, partial(_plain, given)), disk, note)


def _locked_mb(*extras: str) -> float:
    return environments.size_mb(environments.locked(*extras))


def _closure_mb(names: Sequence[str]) -> float:
    return environments.size_mb(environments.closure(names))


def _classify(model: str) -> str:
    return f"/v1/models/{model}/classify"


def return_at_once(given: Given, stack: ExitStack, env: Env) -> Callers:
    """A handler that does nothing."""
    port = free_port()
    command = [sys.executable, "-m", "tests.bench.return_at_once", str(port)]
    stack.enter_context(silent(command, env))
    return posts(f"{LOCAL}:{port}", "/", JPEG, given.photos)


def embedded(given: Given, precision: str, model: str, stack: ExitStack, env: Env) -> Callers:
    """The gateway with the model server inside."""
    server = stack.enter_context(slipway(given.alone(model), "--no-access-log", "--precision", precision, env=env))
    return posts(server.gateway, _classify(model), JPEG, given.photos)


def _reviews(given: Given, stack: ExitStack, env: Env) -> Callers:
    server = stack.enter_context(slipway(given.alone(REVIEWS), "--no-access-log", env=env))
    return posts(server.gateway, _classify(REVIEWS), TEXT, given.reviews)


def _in_front(given: Given, stack: ExitStack, env: Env) -> Callers:
    back = stack.enter_context(modelserver(given.models, (PHOTOS,), env=env))
    front = stack.enter_context(gateway(back.grpc, env=env))
    return posts(front.gateway, _classify(PHOTOS), JPEG, given.photos)


def _predict(given: Given, stack: ExitStack, env: Env) -> Callers:
    server = stack.enter_context(modelserver(given.models, (PHOTOS,), env=env))
    arrays = [np.asarray(to_pixels(photo, PICTURE))[None] for photo in given.photos[:16]]

    def make(count: int) -> Sequence[Caller]:
        return [GrpcAsk(server.grpc, PHOTOS, arrays) for _ in range(count)]

    return make


def _rest(given: Given, stack: ExitStack, env: Env) -> Callers:
    server = stack.enter_context(modelserver(given.models, (PHOTOS,), env=env))
    return posts(server.rest, f"/v1/models/{PHOTOS}:predict", JSON, rest_bodies(given.photos[:64]))


def _plain(given: Given, stack: ExitStack, env: Env) -> Callers:
    port = free_port()
    application = f'tests.bench.plain_server:application("{newest(given.models, PHOTOS).absolute()}")'
    options = ["--workers", str(given.cores), "--threads", "4", "--bind", f"{LOCAL}:{port}", "--timeout", "120"]
    command = [sys.executable, "-m", "gunicorn", *options, application]
    stack.enter_context(silent(command, {**env, "TF_CPP_MIN_LOG_LEVEL": "2"}))
    return posts(f"{LOCAL}:{port}", "/classify", JPEG, given.photos)
