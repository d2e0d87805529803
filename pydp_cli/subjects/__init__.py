"""A person's data: found over links, exported, erased, kept no longer than allowed, used only with consent."""
