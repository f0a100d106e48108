"""The readers' server: who may ask, what is answered, and the pages."""
