"""`python -m deriva_ml_core.cli.executions`."""

import sys

from deriva_ml_core.cli.executions import main

sys.exit(main())
