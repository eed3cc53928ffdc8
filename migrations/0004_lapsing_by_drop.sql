-- What lapses next is asked drop by drop. With an index on the time alone, the planner at times looked for one drop's first
-- reservation among those of all drops, which took the longer the more of them there were; and each reservation paid for
-- the index.

drop index reservations_next_to_lapse;
