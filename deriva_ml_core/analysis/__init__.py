"""What executions tell together: which there are, how they differ, what came from what, and how a sweep went."""
