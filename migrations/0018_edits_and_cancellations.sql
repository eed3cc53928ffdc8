-- Nodes follow edits by `edit_version`, whatever is sold meanwhile.
create or replace view current_drops as
with recursive held as (
    (select drop_id from reservations where status = 'active' order by drop_id limit 1)
    union all
    select next.* from held cross join lateral (
        select drop_id from reservations where status = 'active' and drop_id > held.drop_id order by drop_id limit 1
    ) next
)
select id, version, edit_version from drops where (over_since is null or over_since > now()) and status = 'published'
union
(select id, version, edit_version from drops where over_since <= now() and status = 'published'
 order by over_since desc, id desc limit 12)
union
select id, version, edit_version from drops where id in (select drop_id from held) and status = 'published';

-- Every node asks which purchases were cancelled lately, and every page of a buyer which of theirs ever were. These indexes
-- are small, and a purchase that is made touches neither.
create index purchases_cancelled_lately on purchases (cancelled_at) where status = 'cancelled';
create index purchases_cancelled_of_user on purchases (user_id, id) where status = 'cancelled';
