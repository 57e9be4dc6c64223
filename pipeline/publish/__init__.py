"""From tables to readers: checks, guards, the commit of a set, copies and databases."""
