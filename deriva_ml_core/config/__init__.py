"""Configuration: discovery, the five groups, experiments and multiruns, the menu, checks, and the Hydra application."""
