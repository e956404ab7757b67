"""The flow of an emitted function: choices, loops, its return. No arithmetic but of counters."""

from llvmlite import ir

from .processor import VECTOR_BYTES
from .values import INT64, Value


class Flow:
    """What an emitter can do besides single instructions; it has a `builder` and loads vectors."""

    def returns(self, value=None):
        """Leave the function."""
        if value is None:
            self.builder.ret_void()
        else:
            self.builder.ret(value.ir)

    def only_if(self, condition):
        """Return a context whose instructions are carried out only where a condition holds."""
        return self.builder.if_then(condition.ir)

    def either(self, condition):
        """Return a context of two contexts: what is done where a condition holds, and where not."""
        return self.builder.if_else(condition.ir)

    def also(self, condition, further):
        """Return whether a condition holds and, asked only then, ``further()`` does."""
        before = self.builder.block
        with self.only_if(condition):
            value, after = further(), self.builder.block
        return self.joined(before, [condition], after, [value])[0]

    def joined(self, before, values, after, changed):
        """Return values where two ways meet: `values` from the block `before`, or `changed`."""
        merged = []
        for old, new in zip(values, changed, strict=True):
            phi = self.builder.phi(old.ir.type)
            phi.add_incoming(old.ir, before)
            phi.add_incoming(new.ir, after)
            merged.append(Value(self, phi))
        return merged

    def cases(self, code, numbers, name):
        """Yield each of some numbers, positioned where `code` is that one; the last is for others.

        Behind all of them, the function goes on for the cases that did not return.
        """
        builder = self.builder
        blocks = {number: builder.append_basic_block(f"{name}.{number}") for number in numbers}
        *_, default = blocks.values()
        choice = builder.switch(code.ir, default)
        for number, block in blocks.items():
            if block is not default:
                choice.add_case(ir.Constant(code.ir.type, number), block)
        ends = []
        for number, block in blocks.items():
            builder.position_at_end(block)
            yield number
            if not builder.block.is_terminated:
                ends.append(builder.block)
        if ends:
            behind = builder.append_basic_block(f"{name}.behind")
            for end in ends:
                builder.position_at_end(end)
                builder.branch(behind)
            builder.position_at_end(behind)

    def while_loop(self, start, carried, goes_on, body, step=1):
        """Emit a loop over p = start, start + step, ...; return the last p and what was carried.

        `carried` is a flat list of values in registers. ``goes_on(p, carried)`` returns, or yields
        one after the other, conditions that must all hold; ``body(p, carried)`` returns the next
        values.
        """
        builder = self.builder
        entry = builder.block
        head, done = builder.append_basic_block("head"), builder.append_basic_block("done")
        builder.branch(head)

        builder.position_at_end(head)
        phis = [builder.phi(INT64), *(builder.phi(value.ir.type) for value in carried)]
        p, *inside = (Value(self, phi) for phi in phis)
        for phi, value in zip(phis, [p.like(start), *carried], strict=True):
            phi.add_incoming(value.ir, entry)
        for condition in goes_on(p, inside):
            following = builder.append_basic_block("body")
            builder.cbranch(condition.ir, following, done)
            builder.position_at_end(following)
        values = body(p, inside)
        for phi, value in zip(phis, [p + step, *values], strict=True):
            phi.add_incoming(value.ir, builder.block)
        builder.branch(head)
        builder.position_at_end(done)
        return p, inside

    def loop(self, start, stop, carried, body, unroll=1):
        """Emit ``for p in range(start, stop, unroll)`` around `unroll` copies of `body`.

        ``body(p, u, carried)`` returns the next carried values, for the element ``p + u``. Returns
        the counter and them.
        """

        def copies(p, values):
            for u in range(unroll):
                values = body(p, u, values)
            return values

        return self.while_loop(start, carried, lambda p, _: [p < stop], copies, unroll)

    def steps(self, start, stop, step, body):
        """Emit ``for i in range(start, stop - step + 1, step)``; return the first i not done."""

        def one(i, _):
            body(i)
            return []

        return self.while_loop(start, [], lambda i, _: [i + step <= stop], one, step)[0]

    def unrolled(self, count, carried, body, unroll):
        """Run `body` for p in range(count), `unroll` at a time, then the rest one by one."""
        p = self.integer(0)
        if unroll > 1:
            p, carried = self.loop(p, count & -unroll, carried, body, unroll)
        return self.loop(p, count, carried, body)[1]

    def vectors(self, count, carried, body, chains=1):
        """Run `body` for each vector of `count` elements, the last one partial; return the carried.

        ``body(load, store, carried)`` returns the next carried vectors; ``load(base, rest=None)``
        and ``store(value, base)`` reach the current vector of the array at `base`. Lanes beyond
        the last element hold `rest` (or 0) and are not stored.

        With several chains, as many vectors are in work at a time, and `carried` holds a list for
        each, all of one length, one behind the other: what one vector adds to a sum need not wait
        for what the last one has added.
        """
        whole = count // self.lanes
        left = count - whole * self.lanes
        length = len(carried) // chains

        def complete(v, u, carried):
            offset = (v + u) * VECTOR_BYTES
            chain = slice(u * length, (u + 1) * length)
            changed = body(
                lambda base, rest=None: self.load(base + offset),
                lambda value, base: self.store(value, base + offset),
                carried[chain],
            )
            return [*carried[: chain.start], *changed, *carried[chain.stop :]]

        v = self.integer(0)
        if chains > 1:
            v, carried = self.loop(v, whole & -chains, carried, complete, chains)
        _, carried = self.loop(v, whole, carried, complete)
        before, offset = self.builder.block, whole * VECTOR_BYTES
        with self.only_if(left > 0):
            changed = body(
                lambda base, rest=None: self.load_first(base + offset, left, rest),
                lambda value, base: self.store_first(value, base + offset, left),
                carried[:length],
            )
            after = self.builder.block
        changed = self.joined(before, carried[:length], after, changed)
        return [*changed, *carried[length:]]
