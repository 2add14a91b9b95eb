"""Calls of the 1.2 generation run unchanged: every name, place and default that COMPAT section 18 lists."""

import inspect

import pytest

from deriva_ml_core.cli.split import main
from deriva_ml_core.connection import DerivaML
from deriva_ml_core.connection.splitting import split_dataset
from deriva_ml_core.datasets.bag import DatasetBag
from deriva_ml_core.datasets.dataset import Dataset
from deriva_ml_core.datasets.selection import random_split, stratified_split
from deriva_ml_core.executions.asset import Asset
from deriva_ml_core.executions.execution import Execution
from deriva_ml_core.executions.record import ExecutionRecord
from deriva_ml_core.workflows.workflow import Workflow

# Left out, as section 18 does itself: helpers for annotations and Chaise pages (apply_catalog_annotations, add_page)
# and for clones of catalogs (catalog_provenance). Not there yet: table_path, lookup_experiment, find_experiments.
DERIVA_ML = """
instantiate(config)
__init__(hostname, catalog_id, domain_schemas=None, default_schema=None, project_name=None, cache_dir=None, \
working_dir=None, hydra_runtime_output_dir=None, ml_schema='deriva-ml', logging_level=30, deriva_logging_level=30, \
credential=None, s3_bucket=None, use_minid=None, check_auth=True, clean_execution_dir=True)
is_snapshot()
catalog_snapshot(version_snapshot)
download_dir(cached=False)
globus_login(host)
chaise_url(table)
cite(entity, current=False)
user_list()
create_vocabulary(vocab_name, comment='', schema=None, update_navbar=True)
create_table(table, schema=None, update_navbar=True)
clear_cache(older_than_days=None)
get_cache_size()
list_execution_dirs()
clean_execution_dirs(older_than_days=None, exclude_rids=None)
get_storage_summary()
validate_schema(strict=False)
create_asset(asset_name, column_defs=None, fkey_defs=None, referenced_tables=None, comment='', schema=None, \
update_navbar=True)
list_assets(asset_table)
list_asset_executions(asset_rid, asset_role=None)
lookup_asset(asset_rid)
list_asset_tables()
find_assets(asset_table=None, asset_type=None)
find_datasets(deleted=False)
lookup_dataset(dataset, deleted=False)
delete_dataset(dataset, recurse=False)
list_dataset_element_types()
add_dataset_element_type(element)
download_dataset_bag(dataset)
create_execution(configuration, workflow=None, dry_run=False)
lookup_execution(execution_rid)
restore_execution(execution_rid=None)
find_executions(workflow=None, workflow_type=None, status=None)
create_feature(target_table, feature_name, terms=None, assets=None, metadata=None, optional=None, comment='', \
update_navbar=True)
feature_record_class(table, feature_name)
delete_feature(table, feature_name)
lookup_feature(table, feature_name)
find_features(table=None)
list_feature_values(table, feature_name)
add_files(files, execution_rid, dataset_types=None, description='')
list_files(file_types=None)
pathBuilder()
domain_path(schema=None)
get_table_as_dataframe(table)
get_table_as_dict(table)
resolve_rid(rid)
retrieve_rid(rid)
resolve_rids(rids, candidate_tables=None)
clear_vocabulary_cache(table=None)
add_term(table, term_name, description, synonyms=None, exists_ok=True)
lookup_term(table, term_name)
list_vocabulary_terms(table)
delete_term(table, term_name)
find_workflows()
add_workflow(workflow)
lookup_workflow(rid)
lookup_workflow_by_url(url_or_checksum)
create_workflow(name, workflow_type, description='')
"""
DATASET = """
__init__(catalog, dataset_rid, description='', execution_rid=None)
create_dataset(ml_instance, execution_rid, dataset_types=None, description='', version=None)
add_dataset_type(dataset_type, _skip_version_increment=False)
remove_dataset_type(dataset_type)
add_dataset_types(dataset_types, _skip_version_increment=False)
list_dataset_element_types()
find_features(table)
dataset_history()
get_chaise_url()
to_markdown(show_children=False, indent=0)
display_markdown(show_children=False, indent=0)
increment_dataset_version(component, description='', execution_rid=None)
list_dataset_members(recurse=False, limit=None, _visited=None, version=None, **kwargs)
denormalize_as_dataframe(include_tables, version=None, **kwargs)
denormalize_as_dict(include_tables, version=None, **kwargs)
add_dataset_members(members, validate=True, description='', execution_rid=None)
delete_dataset_members(members, description='', execution_rid=None)
list_dataset_parents(recurse=False, _visited=None, version=None, **kwargs)
list_dataset_children(recurse=False, _visited=None, version=None, **kwargs)
list_executions()
download_dataset_bag(version, materialize=True, use_minid=False, exclude_tables=None)
"""
BAG = """
__init__(catalog, dataset_rid=None, dataset_types=None, description='', execution_rid=None)
list_tables()
get_table_as_dict(table)
dataset_history()
list_dataset_members(recurse=False, limit=None, _visited=None, version=None, **kwargs)
find_features(table)
list_feature_values(table, feature_name)
list_dataset_element_types()
list_dataset_children(recurse=False, _visited=None, version=None, **kwargs)
list_dataset_parents(recurse=False, _visited=None, version=None, **kwargs)
list_executions()
denormalize_as_dataframe(include_tables, version=None, **kwargs)
denormalize_as_dict(include_tables, version=None, **kwargs)
restructure_assets(output_dir, asset_table=None, group_by=None, use_symlinks=True, type_selector=None, \
type_to_dir_map=None, enforce_vocabulary=True, value_selector=None)
"""
EXECUTION = """
__init__(configuration, ml_object, workflow=None, reload=None, dry_run=False)
download_dataset_bag(dataset)
update_status(status, msg)
execution_start()
execution_stop()
download_asset(asset_rid, dest_dir, update_catalog=True, use_cache=False)
upload_assets(assets_dir)
upload_execution_outputs(clean_folder=None, progress_callback=None, max_retries=3, retry_delay=5.0, timeout=None, \
chunk_size=None)
asset_file_path(asset_name, file_name, asset_types=None, copy_file=False, rename_file=None, **kwargs)
execute()
add_features(features)
list_input_datasets()
list_assets(asset_role=None)
create_dataset(dataset_types=None, version=None, description='')
add_files(files, dataset_types=None, description='')
add_nested_execution(nested_execution, sequence=None)
list_nested_executions(recurse=False, _visited=None)
list_parent_executions(recurse=False, _visited=None)
is_nested()
is_parent()
"""
RECORD = """
__init__(execution_rid, workflow=None, status='Created', description=None, start_time=None, stop_time=None, \
duration=None, **kwargs)
update_status(status, status_detail='')
is_nested()
is_parent()
list_nested_executions(recurse=False, _visited=None)
list_parent_executions(recurse=False, _visited=None)
add_nested_execution(child, sequence=None)
list_input_datasets()
list_assets(asset_role=None)
"""
WORKFLOW = """
setup_url_checksum()
get_url_and_checksum(executable_path)
get_dynamic_version(root=None)
"""
ASSET = """
__init__(catalog, asset_rid, asset_table, filename='', url='', length=0, md5='', description='', asset_types=None, \
execution_rid=None)
list_executions(asset_role=None)
find_features()
list_feature_values(feature_name)
add_asset_type(type_name)
remove_asset_type(type_name)
download(dest_dir, update_catalog=False)
get_metadata()
get_chaise_url()
"""
SPLIT = """
random_split(df, train_size, test_size, seed)
stratified_split(stratify_column)
split_dataset(ml, source_dataset_rid, *, test_size=0.2, train_size=None, shuffle=True, seed=42, \
stratify_by_column=None, split_description='', training_types=None, testing_types=None, element_table=None, \
include_tables=None, selection_fn=None, workflow_type='Dataset_Split', dry_run=False)
main()
"""
OWNERS = (
    (DerivaML, DERIVA_ML),
    (Dataset, DATASET),
    (DatasetBag, BAG),
    (Execution, EXECUTION),
    (ExecutionRecord, RECORD),
    (Workflow, WORKFLOW),
    (Asset, ASSET),
)
FUNCTIONS = {one.__name__: one for one in (random_split, stratified_split, split_dataset, main)}
CALLED = {
    f"{owner.__name__}.{line}": (getattr(owner, line.partition("(")[0]), line)
    for owner, lines in OWNERS
    for line in lines.strip().splitlines()
} | {line: (FUNCTIONS[line.partition("(")[0]], line) for line in SPLIT.strip().splitlines()}
PROPERTIES = {
    Dataset: "dataset_types current_version",
    DatasetBag: "current_version",
    Execution: "status execution_record working_dir database_catalog catalog",
    ExecutionRecord: "workflow status description",
    Asset: "asset_types execution_rid",
}


