-- The sessions of those who run the shop. A row is there as long as its session may be used, so a cookie that was copied is
-- worth nothing after its owner signed out, on every node.

create table admin_sessions (
    id bigint generated always as identity primary key,
    -- What the cookie proves, as after a restore an id may be given to another session.
    secret uuid not null default gen_random_uuid(),
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null
);
