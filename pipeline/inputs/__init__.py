"""Files that people maintain: rosters, title rules, overrides and tables of prior years."""
