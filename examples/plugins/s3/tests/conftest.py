pytest_plugins = ["deriva_ml.testing"]
