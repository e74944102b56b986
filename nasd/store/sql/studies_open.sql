-- Studies that somebody works on, oldest first.
select id, name, spec, data, state, used_s, strategy_version, reference, joined, wanted
from nasd_core.study where state in ('running', 'paused') order by id
