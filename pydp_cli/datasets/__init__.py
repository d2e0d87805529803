"""Files in and out: formats, compression, locations, publication."""
