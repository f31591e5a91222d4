"""CSV files as training data: what is read out of them, and what is refused with which words."""

from pathlib import Path

import pytest

pytest.importorskip("tensorflow", reason="needs TensorFlow: make install")

import numpy as np

from serving.card import ImageInput
from serving.errors import BadInput
from training import datasets, regression, table_network, table_source
from training.datasets import SourceChoice
from training.prepared_cache import prepared
from training.recipe import BuildContext, SourceSpec
from training.table_source import TableFile

from .conftest import SILENT

HOUSES = "rooms,area,garden,price\n" + "".join(
    f'{1 + row % 5},"{30 + 7 * row % 90}.5",1,{100 + 10 * row}\n' for row in range(40)
)


def table(text: str, target: str = "price") -> TableFile:
    return TableFile(text.encode(), "houses", target)


def test_numbers_in_the_target_make_values_and_split_the_same_way_every_time(tmp_path: Path) -> None:
    source = table(HOUSES)

    data = prepared(source, source.input(), tmp_path, SILENT, lambda labels: None)

    assert data.labels == ()
    assert [len(split) for split in (data.train, data.validation, data.test)] == [32, 4, 4]
    assert data.train.labels.dtype == np.float32
    row = int(data.test.names[0].split()[1]) - 2  # the first line holds the names
    np.testing.assert_array_equal(data.test.batch([0], source.input()), [[1 + row % 5, 30.5 + 7 * row % 90, 1]])
    assert data.test.labels[0] == 100 + 10 * row
    assert table(HOUSES).read().test[0].name == data.test.names[0]


def test_the_columns_carry_their_range_in_the_training_rows() -> None:
    columns = table(HOUSES).input().columns

    assert [column.name for column in columns] == ["rooms", "area", "garden"]
    assert (columns[0].low, columns[0].high) == (1, 5)


