-- What the tables and functions of this revision may be used for.
grant select, insert, update, delete on nasd_core.artifact to __PREFIX___controller;
grant execute on all functions in schema nasd_core to __PREFIX___controller;
revoke all on function nasd_api.lease_v2 from public;
grant execute on function nasd_api.lease_v2 to __PREFIX___worker;
