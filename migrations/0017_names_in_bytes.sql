-- Text whose uniqueness matters is compared byte by byte. An index in the order of a language breaks when another version of
-- the C library orders it anew, and then a name could exist twice.
alter table users alter column username_key type text collate "C";
alter table users alter column username_skeletons type text[] collate "C";
alter table users alter column username_scripts type text collate "C";
alter table drops alter column idempotency_key type text collate "C";
alter table drop_sizes alter column label type text collate "C";

-- Whether a name of other scripts looks the same: two searches for each of the two skeletons of a name, before and behind its
-- own scripts, however many names of one script look alike.
create index users_first_skeleton on users ((username_skeletons[1]), username_scripts);
create index users_second_skeleton on users ((username_skeletons[2]), username_scripts);
drop index users_username_skeletons;
