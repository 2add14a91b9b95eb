"""What the tests use: fixtures on the embedded catalog."""

pytest_plugins = ["deriva_ml.testing"]
