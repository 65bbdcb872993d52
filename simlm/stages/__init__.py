"""The steps of the pipeline as configurations, each cached in a folder that its configuration names."""
