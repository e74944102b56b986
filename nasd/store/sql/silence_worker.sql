-- A worker whose beats stood still counts as gone until it beats again.
update nasd_core.worker set state = 'left' where id = %(worker)s and beats = %(beats)s
