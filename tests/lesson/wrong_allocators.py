"""Plausible wrong block allocators, each in two forms, and the key of what is said of it."""

from __future__ import annotations

from typing import Any

HEAD = """
from collections import Counter

class BlockAllocator:
    def __init__(self, num_blocks, block_size):
        self.block_size = block_size
        self.free_blocks = list(range(num_blocks))
        self.users = [0] * num_blocks

    @property
    def num_free(self):
        return len(self.free_blocks)
"""

BY_LIST = (
    HEAD
    + """
    def allocate(self, table, num_tokens):
        needed = -(-num_tokens // self.block_size) - len(table)
        if needed > self.num_free:
            return False
        for _ in range(needed):
            block = self.free_blocks.pop()
            self.users[block] = 1
            table.append(block)
        return True

    def share(self, blocks):
        for block in blocks:
            self.users[block] += 1
        return list(blocks)

    def free(self, table):
        for block in table:
            if self.users[block] == 0:
                raise ValueError(block)
            self.users[block] -= 1
            if self.users[block] == 0:
                self.free_blocks.append(block)
"""
)

# Only who uses what is kept; what is free follows from it. Fills gaps from the lowest number.
BY_COUNTER = """
from collections import Counter

class BlockAllocator:
    def __init__(self, num_blocks, block_size):
        self.size = block_size
        self.blocks = set(range(num_blocks))
        self.used = Counter()

    @property
    def num_free(self):
        return len(self.blocks) - len(self.used)

    def allocate(self, table, num_tokens):
        missing = max(0, (num_tokens + self.size - 1) // self.size - len(table))
        taken = sorted(self.blocks - set(self.used))[:missing]
        if len(taken) < missing:
            return False
        self.used.update(taken)
        table += taken
        return True

    def share(self, blocks):
        self.used.update(blocks)
        return [*blocks]

    def free(self, table):
        if any(block not in self.used for block in table):
            raise ValueError("nobody uses it")
        self.used.subtract(table)
        self.used = +self.used
"""

RIGHT = (BY_LIST, BY_COUNTER)


def changed(code: str, *pairs: tuple[str, str]) -> str:
    """`code` with each first text in place of which stands the second."""
    for old, new in pairs:
        assert old in code, old
        code = code.replace(old, new)
    return code


_CEIL, _CEIL_TOO = "-(-num_tokens // self.block_size)", "(num_tokens + self.size - 1) // self.size"
_TAKE = """        for _ in range(needed):
            block = self.free_blocks.pop()
            self.users[block] = 1
            table.append(block)
"""
_ROOM = """        if needed > self.num_free:
            return False
"""
_LAST_USER = """            if self.users[block] == 0:
                self.free_blocks.append(block)
"""
_REFUSE = """            if self.users[block] == 0:
                raise ValueError(block)
"""
_REFUSE_TOO = """        if any(block not in self.used for block in table):
            raise ValueError("nobody uses it")
"""

