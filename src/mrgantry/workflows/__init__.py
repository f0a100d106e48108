"""What strings verbs together: the demonstration, comparisons, whole studies, the start."""
