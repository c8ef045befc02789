"""What trains a student: scenes, samples, losses, teacher, optimisation. Workers need none of it."""
