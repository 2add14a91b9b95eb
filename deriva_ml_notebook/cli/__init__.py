"""The commands for notebooks: arguments, exit codes and printing."""
