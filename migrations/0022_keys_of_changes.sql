-- The number of the form that asked for a change, so that a form that is sent twice changes something once.
alter table drop_changes add column key text collate "C";
create unique index drop_changes_key on drop_changes (drop_id, key) where key is not null;
