-- A reservation's size is tied to its drop, and so is a purchase's, by a foreign key on both columns. The second one on the
-- drop alone says nothing more, and was nearly a fifth of what it costs to write a reservation.

alter table reservations drop constraint reservations_drop_id_fkey;
alter table purchases drop constraint purchases_drop_id_fkey;
