-- Workers that have not left. Whether they live is for the reader to judge: by `beats` standing still.
select id, name, device_kind, stages, studies, beats, last_seen_at, packages, offers, memory_mib,
       nasd_core.is_draining(login)
from nasd_core.worker where state = 'live' order by id
