"""What a study keeps of its readers and their answers."""
