"""Small plugins with one fault each, and beside them a sound one for each role. Importing any of them loads no torch,
but for `heavy`, whose fault that is."""
