"""Models of this project: functions that deriva-ml-run calls."""
