# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown] lang="en"
# # 4 · Holding the KV cache
#
# *English · [简体中文](../zh/04_kv_memory.ipynb) · about 70 minutes · needs no GPU and no network*
#
# In the measurements of the vLLM paper (SOSP'23), a GPU had room for the keys and values of 15,700 tokens, requests queued up for it, and tokens filled one fifth of the room. With one idea, the same memory was 96.3 % full of tokens, and several times as many requests ran at once. **Where had the other four fifths been, and what is the idea?**
#
# In this lesson you serve the same requests from three kinds of memory, see what each of them wastes, and write the part that the idea stands on: the block allocator. The engine then takes its memory from yours.
#
# Run the cells from top to bottom. Every figure comes from the cell above it.

# %% [markdown] lang="zh"
# # 4 · 保存 KV 缓存
#
# *[English](../en/04_kv_memory.ipynb) · 简体中文 · 约 70 分钟 · 不需要 GPU 和网络*
#
# 在 vLLM 论文（SOSP'23）的测量中，一块 GPU 放得下 15,700 个 token 的键和值，门外请求排着队，而里面只有五分之一的地方存着 token。有了一个想法之后，同样的内存里 96.3 % 存的都是 token，同时运行的请求也多了好几倍。**另外五分之四的内存去哪儿了？这个想法又是什么？**
#
# 这一课里，你将用三种内存服务同样的请求，看看每一种浪费了什么，再亲手写出这个想法的基础：块分配器。然后，引擎将从你的分配器那里取用内存。
#
# 请从上到下依次运行单元格。每个数字都来自它上面的单元格。

# %%
from minillm.lesson import begin

lesson = begin("04_kv_memory", language=_("en", "zh"))
lesson

# %% setup=true
import inspect
import math
import random
from statistics import mean
from time import perf_counter

from minillm import LLM, SamplingParams, simulate
from minillm.charts.memory import memory_chart
from minillm.kv_cache.block_pool import BlockPool
from minillm.lesson.block_allocator import llm_with, simulate_with
from minillm.lesson.charts import bar_chart, line_chart
from minillm.lesson.note import Table
from minillm.pocket.prompts import story_request, system_prompt

# %% [markdown] lang="en"
# ## 4.1 Three memories
#
# The [[kv_cache]] of a request grows by one [[slot]] with each token, and nobody knows how long the answer will be. There are three ways to make room:
#
# - [[contiguous]]: when the request is admitted, it gets one run of slots, side by side, for the prompt and the longest answer that it may have. A run cannot grow later, since somebody else begins where it ends. So did the systems before 2023: their kernels read keys from consecutive addresses;
# - [[paged]], as in vLLM: it gets a [[block]] of 16 slots whenever the last one is full, from anywhere in memory. Its [[block_table]] lists them in order;
# - token by token, as in LightLLM: the same with blocks of a single slot.
#
# Here is a pool of 1,600 slots, and 32 requests for short and long stories, all there at the start. Each has a prompt of about 15 tokens and may write up to 320. **How many of them run at once, in the mean?** Guess for contiguous memory first (you can compute it), then for paged memory (you have to judge how long the stories are).

# %% [markdown] lang="zh"
# ## 4.1 三种内存
#
# 每多一个 token，请求的 [[kv_cache]] 就多占一个[[slot]]，而谁也不知道回答会有多长。留出空间的办法有三种：
#
# - [[contiguous]]：请求被接纳时，得到一整段相邻的槽位，够放提示词和它最长可能的回答。这一段以后不能再变长，因为它的末尾紧接着别人的开头。2023 年之前的系统都这样做：它们的内核从连续的地址读取键；
# - [[paged]]，例如 vLLM：最后一个块写满时，就从内存中任何位置再取一个 16 个槽位的[[block]]。[[block_table]]按顺序列出这些块；
# - 逐个 token，例如 LightLLM：同样的做法，但每个块只有一个槽位。
#
# 这里有一个 1,600 个槽位的内存池，和 32 个要求写长短故事的请求，一开始就全部到齐。每个请求的提示词约 15 个 token，最多可以写 320 个。**平均有多少个请求同时运行？** 先猜连续内存（可以算出来），再猜分页内存（要估计故事有多长）。

# %%
lesson.predict("contiguous", ..., unit=_("requests", "个请求"))

# %%
lesson.predict("paged", ..., unit=_("requests", "个请求"))

# %%
source = random.Random(1)
stories = [
    story_request(source, length).messages for length in ("short", "medium", "long", "long") * 8
]
greedy = SamplingParams(temperature=0, max_tokens=320)

