"""What a run published, for people: a page in the release and a summary for the console."""
