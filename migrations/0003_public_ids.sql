-- What a session proves. A user's number may be given to somebody else after a restore; this is never used again. Existing
-- users get theirs in the next migration: a default here would rewrite the table under a lock.
alter table users add column public_id uuid;
alter table users alter column public_id set default gen_random_uuid();

-- Whether the browser that claimed the name has shown that it keeps cookies. Until then the name can be claimed again.
alter table users add column is_confirmed boolean not null default true;

-- What a name looks like, and the scripts of its letters, computed by the server: names of different scripts that look the
-- same are refused. Null for users of an earlier release until the server has filled it in.
alter table users add column username_skeletons text[];
alter table users add column username_scripts text;
create index users_without_skeletons on users (id) where username_skeletons is null;
create index users_username_skeletons on users using gin (username_skeletons);
