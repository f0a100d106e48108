"""The version of mrgantry; below all rooms, so that each may say by which one it was made."""

VERSION = "0.1.0"
