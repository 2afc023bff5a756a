"""Where contents come from: files below the allowed roots, or objects; and their removal."""
