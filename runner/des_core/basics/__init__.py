"""Ground floor: errors, times, names, routing, URLs; imports nothing of ours but itself."""
