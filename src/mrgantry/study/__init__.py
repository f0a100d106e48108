"""The blinded reader study: cases, the readers' server, statistics, teaching."""
