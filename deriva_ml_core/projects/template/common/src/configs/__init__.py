"""Configuration of this project. Every module here registers its options when it is imported."""
