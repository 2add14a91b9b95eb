"""Datasets take the names, parameters and defaults that projects of the 1.2 generation use (COMPAT section 18)."""

import inspect

import pytest

from deriva_ml_core.connection import DerivaML
from deriva_ml_core.connection.splitting import split_dataset
from deriva_ml_core.datasets.bag import DatasetBag
from deriva_ml_core.datasets.dataset import Dataset
from deriva_ml_core.datasets.selection import random_split, stratified_split
from deriva_ml_core.executions.execution import Execution

# Left out: parameters with which its methods call themselves (_visited, _skip_version_increment), **kwargs, and the
# making of a DatasetBag, which is what download_dataset_bag returns.
DATASET = """
__init__(catalog, dataset_rid, description='', execution_rid=None)
create_dataset(ml_instance, execution_rid, dataset_types=None, description='', version=None)
add_dataset_type(dataset_type)
remove_dataset_type(dataset_type)
add_dataset_types(dataset_types)
list_dataset_element_types()
find_features(table)
dataset_history()
get_chaise_url()
to_markdown(show_children=False, indent=0)
display_markdown(show_children=False, indent=0)
increment_dataset_version(component, description='', execution_rid=None)
list_dataset_members(recurse=False, limit=None, version=None)
denormalize_as_dataframe(include_tables, version=None)
denormalize_as_dict(include_tables, version=None)
add_dataset_members(members, validate=True, description='', execution_rid=None)
delete_dataset_members(members, description='', execution_rid=None)
list_dataset_parents(recurse=False, version=None)
list_dataset_children(recurse=False, version=None)
list_executions()
download_dataset_bag(version, materialize=True, use_minid=False, exclude_tables=None)
"""
BAG = """
list_tables()
get_table_as_dict(table)
dataset_history()
list_dataset_members(recurse=False, limit=None, version=None)
find_features(table)
list_feature_values(table, feature_name)
list_dataset_element_types()
list_dataset_children(recurse=False, version=None)
list_dataset_parents(recurse=False, version=None)
list_executions()
denormalize_as_dataframe(include_tables, version=None)
denormalize_as_dict(include_tables, version=None)
restructure_assets(output_dir, asset_table=None, group_by=None, use_symlinks=True, type_selector=None, \
type_to_dir_map=None, enforce_vocabulary=True, value_selector=None)
"""
HANDLE = """
find_datasets(deleted=False)
lookup_dataset(dataset, deleted=False)
delete_dataset(dataset, recurse=False)
list_dataset_element_types()
add_dataset_element_type(element)
download_dataset_bag(dataset)
create_feature(target_table, feature_name, terms=None, assets=None, metadata=None, optional=None, comment='', \
update_navbar=True)
feature_record_class(table, feature_name)
delete_feature(table, feature_name)
lookup_feature(table, feature_name)
find_features(table=None)
list_feature_values(table, feature_name)
add_files(files, execution_rid, dataset_types=None, description='')
"""
EXECUTION = """
download_dataset_bag(dataset)
add_features(features)
list_input_datasets()
create_dataset(dataset_types=None, version=None, description='')
add_files(files, dataset_types=None, description='')
"""
CALLED = {
    f"{owner.__name__}.{line}": (getattr(owner, line.partition("(")[0]), line)
    for owner, lines in ((Dataset, DATASET), (DatasetBag, BAG), (DerivaML, HANDLE), (Execution, EXECUTION))
    for line in lines.strip().splitlines()
} | {
    line: (function, line)
    for function, line in (
        (random_split, "random_split(df, train_size, test_size, seed)"),
        (stratified_split, "stratified_split(stratify_column)"),
        (
            split_dataset,
            "split_dataset(ml, source_dataset_rid, *, test_size=0.2, train_size=None, shuffle=True, seed=42, "
            "stratify_by_column=None, split_description='', training_types=None, testing_types=None, "
            "element_table=None, include_tables=None, selection_fn=None, workflow_type='Dataset_Split', dry_run=False)",
        ),
    )
}


@pytest.mark.parametrize("call", CALLED)
def test_parameters_have_their_names_places_and_defaults(call):
    """What is more than theirs comes after, has a default, and what they must give may be left out."""
    function, line = CALLED[call]
    theirs = inspect.signature(eval(f"lambda {line.partition('(')[2].removesuffix(')')}: None"))  # a line of this file
    ours = {name: p for name, p in inspect.signature(function).parameters.items() if name not in ("self", "cls")}

    for (name, one), other in zip(theirs.parameters.items(), ours.values(), strict=False):
        if one.kind is one.POSITIONAL_OR_KEYWORD:
            assert (other.name, other.kind) == (name, one.kind)
        if one.default is not one.empty:
            assert ours[name].default == one.default
    assert set(theirs.parameters) <= set(ours)
    more = [p for name, p in ours.items() if name not in theirs.parameters]
    assert [p.name for p in more if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)] == []


@pytest.mark.parametrize("name", ["current_version", "dataset_types", "description", "dataset_rid"])
def test_properties_are_there(image_session, dataset, name):
    """Of a dataset and of its bag, and the same."""
    bag = dataset.download_dataset_bag("1.0.0")

    assert getattr(bag, name) == getattr(dataset, name)
