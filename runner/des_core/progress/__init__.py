"""How far the archive is: numbers now, their history, the pace, the room that is left."""