CONTIGUOUS, PAGED, TOKEN = _("contiguous", "连续"), _("paged", "分页"), _("token by token", "逐个 token")
memories = {
    CONTIGUOUS: {"kv_cache": "contiguous", "reserve": "max", "num_blocks": 100},
    PAGED: {"kv_cache": "paged", "num_blocks": 100, "enable_prefix_caching": False},
    TOKEN: {"kv_cache": "token", "num_blocks": 1600},
}

loaded = LLM().loaded
answers, traces = {}, {}
for name, memory in memories.items():
    llm = LLM(loaded, max_num_seqs=32, **memory)
    answers[name] = [output.outputs[0].token_ids for output in llm.chat(stories, greedy)]
    traces[name] = llm.trace

assert answers[CONTIGUOUS] == answers[PAGED] == answers[TOKEN]
lengths = sorted(len(answer) for answer in answers[PAGED])
print(_("tokens in the answers:", "各个回答的 token 数："), *lengths)


# %%
def at_once(trace):
    """Requests that are running, in the mean over the steps."""
    return mean(trace.series.running)


Table(
    [_("memory", "内存"), _("running, mean", "同时运行，平均"), _("most", "最多"), _("steps", "步数"), _("preemptions", "抢占次数")],
    [
        [name, at_once(trace), max(trace.series.running), len(trace.steps), trace.num_preemptions]
        for name, trace in traces.items()
    ],
)

# %%
lesson.measured("contiguous", at_once(traces[CONTIGUOUS]))

# %%
lesson.measured("paged", at_once(traces[PAGED]))

# %% picture="running"
STEP, RUNNING, RUN = _("step", "步"), _("requests running", "运行中的请求"), "run"
line_chart(
    [
        {STEP: step, RUNNING: running, RUN: name}
        for name in (PAGED, CONTIGUOUS)
        for step, running in enumerate(traces[name].series.running)
    ],
    STEP,
    RUNNING,
    RUN,
    points=False,
    title=_("The same requests, the same memory", "同样的请求，同样的内存"),
)

# %% [markdown] lang="en"
# The requests are the same, the answers are the same to the last token, and so is the number of slots. Only who gets which of them differs; and with more requests in each step, fewer steps are needed.
#
# Paged memory lets everybody in at first, since a prompt needs a block or two. Then all of them grow, and when no block is left, the last one to come has to give its blocks back and begin again ([[preemption]]). It is the price of not reserving, and lesson 9 is about it.
#
# See it. Both stages play the same requests. Among the KV blocks of contiguous memory, look how little of each run is filled, and that the free blocks are of no use to those who wait; in paged memory, blocks of all colours lie among each other.

# %% [markdown] lang="zh"
# 请求相同，回答一字不差，槽位的总数也相同。不同的只是谁得到哪些槽位；每一步里的请求多了，需要的步数就少了。
#
# 分页内存一开始让所有请求都进来，因为一个提示词只需要一两个块。接着它们都在增长，块用完的时候，最后来的就得交还它的块，以后重新开始（[[preemption]]）。这是不预留的代价，第 9 课专门讲它。
#
# 来看看它。两个舞台播放同样的请求。看连续内存的 KV 块：每一段只填了很小的一部分，空闲的块对排队的请求也毫无用处；分页内存里则是各种颜色的块混在一起。

# %%
lesson.compare(traces[CONTIGUOUS], traces[PAGED], names=[CONTIGUOUS, PAGED], step=60)

# %% [markdown] lang="en"
# What holds a request together if its blocks lie anywhere? Its block table. Here are those of three requests after step 60. Token *i* of a request is in block `table[i // 16]`, in slot `i % 16` of it: attention looks this up for every block that it reads. **In which block and slot is token 37 of request 2, in either memory?**

# %% [markdown] lang="zh"
# 块可以在任何位置，那么一个请求靠什么连在一起？靠它的块表。下面是第 60 步之后的三张块表。请求的第 *i* 个 token 在块 `table[i // 16]` 的第 `i % 16` 个槽位：注意力每读一个块，都要这样查一次表。**在两种内存里，请求 2 的第 37 个 token 各在哪个块、哪个槽位？**

# %%
for name in (CONTIGUOUS, PAGED):
    state = traces[name].state_at(60)
    print(name)
    for request in ("1", "2", "3"):
        sequence = state.sequences[request]
        print("   ", request, "·", sequence.computed, "tokens ·", list(sequence.blocks))

