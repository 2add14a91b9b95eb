"""A dataset in the hands of its user: who used it, where to look, and in a few words."""

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from deriva_ml_core.datasets.bag import DatasetBag
from deriva_ml_core.datasets.dataset import Dataset, create_dataset
from deriva_ml_core.errors import DerivaMLException


@pytest.fixture
def ml(open_ml, image_session, dataset):  # after the model has its tables
    return open_ml(image_session.catalog_id)


def test_a_dataset_tells_who_used_it(ml, dataset, workflow):
    """The executions that had it as an input, as records; the nested ones' handles know it too."""
    with ml.create_execution(workflow=workflow, datasets=[dataset.dataset_rid]) as execution:
        (given,) = execution.list_input_datasets()
    mine = ml.lookup_dataset(dataset.dataset_rid)

    assert [one.execution_rid for one in mine.list_executions()] == [execution.execution_rid]
    assert [one.execution_rid for one in given.list_executions()] == [execution.execution_rid]
    assert given.download_dataset_bag("1.0.0").dataset_rid == dataset.dataset_rid
    parent = Dataset.create_dataset(ml, execution.execution_rid, ["Complete"], "of all")
    parent.add_dataset_members([dataset.dataset_rid])
    assert len(parent.list_dataset_children()[0].list_executions()) == 1
    assert parent.dataset_history()[0].execution_rid == execution.execution_rid
    with pytest.raises(DerivaMLException, match="lookup_dataset"):
        dataset.list_executions()


def test_a_dataset_is_made_from_a_handle_and_a_rid(ml, dataset, images):
    """As projects do; what is not given is read."""
    made = Dataset(ml, dataset.dataset_rid)

    assert made == dataset
    assert made.description == "digits"
    assert [row["RID"] for row in made.list_dataset_members()["Image"]] == sorted(images[:4])
    made.description = "numbers"
    assert Dataset(ml, dataset.dataset_rid, "numbers").description == made.description == "numbers"


def test_a_few_words_of_markdown(image_session, dataset, capsys):
    """A line each, the nested ones below; a notebook shows them, a terminal prints them."""
    parent = create_dataset(image_session, dataset_types=["Complete", "Labeled"], description="all\nof it")
    parent.add_dataset_members([dataset.dataset_rid])

    first, second = parent.to_markdown(show_children=True).splitlines()
    assert first == f"- [{parent.dataset_rid}]({parent.get_chaise_url()}) 0.2.0 (Complete, Labeled): all of it"
    assert second == f"  - [{dataset.dataset_rid}]({dataset.get_chaise_url()}) 1.0.0 (Training): digits"
    assert parent.to_markdown() == first
    parent.display_markdown()
    assert f"{parent.dataset_rid} 0.2.0 (Complete, Labeled): all of it" in capsys.readouterr().out


def test_a_notebook_shows_markdown(dataset, capsys):
    """Where IPython runs: here in a terminal, which shows what the notebook would get as text."""
    no_history = Config({"HistoryManager": {"enabled": False}})  # it would write to disk, from a thread that stays
    shell = InteractiveShell.instance(config=no_history)
    try:
        dataset.display_markdown()
    finally:
        InteractiveShell.clear_instance()

    assert shell is not None
    assert "Markdown object" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["current_version", "dataset_types", "description", "dataset_rid"])
def test_a_bag_says_the_same_as_its_dataset(dataset, name):
    """Under the same names."""
    assert getattr(dataset.download_dataset_bag("1.0.0"), name) == getattr(dataset, name)


def test_a_bag_is_opened_by_its_folder_or_by_another_handle(dataset):
    """As code of the former generation makes one, with what its maker knows."""
    bag = dataset.download_dataset_bag("1.0.0")
    same = DatasetBag(bag, dataset.dataset_rid, ["Labeled"], "Mine", "1-EXEC")

    assert same.list_dataset_members() == DatasetBag(str(bag.path)).list_dataset_members()
    assert (same.dataset_types, same.description, same.execution_rid) == (["Labeled"], "Mine", "1-EXEC")


def test_arguments_without_a_meaning_are_told_and_slips_refused(dataset, caplog):
    """Existing projects may pass what nobody reads; a misspelt name would get the answer to another question."""
    bag = dataset.download_dataset_bag("1.0.0")
    for one in (dataset, bag):
        assert one.list_dataset_members(True, None, None, "1.0.0", quietly=True) == one.list_dataset_members()
        assert "'quietly' has no meaning" in caplog.text
        caplog.clear()
        for call in (one.list_dataset_members, one.list_dataset_children, one.list_dataset_parents):
            with pytest.raises(TypeError, match="did you mean 'version'"):
                call(verison="0.1.0")
        for call in (one.denormalize_as_dict, one.denormalize_as_dataframe):
            with pytest.raises(TypeError, match="did you mean 'joins'"):
                call(["Image"], join=["Image.Subject"])
