"""Assets: input specs and cache, output staging, upload and download."""