# %% [markdown] lang="en"
# ## 4.2 Where the memory went
#
# Each slot of the pool is, at any moment, one of these:
#
# | | |
# |---|---|
# | used | it holds the key and value of a token |
# | [[reserved]] | held and empty, but a token will be written to it |
# | [[internal_fragmentation]] | held and empty for ever: the answer ends before |
# | [[external_fragmentation]] | held by nobody, and of no use to those who wait, because it lies in pieces |
#
# Which of the empty slots will be used is known at the end only, so this is computed from the finished trace. **How much of contiguous memory holds tokens, in the mean over the run?**

# %% [markdown] lang="zh"
# ## 4.2 内存去哪儿了
#
# 在任何时刻，内存池的每个槽位都属于下面的一种：
#
# | | |
# |---|---|
# | 已使用 | 存着一个 token 的键和值 |
# | [[reserved]] | 被占用但空着，以后会写入 token |
# | [[internal_fragmentation]] | 被占用而永远空着：回答在那之前就结束了 |
# | [[external_fragmentation]] | 没有人占用，但因为零散，等待的请求也用不上 |
#
# 空着的槽位中哪些以后会用到，要到最后才知道，所以这是从完整的运行记录算出来的。**在整个运行中，连续内存平均有多少存着 token？**

# %%
lesson.predict("used", ..., unit="%")

# %% picture="contiguous"
memory_chart(traces[CONTIGUOUS], lesson.language).properties(width=560)

# %% picture="paged"
memory_chart(traces[PAGED], lesson.language).properties(width=560)

# %%
KINDS = {
    "token": _("used", "已使用"),
    "reserved": _("reserved", "预留"),
    "internal": _("internal", "内部碎片"),
    "external": _("external", "外部碎片"),
    "free": _("free", "空闲"),
}


def split(name, trace):
    shares = trace.memory().shares()
    return [name, *(shares[kind] for kind in KINDS)]


lesson.measured("used", traces[CONTIGUOUS].memory().shares()["token"])

# %%
Table([_("memory, %", "内存，%"), *KINDS.values()], [split(name, trace) for name, trace in traces.items()])

# %% [markdown] lang="en"
# Contiguous memory loses in three ways. A prompt of 15 tokens and 320 more need 21 blocks:
#
# - the short stories never fill theirs: *internal*;
# - the long ones nearly do, but late, and hold them from the start: *reserved*;
# - the allocator of such systems gives runs whose lengths are powers of two, so that they fit together again when they are free: 21 become 32. And what is free besides is shorter than the next request wants. Both are *external*.
#
# In paged memory a request holds at most one block that is not full, and any free block serves anybody: hardly anything is lost. What is free at the end is that nobody is left to use it. Token by token, the last half-empty block goes, too; the price is a table with an entry for each token.
#
# So the idea is that of an operating system, which gives a process pages and not one long run. It takes two things: a kernel that looks up each block in a table (lesson 3), and somebody who knows which blocks are free, and who uses the others. This is your part.

# %% [markdown] lang="zh"
# 连续内存在三个地方有损失。15 个 token 的提示词加上 320 个 token，需要 21 个块：
#
# - 短故事永远填不满：这是*内部碎片*；
# - 长故事差不多填满，但要到后来，却从一开始就占着：这是*预留*；
# - 这类系统的分配器只给出长度为 2 的幂的段，以便归还之后能重新拼合：21 个变成了 32 个。除此之外，空闲的部分又比下一个请求需要的短。两者都是*外部碎片*。
#
# 在分页内存里，一个请求至多有一个没写满的块，而任何一个空闲块给谁都能用：几乎没有损失。最后空闲的那些，是因为已经没有人要用了。逐个 token 时，连最后那个半空的块也没有了；代价是一张每个 token 占一项的表。
#
# 所以，这个想法就是操作系统的想法：给进程的是一页一页的内存，而不是一整段。它需要两样东西：一个读每个块都先查表的内核（第 3 课），以及一个知道哪些块空闲、其余的块由谁使用的管理者。这就是你要写的部分。

# %% [markdown] lang="en"
# ## 4.3 Your turn: the block allocator
#
# Blocks are numbers, 0 to `num_blocks` − 1; a block table is a list of them. Three methods change who has what:
#
# - `allocate(table, num_tokens)`: a request whose blocks are in `table` (empty when it begins) needs room for `num_tokens` in all. Append the blocks that are missing and return `True`. Where too few are free, return `False` and change *nothing*: the engine will then wait, or preempt somebody;
# - `share(blocks)`: another request begins with the same tokens, so it uses these blocks, too. Return its table, a new list of the same numbers. Its [[reference_count]] tells how many use a block;
# - `free(table)`: a request has ended. Blocks that nobody uses any more are free again. If somebody frees a block that nobody uses, raise `ValueError`: whoever does so has lost count, and the block may be another one's by now.
#
# `free_blocks` and `users` are a proposal; you may keep your books differently, as long as `num_free` tells how many blocks are free.

