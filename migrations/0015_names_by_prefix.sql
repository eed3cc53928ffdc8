-- Finds the names that begin with something. The index of the unique constraint does so only in databases that compare
-- text byte by byte.
create index users_username_key_prefix on users (username_key text_pattern_ops);
