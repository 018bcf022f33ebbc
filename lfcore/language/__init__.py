"""Language: invented people, a small transformer that learns about them, and methods that make it forget some."""
