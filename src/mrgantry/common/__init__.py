"""What every room uses: errors, whole-or-nothing files, progress, provenance, scores."""
