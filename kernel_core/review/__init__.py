"""What people say of pairs and labels: verdicts, who agrees, how many there are, what to keep."""
