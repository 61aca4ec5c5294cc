"""Floor 3: the only room that knows Ray. A plan becomes tasks, tasks become shards; the `rssn` command lives here."""
