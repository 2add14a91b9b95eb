"""The ERMrest service of the embedded catalog."""
