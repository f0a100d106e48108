"""Which synthetic images are kept, by a stated rule."""
