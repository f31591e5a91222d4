"""The commands of README and docs/deployment.md name what there is."""

import re

import pytest

from tests.k8s import rendered
from tests.processes import CHECKOUT

DOCUMENTS = {name: (CHECKOUT / name).read_text() for name in ("README.md", "docs/deployment.md", "docs/gpu.md")}


def commands(name: str) -> list[str]:
    """Lines to copy that talk to Docker or to a cluster."""
    return re.findall(r"^ {4}((?:docker|kind|kubectl) .*)$", DOCUMENTS[name], re.MULTILINE)


@pytest.mark.parametrize("name", ["README.md", "docs/deployment.md"])
def test_six_commands_lead_from_a_cluster_to_a_photo(name: str) -> None:
    found = commands(name)

    assert len(found) == 6
    assert found == commands("README.md")
    photo = re.search(r"--data-binary @(\S+)", found[-1])
    assert photo is not None
    assert (CHECKOUT / photo[1]).is_file()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_overlays_and_objects_that_are_named_exist(name: str) -> None:
    folders = re.findall(r"((?<!tests/)k8s/[\w/.-]+|(?:components|overlays)/[\w-]+)", DOCUMENTS[name])
    kinds = {"service": "Service", "deployment": "Deployment", "cronjob": "CronJob"}
    named = re.findall(rf"\b({'|'.join(kinds)})/(\w+)", " ".join(commands(name)))

    assert folders
    for folder in folders:
        assert (CHECKOUT / folder.rstrip(".")).exists() or (CHECKOUT / "k8s" / folder).exists(), folder
    for kind, called in named:
        rendered.named(rendered.base_files(), kinds[kind], called)


def test_every_component_and_overlay_is_described() -> None:
    text = DOCUMENTS["docs/deployment.md"]

    assert [name for name in rendered.COMPONENTS if name not in text] == []
    assert [name for name in rendered.OVERLAYS if f"overlays/{name}" not in text] == []


def test_the_images_that_are_loaded_are_those_that_the_laptop_runs() -> None:
    loaded = set(re.findall(r"slipway-\w+:\S+", commands("README.md")[1]))
    if reason := rendered.kubectl_is_missing():
        pytest.skip(reason)
    objects = rendered.rendered("overlays/laptop")

    assert loaded == {c["image"] for _, pod in rendered.templates(objects) for c in rendered.containers(pod)}
