"""Make what is exported of files that are not exported as they are. Zone: worker."""
