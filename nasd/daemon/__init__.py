"""Floor 4: the controller's loops. They read, call the pure decisions, and carry them out."""
