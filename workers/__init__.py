"""Workers: lease evaluations from Postgres, carry them out on this machine, report.

They know nothing of the controller or of strategies; the two sides meet in Postgres.
"""
