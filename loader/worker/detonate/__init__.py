"""Do what a trusting user would do with a model, while every system call is recorded. Zone: worker."""
