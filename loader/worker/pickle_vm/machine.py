"""The pickle virtual machine, protocols 0 to 5, that runs nothing. Zone: worker.

It parses what CPython's C unpickler (Modules/_pickle.c) parses, byte for byte, so that no stream
means one thing here and another there. Whatever a stream wants looked up, called or set goes to a
`World`, which decides what stands in for it. Everything is iterative and bounded: depth costs
nothing, and a stream that is too large for the budget is a bomb.
"""

from __future__ import annotations

from safe_load.worker.pickle_vm.opcodes import HANDLERS, STOP
from safe_load.worker.pickle_vm.state import State
from safe_load.worker.refusal import bomb


class Machine(State):
    """Runs the streams that lie in source[start:end] one after the other."""

    def load(self) -> object:
        """The value of the stream that begins here. Raises MalformedError or another RefusedError."""
        self.begin = self.position
        self.proto = 0
        self.stack = []
        self.marks = []
        self.memo = {}
        buffer, end, handlers, budget = self.buffer, self.end, HANDLERS, self.budget
        in_file = self.source.fd is not None and not self.source.number
        outer = self.world.begins(self.begin if in_file else None)
        try:
            while budget.opcodes > 0:
                # Counted here and not by the loop: a nested stream spends from the same budget.
                budget.opcodes -= 1
                position = self.opcode_at = self.position
                if position >= end:
                    raise self.malformed("the data ends without a STOP")
                opcode = buffer[position]
                self.position = position + 1
                if opcode == STOP:
                    self.world.settle()
                    return self.stack.pop()
                handlers[opcode](self)
        except IndexError:
            raise self.malformed("the stack underflows") from None
        finally:
            self.world.begins(outer)
        raise bomb("the pickle takes more steps than a checkpoint needs")
