-- Entries of calendars are recognised by an id that is the same under every name of the site, and of no other shop.

alter table shop add column calendar_id uuid not null default gen_random_uuid();
