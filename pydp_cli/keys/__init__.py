"""The keyring: purposes, versions, states, protectors, backup."""
