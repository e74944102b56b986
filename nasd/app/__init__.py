"""Floor 5: composition roots. Settings are read, stores and loops wired, and processes started here."""