@pytest.mark.parametrize("call", CALLED)
def test_parameters_have_their_names_places_and_defaults(call):
    """What is more than theirs comes after, has a default, and what they must give may be left out."""
    function, line = CALLED[call]
    theirs = inspect.signature(eval(f"lambda {line.partition('(')[2].removesuffix(')')}: None"))  # a line of this file
    ours = {name: p for name, p in inspect.signature(function).parameters.items() if name not in ("self", "cls")}
    named = {name: p for name, p in theirs.parameters.items() if p.kind is not p.VAR_KEYWORD}
    for (name, one), other in zip(named.items(), ours.values(), strict=False):
        if "update_status" in call:  # the newer generation has other names in these places: both are taken
            assert other.kind is other.POSITIONAL_OR_KEYWORD
        elif one.kind is one.POSITIONAL_OR_KEYWORD:
            assert (other.name, other.kind) == (name, one.kind)
        if one.default is not one.empty:
            assert ours[name].default == one.default
    assert set(named) <= set(ours)
    if len(named) < len(theirs.parameters):
        assert [p for p in ours.values() if p.kind is p.VAR_KEYWORD]
    more = [p for name, p in ours.items() if name not in theirs.parameters]
    assert [p.name for p in more if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)] == []


@pytest.mark.parametrize("owner", PROPERTIES)
def test_properties_are_there(owner):
    """Under their names, and not as methods."""
    assert [name for name in PROPERTIES[owner].split() if not isinstance(getattr(owner, name), property)] == []
