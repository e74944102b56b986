-- Everything that is leased now.
select evaluation_id, token::text, renewals, duration_s from nasd_core.lease order by evaluation_id
