"""The cases of a study: which images are drawn, how they are shown, and what tells them apart."""
