-- Every node asks which purchases were cancelled lately, and every page of a buyer which of theirs ever were. These indexes
-- are small, and a purchase that is made touches neither.
create index purchases_cancelled_lately on purchases (cancelled_at) where status = 'cancelled';
create index purchases_cancelled_of_user on purchases (user_id, id) where status = 'cancelled';
