-- A transaction of its own, which locks rows and not the table.
update users set public_id = gen_random_uuid() where public_id is null;
