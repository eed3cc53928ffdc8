-- What has not started is not over: its pairs may all be taken back, and others added. So a drop without pairs is past since its
-- start at the earliest. `over_since`, which the release before reads, has no such rule.
alter table drops add column past_since timestamptz generated always as (
    least(case when sold_out_since is not null then greatest(sold_out_since, starts_at) end, ends_at)
) stored;
create index drops_past_since on drops (past_since desc, id desc);

-- With `edit_version`: nodes follow edits, whatever is sold meanwhile.
create or replace view current_drops as
with recursive held as (
    (select drop_id from reservations where status = 'active' order by drop_id limit 1)
    union all
    select next.* from held cross join lateral (
        select drop_id from reservations where status = 'active' and drop_id > held.drop_id order by drop_id limit 1
    ) next
)
select id, version, edit_version from drops where (past_since is null or past_since > now()) and status = 'published'
union
(select id, version, edit_version from drops where past_since <= now() and status = 'published'
 order by past_since desc, id desc limit 12)
union
select id, version, edit_version from drops where id in (select drop_id from held) and status = 'published';
