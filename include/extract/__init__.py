"""From a channel's files to typed rows in the lake: nothing lost, nothing silently changed."""
