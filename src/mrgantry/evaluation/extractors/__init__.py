"""What turns images into features that measures compare."""
