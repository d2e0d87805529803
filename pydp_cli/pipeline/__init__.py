"""Policy, schema and keys compiled into a pipeline, and the engines that run it."""
