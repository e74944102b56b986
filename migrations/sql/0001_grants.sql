-- Nobody gets anything by default; then each role what its work needs.
revoke all on all functions in schema nasd_core, nasd_api from public;
grant usage on schema nasd_core, nasd_api, nasd to __PREFIX___controller;
grant select, insert, update, delete on all tables in schema nasd_core to __PREFIX___controller;
revoke update, delete on nasd_core.event, nasd_core.fact from __PREFIX___controller;
grant execute on all functions in schema nasd_core to __PREFIX___controller;
grant select on all tables in schema nasd to __PREFIX___controller;

grant usage on schema nasd_api to __PREFIX___worker;
grant execute on function nasd_api.register_v1, nasd_api.lease_v1, nasd_api.recipe_v1, nasd_api.renew_v1,
    nasd_api.give_back_v1, nasd_api.finish_v1, nasd_api.exchange_v1, nasd_api.beat_v1, nasd_api.leave_v1 to __PREFIX___worker;

grant usage on schema nasd to __PREFIX___reader;
grant select on all tables in schema nasd to __PREFIX___reader;
