"""Versions out of a bucket: a small S3 of our own on loopback, the real client, real files."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from serving import repository
from serving.errors import BadInput
from serving.store import offered, opened
from tests.processes import CHECKOUT

WHEN = "2026-01-31T12:00:00.000Z"


class Bucket(ThreadingHTTPServer):
    """As much of S3 as reading takes: ListObjectsV2 in pages of three and GetObject; wants signed requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Door)
        self.objects: dict[str, bytes] = {}
        self.unsigned = 0

    def fill(self, folder: Path, prefix: str) -> None:
        """Upload a folder."""
        for path in folder.rglob("*"):
            if path.is_file():
                self.objects[f"{prefix}/{path.relative_to(folder).as_posix()}"] = path.read_bytes()

    @property
    def env(self) -> dict[str, str]:
        """What the client is told of this place."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.server_port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "reader",
            "AWS_SECRET_ACCESS_KEY": "of-tests-only",
            "AWS_REGION": "eu-central-1",
        }


class Door(BaseHTTPRequestHandler):
    """One request for the bucket."""

    server: Bucket
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """List or read."""
        address = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(address.query))
        if not self.headers.get("Authorization", "").startswith("AWS4-HMAC-SHA256 Credential=reader/"):
            self.server.unsigned += 1
            return self._answer(403, b"<Error><Code>AccessDenied</Code></Error>")
        key = urllib.parse.unquote(address.path).removeprefix("/bucket").lstrip("/")
        if "list-type" in query:
            return self._answer(200, self._listing(query))
        if key not in self.server.objects:
            return self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        return self._answer(200, self.server.objects[key])

    def _listing(self, query: Mapping[str, str]) -> bytes:
        names = sorted(name for name in self.server.objects if name.startswith(query.get("prefix", "")))
        first = int(query.get("continuation-token", "0"))
        more = first + 3 < len(names)
        entries = "".join(
            f"<Contents><Key>{escape(name)}</Key><LastModified>{WHEN}</LastModified><ETag>&quot;0&quot;</ETag>"
            f"<Size>{len(self.server.objects[name])}</Size></Contents>"
            for name in names[first : first + 3]
        )
        token = f"<NextContinuationToken>{first + 3}</NextContinuationToken>" if more else ""
        text = f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{token}{entries}</ListBucketResult>"
        return text.encode()

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        for name, value in (("Content-Length", str(len(body))), ("ETag", '"0"'), ("Last-Modified", _HTTP_WHEN)):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


_HTTP_WHEN = "Sat, 31 Jan 2026 12:00:00 GMT"


@pytest.fixture
def bucket(saved_models: Path) -> Iterator[Bucket]:
    """Holds version 1 of tiny_image under models/."""
    server = Bucket()
    server.fill(saved_models / "tiny_image" / "1", "models/tiny_image/1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(
    bucket: Bucket, folder: Path, *options: str, url: str = "s3://bucket/models"
) -> subprocess.CompletedProcess[str]:
    """Run the program as the init container does."""
    command = [sys.executable, "-m", "serving.store", "--to", str(folder), *options]
    env = {**os.environ, **bucket.env, "MODELS_FROM": url}
    return subprocess.run(command, cwd=CHECKOUT, env=env, capture_output=True, text=True, timeout=60, check=False)


def publish(bucket: Bucket, saved_models: Path, version: int) -> None:
    """The same model under another number."""
    bucket.fill(saved_models / "tiny_image" / "1", f"models/tiny_image/{version}")


def test_a_version_arrives_whole_and_is_asked_for_once(bucket: Bucket, tmp_path: Path, saved_models: Path) -> None:
    first = fetch(bucket, tmp_path)

    assert first.returncode == 0, first.stderr
    assert "tiny_image version 1" in first.stderr
    assert repository.checksums(tmp_path / "tiny_image" / "1") == repository.checksums(
        saved_models / "tiny_image" / "1"
    )
    assert bucket.unsigned == 0
    assert "tiny_image" not in fetch(bucket, tmp_path).stderr


@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        pytest.param("saved_model.pb", b"half of it", "saved_model.pb", id="a changed file"),
        pytest.param("variables/variables.index", None, "variables.index", id="a missing file"),
        pytest.param("assets.extra/card.json", None, "card.json", id="no card"),
        pytest.param("assets.extra/card.json", b"{", "card", id="a torn card"),
        pytest.param("assets/more.txt", b"?", "more.txt", id="a file too many"),
    ],
)
def test_a_version_that_is_not_whole_never_shows(
    bucket: Bucket, tmp_path: Path, path: str, content: bytes | None, said: str
) -> None:
    bucket.objects[f"models/tiny_image/1/{path}"] = content or b""
    if content is None:
        del bucket.objects[f"models/tiny_image/1/{path}"]
    answer = fetch(bucket, tmp_path)

    assert answer.returncode == 1
    assert said in answer.stderr
    assert repository.versions(tmp_path / "tiny_image") == []
    assert not list(tmp_path.glob("tiny_image/**/*.pb"))


def test_one_bad_version_does_not_keep_the_others_away(bucket: Bucket, tmp_path: Path, saved_models: Path) -> None:
    publish(bucket, saved_models, 2)
    bucket.objects["models/tiny_image/2/saved_model.pb"] = b""

    answer = fetch(bucket, tmp_path)

    assert "tiny_image version 2" in answer.stderr
    assert answer.returncode == 0, "a pod has to start with the last good version"
    assert repository.versions(tmp_path / "tiny_image") == [1]


def test_the_newest_and_the_labeled_versions_are_kept_and_no_others(
    bucket: Bucket, tmp_path: Path, saved_models: Path
) -> None:
    fetch(bucket, tmp_path)
    for version in (2, 3, 4):
        publish(bucket, saved_models, version)
    bucket.objects["models/tiny_image/labels.json"] = json.dumps({"stable": 2}).encode()
    answer = fetch(bucket, tmp_path, "--keep", "1")

    assert answer.returncode == 0, answer.stderr
    assert repository.versions(tmp_path / "tiny_image") == [2, 4]
    assert repository.read_labels(tmp_path / "tiny_image") == {"stable": 2}


def test_a_label_moves_only_once_its_version_is_whole(bucket: Bucket, tmp_path: Path, saved_models: Path) -> None:
    labels = "models/tiny_image/labels.json"
    bucket.objects[labels] = b'{"stable": 1}'
    fetch(bucket, tmp_path)
    publish(bucket, saved_models, 2)
    good = bucket.objects["models/tiny_image/2/saved_model.pb"]
    bucket.objects["models/tiny_image/2/saved_model.pb"] = good[:100]
    bucket.objects[labels] = b'{"stable": 2, "canary": 1}'
    answer = fetch(bucket, tmp_path)

    assert "the label stable names version 2, which is not here" in answer.stderr
    assert repository.read_labels(tmp_path / "tiny_image") == {"stable": 1, "canary": 1}

    bucket.objects["models/tiny_image/2/saved_model.pb"] = good
    fetch(bucket, tmp_path)

    assert repository.read_labels(tmp_path / "tiny_image") == {"stable": 2, "canary": 1}

    bucket.objects[labels] = b"{}"
    fetch(bucket, tmp_path)

    assert repository.read_labels(tmp_path / "tiny_image") == {}


def test_a_damaged_labels_file_leaves_labels_and_versions_as_they_were(
    bucket: Bucket, tmp_path: Path, saved_models: Path
) -> None:
    bucket.objects["models/tiny_image/labels.json"] = b'{"stable": 1}'
    fetch(bucket, tmp_path)
    for version in (2, 3):
        publish(bucket, saved_models, version)
    bucket.objects["models/tiny_image/labels.json"] = b'{"stable'
    answer = fetch(bucket, tmp_path, "--keep", "1")

    assert "labels.json must be an object" in answer.stderr
    assert repository.read_labels(tmp_path / "tiny_image") == {"stable": 1}
    assert repository.versions(tmp_path / "tiny_image") == [1, 3]


def test_what_a_killed_copy_left_is_cleared_away(bucket: Bucket, tmp_path: Path) -> None:
    for name in (".1.arriving", ".7.arriving", ".3.gone"):
        left = tmp_path / "tiny_image" / name
        left.mkdir(parents=True)
        (left / "rest").write_text("of yesterday")

    assert fetch(bucket, tmp_path).returncode == 0
    assert sorted(entry.name for entry in (tmp_path / "tiny_image").iterdir()) == ["1"]


def test_a_follower_finds_what_comes_later_and_ends_at_sigterm(
    bucket: Bucket, tmp_path: Path, saved_models: Path
) -> None:
    command = [sys.executable, "-m", "serving.store", "--to", str(tmp_path), "--every", "0.1"]
    env = {**os.environ, **bucket.env, "MODELS_FROM": "s3://bucket/models"}
    with subprocess.Popen(command, cwd=CHECKOUT, env=env, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "version 1" in process.stderr.readline()
        publish(bucket, saved_models, 2)
        assert "version 2" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("url", "said"),
    [
        pytest.param("s3://bucket/nothing", "holds no version", id="an empty place"),
        pytest.param("ftp://bucket/models", "s3://BUCKET/PATH", id="another protocol"),
    ],
)
def test_a_wrong_address_is_one_sentence(bucket: Bucket, tmp_path: Path, url: str, said: str) -> None:
    answer = fetch(bucket, tmp_path, url=url)

    assert answer.returncode == 1
    assert said in answer.stderr
    assert "Traceback" not in answer.stderr


def test_paths_that_lead_elsewhere_are_left_out() -> None:
    found = offered(["m/1/../../../x", "../m/1/a", "m/0/a", "m/x/a", ".m/1/a", "m/2/a", "m/2/b/c", "m/labels.json"])

    assert found.keys() == {"m"}
    assert dataclasses.asdict(found["m"]) == {"versions": {2: ["a", "b/c"]}, "has_labels": True}


def test_an_address_of_google_is_understood_and_a_path_is_not() -> None:
    assert "bucket" in repr(opened("gs://bucket/models"))
    with pytest.raises(BadInput, match="is no bucket"):
        opened("models")


def test_a_folder_serves_as_a_bucket_too(bucket: Bucket, tmp_path: Path, saved_models: Path) -> None:
    shutil.copytree(saved_models / "tiny_text", tmp_path / "shelf" / "tiny_text")
    answer = fetch(bucket, tmp_path / "models", url=f"file://{tmp_path}/shelf")

    assert answer.returncode == 0, answer.stderr
    assert repository.versions(tmp_path / "models" / "tiny_text") == [1]
