"""What is to be tried next."""
