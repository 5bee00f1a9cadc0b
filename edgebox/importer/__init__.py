"""Child processes that open files people bring; they import nothing of the box and can open nothing else."""
