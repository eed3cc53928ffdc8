alter table users alter column public_id set not null;
