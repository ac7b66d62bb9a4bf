"""The asset registry: an inventory of infrastructure with a REST API."""
