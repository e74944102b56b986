"""A module as users write them that can't be imported."""

raise RuntimeError("half of it is missing")
