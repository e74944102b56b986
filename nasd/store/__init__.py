"""Floor 3: Postgres rows and SQL. The only place, beside the roots, that knows a driver."""
