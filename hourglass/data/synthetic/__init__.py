"""The people of the demo, drawn by the program."""
