"""What the answers of readers show, by statistics alone."""
