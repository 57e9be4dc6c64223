"""Many districts: state runs in a place of their own, what they run on, and arithmetic of sizes."""