# %% [markdown] lang="zh"
# ## 4.3 轮到你了：块分配器
#
# 块就是编号，从 0 到 `num_blocks` − 1；块表就是编号的列表。有三个方法会改变谁占用什么：
#
# - `allocate(table, num_tokens)`：一个请求的块都在 `table` 里（刚开始时是空的），它总共需要放下 `num_tokens` 个 token。把还缺的块追加进去，返回 `True`。空闲块不够时，返回 `False`，并且*什么都不改变*：引擎会让它等待，或者抢占别的请求；
# - `share(blocks)`：另一个请求以同样的 token 开头，所以它也使用这些块。返回它的表：一个新的列表，编号相同。一个块有多少个使用者，就是它的[[reference_count]]；
# - `free(table)`：一个请求结束了。不再有人使用的块重新空闲。如果有人释放一个没有人使用的块，就抛出 `ValueError`：这样做的人一定弄错了账，而那个块也许已经属于别人。
#
# `free_blocks` 和 `users` 只是一种建议；你可以用别的方式记账，只要 `num_free` 说得出有多少个空闲块。

# %% exercise="BlockAllocator"
class BlockAllocator:
    def __init__(self, num_blocks, block_size):
        self.block_size = block_size
        self.free_blocks = list(range(num_blocks))
        #:en how many requests use each block
        #:zh 每个块有几个请求在使用
        self.users = [0] * num_blocks

    @property
    def num_free(self):
        return len(self.free_blocks)

    def allocate(self, table, num_tokens):
        # >>> solution
        needed = -(-num_tokens // self.block_size) - len(table)
        if needed > self.num_free:
            return False
        for _ in range(needed):
            block = self.free_blocks.pop()
            self.users[block] = 1
            table.append(block)
        return True
        # <<<

    def share(self, blocks):
        # >>> solution
        for block in blocks:
            self.users[block] += 1
        return list(blocks)
        # <<<

    def free(self, table):
        # >>> solution
        for block in table:
            if self.users[block] == 0:
                raise ValueError(f"nobody uses block {block}")
            self.users[block] -= 1
            if self.users[block] == 0:
                self.free_blocks.append(block)
        # <<<


# %%
lesson.check(BlockAllocator)

# %% [markdown] lang="en"
# Stuck? Each run of the next cell opens one more hint. The solution lies openly in [solutions](../solutions/en/04_kv_memory.ipynb).

# %% [markdown] lang="zh"
# 卡住了？每运行一次下面的单元格，就多打开一条提示。参考解答就放在 [solutions](../solutions/zh/04_kv_memory.ipynb) 里。

# %%
lesson.hint(BlockAllocator)

# %% [markdown] lang="en"
# ## 4.4 Your allocator serves
#
# `llm_with(BlockAllocator)` is the engine with paged memory whose blocks come from yours. The stories of 4.1 again, beside the engine's own allocator:

# %% [markdown] lang="zh"
# ## 4.4 你的分配器在服务
#
# `llm_with(BlockAllocator)` 是使用分页内存的引擎，它的块来自你的分配器。再来一遍 4.1 的故事，与引擎自己的分配器并排：

# %%
lesson.needs(BlockAllocator)
YOURS, ENGINES = _("yours", "你的"), _("the engine's", "引擎的")
mine = llm_with(
    BlockAllocator, model=loaded, num_blocks=100, max_num_seqs=32, enable_prefix_caching=False
)
same = [output.outputs[0].token_ids for output in mine.chat(stories, greedy)] == answers[PAGED]
print(_("the same tokens as before:", "与之前的 token 相同："), same)

Table(
    [_("allocator", "分配器"), _("steps", "步数"), _("running, mean", "同时运行，平均"), _("preemptions", "抢占次数")],
    [
        [name, len(trace.steps), at_once(trace), trace.num_preemptions]
        for name, trace in ((YOURS, mine.trace), (ENGINES, traces[PAGED]))
    ],
)

# %% [markdown] lang="en"
# Step by step, the same requests run: the scheduler asks how many blocks are free and gets the same answer. Only which block is whose differs, and no token depends on that.

# %% [markdown] lang="zh"
# 每一步运行的都是同样的请求：调度器问有多少空闲块，得到的回答相同。不同的只是哪个块归谁，而没有一个 token 取决于它。

# %% picture="yours" stage="mine.trace"
lesson.needs(BlockAllocator)
lesson.show(mine.trace, height=560, step=60)

# %% [markdown] lang="en"
# And what does the bookkeeping cost? A table grows to 100 blocks, one at a time, and is freed. Compare the time for one block with that of a step:

# %% [markdown] lang="zh"
# 记账本身要花多少时间？让一张表逐个增长到 100 个块，再释放。把每个块的时间与一步的时间比一比：

# %%
lesson.needs(BlockAllocator)


def microseconds(grow, give_back, rounds=50):
    """For each block; the fastest of some rounds."""
    times = []
    for _round in range(rounds):
        table, start = [], perf_counter()
        for tokens in range(16, 1601, 16):
            grow(table, tokens)
        give_back(table)
        times.append(perf_counter() - start)
    return 1e6 * min(times) / 100


own, pool = BlockAllocator(100, 16), BlockPool(100)
Table(
    ["", _("microseconds", "微秒")],
    [
        [_("a block, yours", "一个块，你的"), microseconds(own.allocate, own.free)],
        [
            _("a block, the engine's", "一个块，引擎的"),
            microseconds(lambda table, _tokens: table.extend(pool.take(1)[0]), pool.release),
        ],
        [_("a step of the run above", "上面那次运行的一步"), 1e6 * mine.trace.duration / len(mine.trace.steps)],
    ],
)

# %% [markdown] lang="en"
# ## 4.5 Sharing a beginning
#
# A block table makes something possible that a run never could: *two tables may name the same block.* Eight people ask about the same text, which is the beginning of all their prompts. The keys and values of that beginning depend on it alone, so they are equal; the engine finds them by their content and calls your `share`. This is [[prefix_caching]].
#
# The text has about 420 tokens, and the pool is small: 64 blocks. Without sharing, two requests fit. **How many run at once, at most, when they share?**

# %% [markdown] lang="zh"
# ## 4.5 共享开头
#
# 块表使得一件连续内存永远做不到的事成为可能：*两张表可以写着同一个块。* 八个人就同一篇文字提问，这篇文字就是他们所有提示词的开头。开头部分的键和值只取决于它自己，所以都相等；引擎按内容找到它们，并调用你的 `share`。这就是[[prefix_caching]]。
#
# 文字约有 420 个 token，而内存池很小：64 个块。不共享时放得下两个请求。**共享时，最多有多少个同时运行？**

# %%
lesson.predict("sharing", ..., unit=_("requests", "个请求"))

# %%
lesson.needs(BlockAllocator)
text = system_prompt(source, 420)
questions = [text.question(source).messages for _question in range(8)]
brief = SamplingParams(temperature=0, max_tokens=40)

APART, TOGETHER = _("each its own", "各自一份"), _("shared", "共享")
rows = []
for name, sharing in ((APART, False), (TOGETHER, True)):
    llm = llm_with(BlockAllocator, model=loaded, num_blocks=64, enable_prefix_caching=sharing)
    llm.chat(questions, brief)
    trace = llm.trace
    computed = sum(each.prompt_len - each.cached_tokens for each in trace.requests)
    saved = abs(round(trace.memory().saved_by_sharing(), 1))
    rows.append([name, max(trace.series.running), computed, len(trace.steps), saved])

lesson.measured("sharing", rows[-1][1])

# %%
lesson.needs(BlockAllocator)
Table(
    [
        _("the text", "文字"),
        _("running, most", "同时运行，最多"),
        _("prompt tokens computed", "计算的提示词 token"),
        _("steps", "步数"),
        _("memory saved, %", "节省的内存，%"),
    ],
    rows,
)

# %% [markdown] lang="en"
# Sharing saves memory, and time: nobody computes what is there already. Here is who holds which blocks, in the step in which most requests run. A line is a run of blocks; what is further to the right comes after it in the prompt:

# %% [markdown] lang="zh"
# 共享节省了内存，也节省了时间：已经有的不必再算。下面是运行请求最多的那一步里，谁占用哪些块。每一行是一串块；越靠右的，在提示词里越靠后：

# %%
lesson.needs(BlockAllocator)
busiest = max(range(len(trace.steps)), key=lambda n: len(trace.state_at(n).running))
for depth, node in trace.sharing(busiest).walk():
    print("          " * depth + str(len(node.blocks)), _("blocks:", "个块："), ", ".join(node.owners))

# %%
lesson.needs(BlockAllocator)
lesson.show(trace, height=560, step=busiest)

# %% [markdown] lang="en"
# Two branches hold the text, not one. Request 1 was admitted in the same step as request 0, when nothing had been computed yet that it could have found; the others came a step later. On the stage, point at a shared block to see whose it is.
#
# ## 4.6 Copy on write
#
# Whole blocks of a common beginning are only read. But now somebody wants *four answers to one prompt*: the request is split into four ([[fork]]), and all four share its blocks, the last one too, which is not full. And each of them wants to write its own next token there.
#
# The way out is [[copy_on_write]]: whoever is about to write to a block that others use takes a free one, copies the contents, and writes to the copy. Your allocator can do it already: `allocate` one block, `free` the shared one. **How many blocks are copied for four answers?**

# %% [markdown] lang="zh"
# 存着这段文字的分支有两条，而不是一条。请求 1 与请求 0 在同一步被接纳，那时还没有任何可供它找到的计算结果；其余的晚了一步。在舞台上把鼠标移到一个共享的块上，可以看到它属于哪些请求。
#
# ## 4.6 写时复制
#
# 共同开头的整块只会被读取。但现在有人想要*一个提示词的四个回答*：请求一分为四（[[fork]]），四者共享它的全部块，包括没写满的最后一个。而每一个都要在那里写入自己的下一个 token。
#
# 出路是[[copy_on_write]]：谁要写入一个别人也在使用的块，就先取一个空闲块，把内容复制过去，再写到副本里。你的分配器已经能做到：用 `allocate` 取一个块，再用 `free` 放弃共享的那个。**四个回答要复制多少个块？**

# %%
lesson.predict("copies", ..., unit=_("blocks", "个块"))

# %%
lesson.needs(BlockAllocator)
from minillm.events import Copied, Forked

llm = llm_with(BlockAllocator, model=loaded, num_blocks=64)
four = SamplingParams(n=4, temperature=0.8, max_tokens=40, ignore_eos=True)
story = "Once upon a time there lived a fox in a wood. "
prompt = story + "One day the fox found a lamp behind the old mill."
llm.generate(prompt, four)
copies = 0
STEPS, SHARES, COPIES = _("step", "步"), _("shares", "共享"), _("copies", "复制")
for step in llm.trace.steps:
    for event in (*step.events, *step.after):
        if isinstance(event, Forked):
            print(STEPS, step.index, "·", event.child, SHARES, *event.blocks)
        if isinstance(event, Copied):
            print(STEPS, step.index, "·", event.id, COPIES, event.block, "→", event.copy)
            copies += 1
lesson.measured("copies", copies)

# %%
lesson.needs(BlockAllocator)
print(_("memory saved by sharing, %:", "共享节省的内存，%："), round(llm.trace.memory().saved_by_sharing(), 1))
lesson.show(llm.trace, height=560)

# %% [markdown] lang="en"
# One copy less than there are answers: the last one to use the old block is alone with it, and may write to it. This is what the count is for. (How many copies would there be if the prompt filled its last block exactly?)
#
# In the vLLM paper, parallel sampling saves 6.1 to 9.8 % of the memory on Alpaca's short prompts and 16.2 to 30.5 % on ShareGPT's longer ones (section 6.3): the more of a request is its prompt, the more is shared. Where does yours lie, and why?
#
# ## 4.7 Where it loses
#
# Now the eight questions come one after another, each when the answer before it has ended. **Does the second one find the text?**

# %% [markdown] lang="zh"
# 复制的次数比回答数少一：最后一个使用旧块的请求独占了它，可以直接写入。引用计数就是为此而设的。（如果提示词正好写满最后一个块，要复制几次？）
#
# 在 vLLM 的论文里，并行采样在提示词较短的 Alpaca 上节省 6.1 到 9.8 % 的内存，在较长的 ShareGPT 上节省 16.2 到 30.5 %（第 6.3 节）：提示词在请求中占得越多，共享的就越多。你的结果落在哪里？为什么？
#
# ## 4.7 它输在哪里
#
# 现在八个问题一个接一个地来，前一个回答结束，后一个才到。**第二个问题找得到那篇文字吗？**

# %% picture="one-by-one"
lesson.needs(BlockAllocator)
QUESTION, COMPUTED = _("question", "第几个问题"), _("prompt tokens computed", "计算的提示词 token")
rows = []
for name, engine in (
    (YOURS, llm_with(BlockAllocator, model=loaded, num_blocks=64)),
    (ENGINES, LLM(loaded, num_blocks=64)),
):
    for question in questions:
        engine.chat([question], brief)
    for number, each in enumerate(engine.trace.requests, 1):
        rows.append({QUESTION: number, COMPUTED: each.prompt_len - each.cached_tokens, RUN: name})
line_chart(
    rows,
    QUESTION,
    COMPUTED,
    RUN,
    title=_("A free block need not be an empty one", "空闲的块不一定是空的"),
)

# %% [markdown] lang="en"
# In your allocator a block is used or it is free, and when its last user leaves, what it holds is given up. The engine's own has a third state: *cached*, used by nobody, but with contents that can still be found ([[cached_block]]). It costs nothing, since such a block is given out like a free one when memory runs short, those that nobody has wanted for the longest time first. In minillm this is what giving blocks back looks like (`minillm/kv_cache/block_pool.py`); find the line that your `free` does not have:

# %% [markdown] lang="zh"
# 在你的分配器里，一个块要么有人用，要么空闲；最后一个使用者离开时，里面的内容也就放弃了。引擎自己的分配器还有第三种状态：*已缓存*，没有人使用，但内容还找得到（[[cached_block]]）。这不花任何代价，因为内存紧张时，这样的块会像空闲块一样给出去，最久没有人要的先走。minillm 里归还块的代码是这样的（`minillm/kv_cache/block_pool.py`）；请找出你的 `free` 里没有的那一行：

# %%
print(inspect.getsource(BlockPool.release))

# %% [markdown] lang="en"
# The other choice that was made for you is the size of a block. Here are the lengths of 500 conversations, and what your allocator wastes on them in last blocks that are not full:

# %% [markdown] lang="zh"
# 另一个替你做好的选择是块的大小。下面是 500 段对话的长度，以及你的分配器因为最后一个块没写满而浪费的内存：

# %%
lesson.needs(BlockAllocator)
from minillm.workload.lengths import Dataset, Lognormal

conversations = Dataset(
    prompt=Lognormal(4.2, 1.3),
    output=Lognormal(5.25, 1.1),
    max_prompt_len=1024,
    max_total_len=2048,
)
tokens = [sum(conversations.sample(source)) for _conversation in range(500)]

rows = []
for size in (1, 4, 16, 32, 64, 128, 256):
    allocator = BlockAllocator(500 * 2048 // size, size)
    tables = []
    for length in tokens:
        tables.append([])
        allocator.allocate(tables[-1], length)
    entries = sum(map(len, tables))
    rows.append([size, 100 * (1 - sum(tokens) / (entries * size)), entries / len(tables)])
Table(
    [_("block size", "块大小"), _("wasted, %", "浪费，%"), _("entries of a block table, mean", "块表项数，平均")],
    rows,
)

# %% picture="sizes"
lesson.needs(BlockAllocator)
SIZE, WASTE = _("tokens per block", "每个块的 token 数"), _("wasted, %", "浪费，%")
line_chart(
    [{SIZE: row[0], WASTE: row[1]} for row in rows],
    SIZE,
    WASTE,
    title=_("On average, half of the last block is empty", "平均而言，最后一个块有一半是空的"),
)

# %% [markdown] lang="en"
# Small blocks waste less and share more, since only whole blocks are found again; large ones make short tables and long reads. vLLM tried the sizes (section 7.2) and took 16, LightLLM went down to 1. Lesson 5 looks at what the reads cost.
#
# ## 4.8 On a large GPU, beside the paper
#
# Now for the question of the beginning. OPT-13B on an A100 with room for 15,728 tokens, and 200 conversations that all wait at the start. In [[simulated_time]] the scheduler, the memory and your allocator are the real ones; only the model is replaced by a formula that says how long it takes. The paper compares vLLM with Orca, which has contiguous memory: for the longest answer allowed (Max), for the true length rounded up to a power of two (Pow2), and for exactly the true length, which nobody can know (Oracle).

# %% [markdown] lang="zh"
# 块越小，浪费越少，能共享的越多，因为只有整块才能再被找到；块越大，块表越短，每次读取的越长。vLLM 试过各种大小（第 7.2 节），选了 16；LightLLM 一直减到 1。第 5 课会看读取的代价。
#
# ## 4.8 在大型 GPU 上，与论文并排
#
# 回到开头的问题。A100 上的 OPT-13B，放得下 15,728 个 token，200 段对话一开始就全部在等。在[[simulated_time]]里，调度器、内存管理和你的分配器都是真的；只是用一个公式代替模型，算出它要花多久。论文把 vLLM 与使用连续内存的 Orca 相比，后者按三种方式预留：允许的最长回答（Max）、真实长度向上取到 2 的幂（Pow2），以及恰好是真实长度（Oracle），而这谁也无法预知。

# %%
lesson.needs(BlockAllocator)
from minillm.workload import synthetic

workload = synthetic(200, conversations, rate=math.inf, seed=0)
gpu = {"num_blocks": 983, "block_size": 16, "max_model_len": 2048, "max_num_seqs": 256}
paper = {"Orca (Max)": 20.4, "Orca (Pow2)": 26.8, "Orca (Oracle)": 38.2, "vLLM": 96.3}

large = {
    f"Orca ({reserve.title()})": simulate(
        workload, "opt-13b", "a100-40gb", "orca", kv_cache="contiguous", reserve=reserve, **gpu
    )
    for reserve in ("max", "pow2", "oracle")
}
large["vLLM"] = simulate_with(
    BlockAllocator, workload, "opt-13b", "a100-40gb", "vllm", enable_prefix_caching=False, **gpu
)

rows, bars = [], []
for name, trace in large.items():
    #:en as long as somebody waits for memory
    #:zh 只算还有请求在等内存的时候
    busy = sum(waiting > 0 for waiting in trace.series.waiting)
    shares = trace.memory().shares_of_steps(0, busy)
    at_once = mean(trace.series.running[:busy])
    rows.append([name, *(shares[kind] for kind in KINDS), paper[name], at_once])
    bars += [(name + _(", here", "，这里"), shares["token"]), (name + _(", paper", "，论文"), paper[name])]
Table(
    [_("memory, %", "内存，%"), *KINDS.values(), _("used, paper", "已使用，论文"), _("running, mean", "同时运行，平均")],
    rows,
)

# %% picture="paper"
lesson.needs(BlockAllocator)
USED = _("memory that holds tokens, %", "存着 token 的内存，%")
bar_chart(
    [{USED: share, "who": who} for who, share in bars],
    USED,
    "who",
    title=_("vLLM: your allocator, and figure 2 of the paper", "vLLM：你的分配器，与论文的图 2"),
)

# %% [markdown] lang="en"
# The bars called "vLLM, here" are yours. The differences have a reason: the lengths of the paper's conversations are published as means alone, so ours are drawn from a distribution of the same kind (Kwon et al., SOSP'23, figure 2 and table 1).
#
# Two things to see in the table. Even the Oracle, who knows each answer's length, uses less than half: it still has to reserve for all that will come later, and to find runs for it. And the number of requests that run at once follows the memory that is used: this is why, with paged memory, the same GPU serves so many more.
#
# Production systems have kept the idea: vLLM, SGLang and TensorRT-LLM all hold the KV cache in blocks with reference counts, find equal beginnings by content, and evict those that were not used for the longest time. LightLLM has a table of single tokens. What they add around it is the business of the next lessons: what to do when `allocate` says `False` (lesson 9), and how blocks are laid out so that they are read fast (lesson 5).
#
# ## 4.9 What you know now
#
# 1. Somebody sets max_tokens from 320 to 1,000 "to be safe". What happens to the number of requests that run at once, in contiguous and in paged memory?
# 2. A block of a shared prefix has a reference count of 8. Which events make it 9, and which 7?
# 3. Why can only *full* blocks be found by their content?
# 4. Your server runs one system prompt of 2,000 tokens for everybody. Which block size would you choose, and what else would you switch on?
# 5. Stop the stage in 4.5 at any step, and find a block with several owners. Who computed it?

# %% [markdown] lang="zh"
# 图中的“vLLM，这里”就是你的分配器。与论文的差别有其原因：论文只公布了对话长度的平均值，所以我们的长度是从同类分布中抽取的（Kwon et al., SOSP'23，图 2 和表 1）。
#
# 表里有两点值得注意。即使是知道每个回答长度的 Oracle，用上的内存也不到一半：它仍然要为以后才写的部分预留，还要找得到足够长的一段。而同时运行的请求数随用上的内存一起增长：这就是为什么有了分页内存，同一块 GPU 能服务多得多的请求。
#
# 生产系统都保留了这个想法：vLLM、SGLang 和 TensorRT-LLM 都把 KV 缓存放在带引用计数的块里，按内容查找相同的开头，并逐出最久没有用过的块。LightLLM 则用一张逐个 token 的表。它们在此之上增加的，是后面几课的内容：`allocate` 返回 `False` 时怎么办（第 9 课），以及块内怎样排列才读得快（第 5 课）。
#
# ## 4.9 现在你知道了
#
# 1. 有人“为保险起见”把 max_tokens 从 320 改成 1,000。在连续内存和分页内存里，同时运行的请求数各会怎样？
# 2. 共享前缀的一个块，引用计数是 8。什么事件会使它变成 9？什么会使它变成 7？
# 3. 为什么只有*写满的*块才能按内容查找？
# 4. 你的服务器给所有人用同一个 2,000 个 token 的系统提示。你会选多大的块？还会打开什么功能？
# 5. 把 4.5 的舞台停在任意一步，找一个有多个使用者的块。它是谁计算的？
