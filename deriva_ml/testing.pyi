# Written by `python -m deriva_ml._names` from the table there; a test compares them.

from deriva_ml_core.testing.fixtures import deriva_catalog as deriva_catalog
from deriva_ml_core.testing.fixtures import deriva_execution as deriva_execution
from deriva_ml_core.testing.fixtures import deriva_home as deriva_home
from deriva_ml_core.testing.fixtures import deriva_project as deriva_project
from deriva_ml_core.testing.project import ProjectFolder as ProjectFolder
from deriva_ml_core.testing.suites import AssetHandlerSuite as AssetHandlerSuite
from deriva_ml_core.testing.suites import ObserverSuite as ObserverSuite
from deriva_ml_core.testing.suites import OutputPreparerSuite as OutputPreparerSuite

__all__: list[str] = ['AssetHandlerSuite', 'ObserverSuite', 'OutputPreparerSuite', 'ProjectFolder', 'deriva_catalog', 'deriva_execution', 'deriva_home', 'deriva_project']
