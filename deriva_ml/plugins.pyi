# Written by `python -m deriva_ml._names` from the table there; a test compares them.

from deriva_ml_core.errors import PluginError as PluginError
from deriva_ml_core.errors import PluginHookError as PluginHookError
from deriva_ml_core.hookspecs import hookimpl as hookimpl
from deriva_ml_core.hookspecs import hookspec as hookspec
from deriva_ml_core.hookvalues import AssetRef as AssetRef
from deriva_ml_core.hookvalues import Catalog as Catalog
from deriva_ml_core.hookvalues import ChildEnd as ChildEnd
from deriva_ml_core.hookvalues import Claim as Claim
from deriva_ml_core.hookvalues import CommittedOutput as CommittedOutput
from deriva_ml_core.hookvalues import ExecutionFacts as ExecutionFacts
from deriva_ml_core.hookvalues import Fetched as Fetched
from deriva_ml_core.hookvalues import FurtherOutput as FurtherOutput
from deriva_ml_core.hookvalues import InputFile as InputFile
from deriva_ml_core.hookvalues import MetadataDocument as MetadataDocument
from deriva_ml_core.hookvalues import NewColumn as NewColumn
from deriva_ml_core.hookvalues import NewTable as NewTable
from deriva_ml_core.hookvalues import NewTerm as NewTerm
from deriva_ml_core.hookvalues import OutputFile as OutputFile
from deriva_ml_core.hookvalues import Prepared as Prepared
from deriva_ml_core.hookvalues import Progress as Progress
from deriva_ml_core.hookvalues import RedactionRules as RedactionRules
from deriva_ml_core.hookvalues import Reporter as Reporter
from deriva_ml_core.hookvalues import StoredObject as StoredObject
from deriva_ml_core.hookvalues import Subcommand as Subcommand
from deriva_ml_core.hookvalues import SweepOutline as SweepOutline
from deriva_ml_core.hookvalues import Transfer as Transfer
from deriva_ml_core.plugins import PluginChoice as PluginChoice
from deriva_ml_core.plugins import PluginInfo as PluginInfo
from deriva_ml_core.plugins import Plugins as Plugins

__all__: list[str] = ['AssetRef', 'Catalog', 'ChildEnd', 'Claim', 'CommittedOutput', 'ExecutionFacts', 'Fetched', 'FurtherOutput', 'InputFile', 'MetadataDocument', 'NewColumn', 'NewTable', 'NewTerm', 'OutputFile', 'PluginChoice', 'PluginError', 'PluginHookError', 'PluginInfo', 'Plugins', 'Prepared', 'Progress', 'RedactionRules', 'Reporter', 'StoredObject', 'Subcommand', 'SweepOutline', 'Transfer', 'hookimpl', 'hookspec']
