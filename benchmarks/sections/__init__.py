"""What can be measured, by name; each section has a function `measure`."""
