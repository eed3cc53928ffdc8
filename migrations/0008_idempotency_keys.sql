-- By which a caller that repeats the creation of a drop gets the same drop.
alter table drops add column idempotency_key text constraint drops_idempotency_key_unique unique;
