"""How data gets here: downloads, archives and mirrors. Nothing here knows what a corpus is."""