def test_words_in_the_target_make_labels() -> None:
    source = table("a,side\n" + "".join(f"{row},{('left', 'right')[row % 2]}\n" for row in range(40)), "side")

    raw = source.read()

    assert raw.labels == ("left", "right")
    assert {one.label for one in raw.test} == {"left", "right"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("", "holds no table", id="empty"),
        pytest.param("rooms,price\n", "holds no table", id="names-alone"),
        pytest.param("rooms,rooms,price\n1,2,3\n", "needs a name of its own", id="name-twice"),
        pytest.param("rooms,,price\n1,2,3\n", "needs a name of its own", id="no-name"),
        pytest.param("rooms,area\n1,2\n", "has no column 'price': --target is one of rooms, area", id="no-target"),
        pytest.param("price\n1\n2\n", "has one column alone", id="target-alone"),
        pytest.param("rooms,price\n1,2\n1,2,3\n", "line 3 of houses has 3 cells and the first 2", id="long-line"),
        pytest.param("rooms,city,price\n1,Oslo,2\n", "column 'city' holds 'Oslo' in line 2", id="words"),
        pytest.param("rooms,price\n1,2\n,3\n", "column 'rooms' holds '' in line 3", id="empty-cell"),
        pytest.param("rooms,price\n1,2\n3,\n", "line 3 of the table has no price", id="no-answer"),
        pytest.param("rooms,price\n1,2\n3,nan\n", "the price in line 3 is not finite", id="no-number-as-answer"),
        pytest.param("rooms,price\n1,-inf\n3,1\n", "the price in line 2 is not finite", id="endless-answer"),
        pytest.param("rooms,price\n1,1e39\n3,1\n", "the price in line 2 is not finite", id="answer-beyond-float32"),
        pytest.param("rooms,price\n1,2\n", "1 rows are too few", id="too-few"),
        pytest.param("rooms,price\n1,in\xe9\n", "cannot be read as CSV in UTF-8", id="latin-1"),
        pytest.param('rooms,price\n1,"2\n', "cannot be read as CSV", id="open-quote"),
    ],
)
def test_what_is_no_table_is_refused_with_the_line_or_the_column(text: str, complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        TableFile(text.encode("latin-1"), "houses", "price").input()


def test_a_number_that_is_not_finite_is_named_with_its_row(tmp_path: Path) -> None:
    source = table(HOUSES.replace("2,", "nan,", 1))

    with pytest.raises(BadInput, match="column 'rooms' must be finite"):
        source.input()


def test_a_file_with_the_mark_of_excel_and_blank_lines_is_read() -> None:
    assert table("\ufeff" + HOUSES.replace("\n", "\r\n")).input() == table(HOUSES).input()
    assert len(table(HOUSES + "\n\n").read().train) == len(table(HOUSES).read().train)


@pytest.mark.parametrize(
    ("choice", "complaint"),
    [
        pytest.param(SourceChoice(target="x"), "no file: give --data-dir a CSV file", id="no-file"),
        pytest.param(SourceChoice(data_dir=Path("nowhere.csv"), target="x"), "nowhere.csv is no file", id="nowhere"),
        pytest.param(SourceChoice(data_dir=Path(__file__)), "--target names the column", id="no-target"),
        pytest.param(SourceChoice(kind="sample", target="x"), "--target names a column of a table", id="not-a-table"),
    ],
)
def test_a_table_needs_its_file_and_its_target(choice: SourceChoice, complaint: str) -> None:
    spec = SourceSpec(kind="table", dataset="table")

    with pytest.raises(BadInput, match=complaint):
        datasets.open_source(spec, choice)


def test_a_recipe_of_pictures_refuses_a_table_and_the_reverse(pictures: Path) -> None:
    picture_source = datasets.open_source(SourceSpec(kind="directory", dataset="x"), SourceChoice(data_dir=pictures))
    table_input, picture_input = table(HOUSES).input(), ImageInput(height=8, width=8)

    with pytest.raises(BadInput, match="the recipe takes a table, not directory"):
        datasets.input_of(table_input, picture_source)
    with pytest.raises(BadInput, match="the recipe takes images, not table"):
        datasets.input_of(picture_input, table(HOUSES))


@pytest.mark.parametrize("scaling", ["standard", "minmax"])
def test_scaling_is_measured_on_the_training_rows_and_stands_inside_the_network(scaling: str, tmp_path: Path) -> None:
    source = table(HOUSES)
    data = prepared(source, source.input(), tmp_path, SILENT, lambda labels: None)
    context = BuildContext(
        input=source.input(), labels=(), train=data.train, seed=0, backbone_weights="none",
        settings={"scaling": scaling, "hidden": (4,)}, cache_dir=tmp_path,
    )  # fmt: skip
    network = table_network.build(context)

    scaled = np.asarray(network.get_layer("scaled")(data.train.inputs))

    assert network.output_shape == (None, 1)
    assert not scaled[:, 2].any()  # a column of one value
    if scaling == "standard":
        np.testing.assert_allclose([scaled[:, :2].mean(axis=0), scaled[:, :2].std(axis=0)], [[0, 0], [1, 1]], atol=1e-5)
    else:
        np.testing.assert_allclose([scaled[:, :2].min(axis=0), scaled[:, :2].max(axis=0)], [[0, 0], [1, 1]], atol=1e-6)


def test_the_errors_of_a_number_are_those_of_the_textbook() -> None:
    found = regression.measure(np.array([[1.0], [2.0], [6.0]]), np.array([1.0, 4.0, 4.0]))

    assert found.examples == 3
    assert found.mae == pytest.approx(4 / 3)
    assert found.rmse == pytest.approx((8 / 3) ** 0.5)
    assert found.r2 == pytest.approx(1 - 8 / 6)
    assert regression.measure(np.array([2.0, 3.0]), np.array([5.0, 5.0])).r2 == 0


def test_what_is_minimized_does_not_depend_on_the_unit() -> None:
    truth, values = np.array([1.0, 4.0, 4.0], np.float32), np.array([[1.0], [2.0], [6.0]], np.float32)

    small = np.mean(regression.loss(truth)(truth, values))
    large = np.mean(regression.loss(1000 * truth)(1000 * truth, 1000 * values))

    assert float(small) == pytest.approx(1 - regression.measure(values, truth).r2)
    assert float(large) == pytest.approx(float(small), rel=1e-5)


def test_built_in_tables_are_the_same_for_everybody() -> None:
    first, again = table_source.sample("sample_xor"), table_source.sample("sample_xor")

    assert first is not None
    assert again is not None
    assert first.content == again.content
    assert first.read().labels == ("no", "yes")
    assert table_source.sample("shapes") is None
