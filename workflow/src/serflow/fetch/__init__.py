"""How data gets here: downloads and archives. Nothing here knows what a corpus is."""