WRONG = {
    "unwritten": (
        "nothing",
        HEAD + "    def allocate(self, table, num_tokens):\n        ...\n",
        HEAD + "    def allocate(self, table, num_tokens):\n        return ...\n",
    ),
    "blocks returned": (
        "type",
        changed(BY_LIST, ("        return True\n", "        return table\n")),
        changed(BY_COUNTER, ("        return True\n", "        return taken\n")),
    ),
    "one block too many": (
        "exact",
        changed(BY_LIST, (_CEIL, "(num_tokens // self.block_size + 1)")),
        changed(BY_COUNTER, (_CEIL_TOO, "(num_tokens + self.size) // self.size")),
    ),
    "rounded down": (
        "rounded_down",
        changed(BY_LIST, (_CEIL, "num_tokens // self.block_size")),
        changed(BY_COUNTER, (_CEIL_TOO, "int(num_tokens / self.size)")),
    ),
    "rounded down but for the first": (
        "rounded_down",
        changed(BY_LIST, (_CEIL, "max(1, num_tokens // self.block_size)")),
        changed(BY_COUNTER, (_CEIL_TOO, "(num_tokens // self.size or 1)")),
    ),
    "a table of its own": (
        "length",
        changed(
            BY_LIST, ("            table.append(block)", "            table = table + [block]")
        ),
        changed(BY_COUNTER, ("table += taken", "table = table + taken")),
    ),
    "what is held counts for nothing": (
        "grows",
        changed(BY_LIST, (" - len(table)", "")),
        changed(BY_COUNTER, (" - len(table)", "")),
    ),
    "all, where none is missing": (
        "grows",
        changed(
            BY_LIST,
            (
                _TAKE,
                """        taken = self.free_blocks[-needed:]
        del self.free_blocks[-needed:]
        for block in taken:
            self.users[block] = 1
        table += taken
""",
            ),
        ),
        changed(
            BY_COUNTER,
            ("max(0, (num", "((num"),
            (
                "[:missing]\n        if len(taken) < missing:",
                "\n        taken = taken[len(taken) - missing or 0 :] if missing else taken\n"
                "        if len(taken) < missing:",
            ),
        ),
    ),
    "new blocks in front": (
        "moved",
        changed(BY_LIST, ("table.append(block)", "table.insert(0, block)")),
        changed(BY_COUNTER, ("table += taken", "table[:0] = taken")),
    ),
    "given out and kept": (
        "still_free",
        changed(BY_LIST, ("self.free_blocks.pop()", "self.free_blocks[len(table)]")),
        changed(
            BY_COUNTER,
            ("self.used.update(taken)", "self.used.update(taken[:1])"),
            ("self.blocks - set(self.used))[", "self.blocks - set(self.used) - set(table))["),
        ),
    ),
    "the same block for all": (
        "same_twice",
        changed(
            BY_LIST,
            ("        for _ in", "        block = self.free_blocks[-1]\n        for _ in"),
            ("block = self.free_blocks.pop()", "self.free_blocks.pop()"),
        ),
        changed(BY_COUNTER, ("table += taken", "table += taken[:1] * len(taken)")),
    ),
    "handed out while in use": (
        "twice",
        changed(
            BY_LIST,
            ("self.free_blocks.pop()", "len(table)"),
            (
                "self.users[block] = 1\n",
                "self.users[block] = 1\n            self.free_blocks.pop()\n",
            ),
        ),
        changed(
            BY_COUNTER,
            (
                "sorted(self.blocks - set(self.used))[:missing]",
                "sorted(self.blocks - set(table))[:missing]",
            ),
        ),
    ),
    "the last block is never given": (
        "refuses",
        changed(BY_LIST, ("if needed > self.num_free", "if needed >= self.num_free > 0")),
        changed(
            BY_COUNTER, ("if len(taken) < missing", "if missing and self.num_free - missing < 1")
        ),
    ),
    "as many as there are": (
        "overcommits",
        changed(BY_LIST, (_ROOM, "        needed = min(needed, self.num_free)\n")),
        changed(BY_COUNTER, ("            return False\n", "            pass\n")),
    ),
    "full is an accident": (
        "full_raises",
        changed(BY_LIST, (_ROOM, "")),
        changed(BY_COUNTER, ("            return False\n", "            raise MemoryError\n")),
    ),
    "takes part and keeps it in the table": (
        "refused_table",
        changed(
            BY_LIST,
            (_ROOM, ""),
            (
                "            block = self.free_blocks.pop()",
                "            if not self.free_blocks:\n                return False\n"
                "            block = self.free_blocks.pop()",
            ),
        ),
        changed(
            BY_COUNTER,
            (
                "            return False\n",
                "            self.used.update(taken)\n            table += taken\n"
                "            return False\n",
            ),
        ),
    ),
    "takes part and loses it": (
        "lost_refused",
        changed(
            BY_LIST,
            (_ROOM, ""),
            (
                _TAKE,
                """        taken = []
        while len(taken) < needed:
            if not self.free_blocks:
                return False
            taken.append(self.free_blocks.pop())
        for block in taken:
            self.users[block] = 1
        table += taken
""",
            ),
        ),
        changed(
            BY_COUNTER,
            (
                "            return False\n",
                "            self.used.update(taken)\n            return False\n",
            ),
        ),
    ),
    "takes more than it gives": (
        "lost_allocated",
        changed(
            BY_LIST,
            (
                "        return True\n",
                "        if needed > 2:\n            self.free_blocks.pop()\n        return True\n",
            ),
        ),
        changed(
            BY_COUNTER,
            ("[:missing]", "[: missing + (missing > 2)]"),
            ("table += taken", "table += taken[:missing]"),
        ),
    ),
    "free forgets": (
        "lost_freed",
        changed(BY_LIST, (_LAST_USER, "")),
        BY_COUNTER.partition("    def free")[0] + "    def free(self, table):\n        ...\n",
    ),
    "the last block is not freed": (
        "lost_freed",
        changed(
            BY_LIST,
            ("for block in table:\n            if", "for block in table[:-1]:\n            if"),
        ),
        changed(BY_COUNTER, ("self.used.subtract(table)", "self.used.subtract(table[1:])")),
    ),
    "removing while going through": (
        "lost_freed",
        changed(
            BY_LIST,
            (
                "            self.users[block] -= 1\n",
                "            self.users[block] -= 1\n            table.remove(block)\n",
            ),
        ),
        changed(
            BY_COUNTER,
            (
                "        self.used.subtract(table)",
                "        for block in table:\n            table.remove(block)\n"
                "            self.used[block] -= 1",
            ),
        ),
    ),
    "a double free is accepted": (
        "double_free",
        changed(BY_LIST, (_REFUSE, "")),
        changed(BY_COUNTER, (_REFUSE_TOO, "")),
    ),
    "a double free puts it back twice": (
        "double_free",
        changed(BY_LIST, (_REFUSE, "            self.users[block] = max(1, self.users[block])\n")),
        changed(
            BY_LIST, (_REFUSE, ""), ("if self.users[block] == 0:", "if self.users[block] <= 0:")
        ),
    ),
    "share is not written": (
        "nothing",
        changed(BY_LIST, ("        return list(blocks)", "")),
        changed(BY_COUNTER, ("        return [*blocks]", "        ...")),
    ),
    "share returns a tuple": (
        "share_type",
        changed(BY_LIST, ("list(blocks)", "tuple(blocks)")),
        changed(BY_COUNTER, ("[*blocks]", "iter(blocks)")),
    ),
    "share takes new blocks": (
        "share_copies",
        changed(
            BY_LIST,
            (
                "            self.users[block] += 1\n        return list(blocks)",
                "            pass\n        table = []\n"
                "        self.allocate(table, len(blocks) * self.block_size)\n        return table",
            ),
        ),
        changed(
            BY_COUNTER,
            (
                "        self.used.update(blocks)\n        return [*blocks]",
                "        table = []\n"
                "        self.allocate(table, len(blocks) * self.size)\n        return table",
            ),
        ),
    ),
    "share gives the list itself": (
        "aliased",
        changed(BY_LIST, ("return list(blocks)", "return blocks")),
        changed(BY_COUNTER, ("return [*blocks]", "blocks += []\n        return blocks")),
    ),
    "share counts nobody": (
        "shared_freed",
        changed(BY_LIST, ("            self.users[block] += 1\n", "            pass\n")),
        changed(BY_COUNTER, ("        self.used.update(blocks)\n", "")),
    ),
    "share counts to two": (
        "shared_freed",
        changed(BY_LIST, ("self.users[block] += 1", "self.users[block] = 2")),
        changed(
            BY_COUNTER,
            ("self.used.update(blocks)", "self.used.update({b: 2 - self.used[b] for b in blocks})"),
        ),
    ),
    "the first to end frees": (
        "shared_freed",
        changed(
            BY_LIST, ("            self.users[block] -= 1\n", "            self.users[block] = 0\n")
        ),
        changed(
            BY_COUNTER,
            (
                "        self.used.subtract(table)\n",
                "        for block in table:\n            del self.used[block]\n",
            ),
        ),
    ),
    "shared blocks are never free": (
        "lost_freed",
        changed(BY_LIST, ("self.users[block] += 1", "self.users[block] += 2")),
        changed(
            BY_COUNTER,
            (
                "        self.used.update(blocks)\n",
                "        self.used.update([*blocks, *blocks])\n",
            ),
        ),
    ),
    "one pool for all": (
        "outside",
        changed(
            BY_LIST,
            ("class BlockAllocator:\n", "class BlockAllocator:\n    pools = {}\n\n"),
            (
                "self.free_blocks = list(range(num_blocks))",
                "self.free_blocks = self.pools.setdefault(num_blocks, list(range(num_blocks)))\n"
                "        self.free_blocks[:] = list(range(num_blocks))",
            ),
        ),
        changed(
            BY_COUNTER,
            ("class BlockAllocator:\n", "class BlockAllocator:\n    used = Counter()\n\n"),
            ("        self.used = Counter()\n", "        self.used.clear()\n"),
            (
                "        self.used = +self.used\n",
                "        for b in [*self.used]:\n            if not self.used[b]:\n"
                "                del self.used[b]\n",
            ),
        ),
    ),
    "blocks counted from one": (
        "unknown",
        changed(
            BY_LIST,
            ("list(range(num_blocks))", "list(range(1, num_blocks + 1))"),
            ("[0] * num_blocks", "[0] * (num_blocks + 1)"),
        ),
        changed(
            BY_COUNTER, ("set(range(num_blocks))", "{block + 1 for block in range(num_blocks)}")
        ),
    ),
    "all tables are one": (
        "others",
        changed(
            BY_LIST,
            ("        self.users = ", "        self.tables = []\n        self.users = "),
            (
                "            table.append(block)",
                "            table.append(block)\n"
                "            for other in self.tables:\n                other.append(block)",
            ),
            ("        return True", "        self.tables[:] = [table]\n        return True"),
        ),
        changed(
            BY_COUNTER,
            (
                "        self.used = Counter()\n",
                "        self.used = Counter()\n        self.last = []\n",
            ),
            (
                "        table += taken\n",
                "        table += taken\n        if self.last is not table:\n"
                "            self.last += taken\n        self.last = table\n",
            ),
        ),
    ),
    "counts what there was": (
        "num_free",
        changed(
            BY_LIST, ("        return len(self.free_blocks)", "        return len(self.users)")
        ),
        changed(
            BY_COUNTER,
            ("        return len(self.blocks) - len(self.used)", "        return len(self.blocks)"),
        ),
    ),
}


def allocator(code: str) -> Any:
    """The class that `code` defines."""
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(code, names)
    return names["BlockAllocator"]
