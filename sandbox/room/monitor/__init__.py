"""The supervisor: answers, records and watches the worker."""
