"""What people start: the command `xsim`, a comparison of their own model, its report."""
