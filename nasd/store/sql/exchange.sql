-- Reports completed evaluations and leases more, in one transaction; always one row.
select nasd_api.exchange_v1(%(worker)s, %(duration)s, %(reports)s, %(backoff)s, %(n)s)
