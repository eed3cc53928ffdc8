-- The pictures of the sample drops have a hash of their contents in their names, so that browsers may keep them.

update drops set image_url = new.name
from (values
    ('/shoes/cloud-slip.svg', '/shoes/cloud-slip.d4e51da5.svg'),
    ('/shoes/court-76.svg', '/shoes/court-76.64eb65e6.svg'),
    ('/shoes/halo-air.svg', '/shoes/halo-air.a62842e5.svg'),
    ('/shoes/high-rise.svg', '/shoes/high-rise.06661e17.svg'),
    ('/shoes/pace-retro.svg', '/shoes/pace-retro.b8999a40.svg'),
    ('/shoes/ridge-trail.svg', '/shoes/ridge-trail.1ce6834f.svg'),
    ('/shoes/slab-skate.svg', '/shoes/slab-skate.c3dba8bb.svg'),
    ('/shoes/volt-runner.svg', '/shoes/volt-runner.dd12f4b1.svg')
) as new (old, name)
where image_url = new.old;
