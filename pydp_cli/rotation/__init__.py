"""Re-wrapping and re-encrypting what is already encrypted; proof of zero use; retiring keys."""
