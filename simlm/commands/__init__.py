"""What commands that run stages have in common, whatever they run."""
