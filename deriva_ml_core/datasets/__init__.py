"""Datasets: specs, versions, members, bag export, the bag cache and DatasetBag."""
