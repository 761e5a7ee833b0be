"""The only code that speaks to the kernel below Python's own os module.

One module per kernel facility; each function is one system call or one prctl, checked, with the
manual page that describes it. Nothing outside this folder imports ctypes, calls an ioctl or knows a
system call number. Zone: runs in the supervisor and in the worker before it is untrusted.
Standard library only.
"""
