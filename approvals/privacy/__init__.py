"""What people may see of personal data."""
