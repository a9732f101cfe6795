"""What holds of the code itself: walls, lazy imports, public names, habits, documentation."""
