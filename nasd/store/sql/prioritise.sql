-- Another order of what is still queued. Rows that somebody holds are being leased: they are left alone.
with wanted as (
    select * from unnest(%(ids)s::bigint[], %(priorities)s::integer[]) as w (id, priority)
), held as (
    select e.id from nasd_core.evaluation as e
    where e.id = any (%(ids)s::bigint[]) and e.state = 'queued' order by e.id for no key update skip locked
)
update nasd_core.evaluation as e set priority = w.priority
from wanted as w join held using (id)
where e.id = w.id and e.priority <> w.priority
