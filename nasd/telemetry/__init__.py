"""Floor 3: Prometheus series. What they count is handed over by the loops and by workers; nothing is decided here."""
