"""The tamper-evident log: what every command did, in hash-chained segments under signed checkpoints."""
