"""What people would use instead, each a program that is run in a process of its own."""
