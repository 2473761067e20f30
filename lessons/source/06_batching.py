# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown] lang="en"
# # 6 · Batching
#
# *English · [简体中文](../zh/06_batching.ipynb) · about 60 minutes · needs no GPU and no network*
#
# Twelve people ask at almost the same moment. One wants a single sentence, another a long story. Until 2022 a server would have handed over the sentence when the story was told, and whoever came a moment later could not even begin. **What does that cost, and what has to change so that nobody waits for a stranger's answer?**
#
# In this lesson you compute what a batch wastes that runs to its end, watch it happen, and write the scheduler that does away with it: iteration-level scheduling, the idea of Orca (OSDI'22). Your code then decides, step by step, whom the real engine serves.

# %% [markdown] lang="zh"
# # 6 · 批处理
#
# *[English](../en/06_batching.ipynb) · 简体中文 · 约 60 分钟 · 不需要 GPU 和网络*
#
# 十二个人几乎同时提问：有人只要一句话，有人要一个长故事。在 2022 年之前，服务器要等故事讲完才把那句话交出来，而稍晚一点到的人甚至还没法开始。**这要付出多大代价？又该改变什么，才能让谁也不必等待陌生人的回答？**
#
# 这一课里，你将算出一个必须运行到底的批次会浪费多少，亲眼看到浪费如何发生，并写出消除浪费的调度器：迭代级调度，也就是 Orca（OSDI'22）的想法。然后，真实的引擎每一步服务谁，由你的代码决定。

# %%
from minillm.lesson import begin

lesson = begin("06_batching", language=_("en", "zh"))
lesson

# %% setup=true
import inspect
import math
import random
from statistics import fmean, pstdev

from minillm import LLM, simulate
from minillm.lesson.charts import bar_chart, line_chart
from minillm.lesson.note import Table
from minillm.lesson.selection import Selecting
from minillm.request import Status
from minillm.workload import RequestSpec, WorkloadDriver, synthetic

# %% [markdown] lang="en"
# ## 6.1 A batch that runs to its end
#
# Each pass through the model reads all its weights, and all requests of a [[batch]] share that reading: lesson 1 ended with this. So a server collects requests. The simplest way is [[static_batching]]: take the first four that wait, serve them together until *all four* are done, then take the next four.
#
# Here are twelve requests with answers of 10 to 200 tokens. The first four are there at the start, the others come within two milliseconds. There are four places (`max_num_seqs=4`), so that a [[step]] can write four tokens. **Of every 100 places in all these steps, how many will write nothing?**

# %% [markdown] lang="zh"
# ## 6.1 运行到底的批次
#
# 每次通过模型，都要读一遍它的全部权重；一个[[batch]]里的所有请求共享这次读取：第 1 课就结束在这里。所以服务器要把请求凑在一起。最简单的办法是[[static_batching]]：取出最先等待的四个，一起服务，直到*四个全部*完成，再取下面四个。
#
# 这里有十二个请求，回答从 10 到 200 个 token 不等。前四个一开始就在，其余的在两毫秒之内到达。共有四个位置（`max_num_seqs=4`），所以一[[step]]最多能写出四个 token。**在所有这些步里，每 100 个位置有多少个什么也没写？**

# %%
lesson.predict("unused", ..., unit="%")

# %%
ANSWERS = (12, 200, 30, 20, 16, 60, 24, 180, 40, 10, 90, 28)
PLACES = 4

#:en `output_len` fixes where each answer ends; no scheduler can see it
#:zh `output_len` 规定每个回答在哪里结束；调度器看不到它
twelve = [
    RequestSpec(arrival_time=0 if n < PLACES else n * 1e-4, prompt_len=32, output_len=length)
    for n, length in enumerate(ANSWERS)
]

llm = LLM()


def scheduler_of(choice):
    """The engine's own, by its name; or, later, one that asks your function."""
    return Selecting(choice) if callable(choice) else choice


def serve(choice, workload, places=PLACES, num_blocks=64, rounds=3):
    """The trace of an engine that serves `workload`; of several rounds, the fastest."""
    traces = []
    for _round in range(rounds):
        own = LLM(
            llm.loaded,
            scheduler=scheduler_of(choice),
            max_num_seqs=places,
            num_blocks=num_blocks,
            enable_prefix_caching=False,
        )
        driver = WorkloadDriver(own.engine, workload)
        while not driver.finished:
            driver.step()
        traces.append(own.trace)
    return min(traces, key=lambda trace: trace.duration)


def unused(trace, places=PLACES):
    """Places that wrote nothing, in %."""
    written = sum(len(step.tokens) for step in trace.steps)
    return 100 * (1 - written / (places * len(trace.steps)))


static = serve("static", twelve)
lesson.measured("unused", unused(static))

# %% [markdown] lang="en"
# See where they went. Step through the trace with the arrow keys, or press play, and look for three things:
#
# - a place whose answer has ended turns hollow: a [[dead_slot]]. It computes nothing, and nobody else may have it;
# - those in the queue have the reason written beside them, *batch not finished*: there is room and there is memory, and still they wait;
# - at the end of a batch all four leave together, and four new ones enter together.

# %% [markdown] lang="zh"
# 看看它们去哪儿了。用方向键单步走，或者按播放，请注意三点：
#
# - 回答已经结束的位置变成空心：这就是[[dead_slot]]。它什么也不计算，别人也不能用；
# - 队列里的请求旁边写着等待的原因：*批次未结束*。位置有，内存也有，它们却还在等；
# - 一个批次结束时，四个一起离开，又有四个一起进来。

# %% picture="static" stage="static" for_students=true
lesson.show(static, height=600, step=60)

# %% [markdown] lang="en"
# ## 6.2 Compute it beforehand
#
# No engine is needed to know this. A batch takes as many steps as its longest answer has tokens:

# %% [markdown] lang="zh"
# ## 6.2 事先就能算出来
#
# 要知道这些，并不需要引擎。一个批次走的步数，就是其中最长的回答的 token 数：

# %%
batches = [ANSWERS[first : first + PLACES] for first in range(0, len(ANSWERS), PLACES)]
rows = [[str(batch), max(batch), PLACES * max(batch), sum(batch)] for batch in batches]
rows.append([_("together", "合计"), *(sum(row[column] for row in rows) for column in (1, 2, 3))])
print(_("steps that the engine took:", "引擎实际走的步数："), len(static.steps))
Table(
    [_("answers", "回答"), _("steps", "步数"), _("places", "位置"), _("tokens written", "写出的 token")],
    rows,
)

# %% [markdown] lang="en"
# So the answers' *lengths* decide, and how much they differ: a batch whose answers are equally long wastes nothing. Lengths are not known beforehand, or one could sort by them.
#
# The wasted places are the server's loss. What do its users lose? Take the request whose answer is shortest, 10 tokens:

# %% [markdown] lang="zh"
# 所以起决定作用的是回答的*长度*，以及它们相差多少：回答一样长的批次什么也不浪费。可惜长度事先并不知道，否则排个序就行了。
#
# 浪费的位置是服务器的损失。那么用户损失了什么？看看回答最短（10 个 token）的那个请求：

# %%
def story(trace, number):
    """When things happened to a request, in ms after its arrival."""
    request = trace.requests[number]
    first, last = request.token_times[0], request.token_times[-1]
    times = (request.admitted_at, first, last, request.finished_at)
    return [(time - request.arrival) / 1e6 for time in times]


SHORTEST = ANSWERS.index(min(ANSWERS))
EVENTS = [
    _("joins a batch", "进入批次"),
    _("first token", "第一个 token"),
    _("last token", "最后一个 token"),
    _("leaves", "离开"),
]
Table([_("ms after its arrival", "到达之后的 ms"), "static"], list(zip(EVENTS, story(static, SHORTEST))))

# %% [markdown] lang="en"
# Three losses in one table. It waited for two batches of strangers to end ([[queue_time]]). Its answer, once begun, was there at once. And then it still did not leave: a static batch is returned as a whole, so that the place, the memory and, in such servers, the answer itself were held until the last of the batch had ended.
#
# ## 6.3 Decide at every step
#
# Nothing in the model asks for this. A step computes one token for each member of the batch and knows nothing of the step before, apart from the KV cache. The batch may as well be *another one in the next step*. Orca does just that, and calls it iteration-level scheduling; today it is mostly called [[continuous_batching]]. After every step those who have ended leave, and the [[scheduler]] chooses anew.
#
# One thing stood in the way. In the same step one member now reads a prompt of 500 tokens and another writes its 90th token: their tensors have different shapes. Orca's second idea, *selective batching*, is to lay the tokens of all members in one long row. Everything but attention treats each token by itself and takes the row as it is; attention alone is computed for each member. The engine here does the same.
#
# The twelve answers have these bounds, whoever schedules:

# %% [markdown] lang="zh"
# 一张表里有三种损失。它等了两批陌生人的请求结束（[[queue_time]]）。回答一旦开始，很快就写完了。可它还是没有离开：静态批次要整批返回，所以它的位置、内存，在这类服务器里甚至连回答本身，都要留到批次中最后一个结束为止。
#
# ## 6.3 每一步都重新决定
#
# 模型本身并不要求这样。一步为批次中的每个成员计算一个 token，除了 KV 缓存，它对上一步一无所知。所以*下一步完全可以换一个批次*。Orca 正是这样做的，称之为迭代级调度；如今更常见的名字是[[continuous_batching]]。每一步之后，结束的离开，[[scheduler]]重新选择。
#
# 原先有一个障碍：现在同一步里，一个成员要读 500 个 token 的提示词，另一个在写第 90 个 token，它们的张量形状不同。Orca 的第二个想法叫*选择性批处理*：把所有成员的 token 排成长长的一行。除了注意力，其他部分都是逐个 token 处理的，直接拿这一行来算；只有注意力要为每个成员分别计算。这里的引擎也是这样做的。
#
# 不管由谁来调度，这十二个回答都有如下的界限：

# %%
print(_("tokens to write / places:", "要写的 token 数 / 位置数："), math.ceil(sum(ANSWERS) / PLACES))
print(_("tokens of the longest answer:", "最长回答的 token 数："), max(ANSWERS))

# %% [markdown] lang="en"
# **How many steps will the same twelve take, in order of arrival, if a place is taken again as soon as it is free?** (Static: see above.)

# %% [markdown] lang="zh"
# **如果位置一空出来就有人接上，按到达顺序，同样的十二个请求要走多少步？**（静态批处理的步数见上。）

# %%
lesson.predict("steps", ..., unit=_("steps", "步"))

# %% [markdown] lang="en"
# ## 6.4 Your turn: choose the batch
#
# Write `select`. The engine calls it before every step, with the `pool` of all requests that wait or run, in no particular order; those that have ended are not in it any more. It returns the list of those that take part in the step. Three things are scarce:
#
# | limit | counts | a request takes |
# |---|---|---|
# | `max_num_seqs` | places in the batch | 1 |
# | `max_num_batched_tokens`, the [[token_budget]] | tokens computed in this step | its prompt when it joins, later 1 |
# | `num_slots` | KV slots of the whole engine | room for prompt and longest allowed answer, from the step in which it joins until it ends |
#
# The last is [[reserve_maximum]]: with it nobody can run out of memory halfway, so that whoever has joined can take part in every step until its end.
#
# Go in order of arrival ([[fcfs]]) and **stop at the first that does not fit**, even if a smaller one behind it would.
#
# Of a request you need:
#
# | attribute | what it says |
# |---|---|
# | `request.status` | `Status.WAITING` or `Status.RUNNING` |
# | `request.arrival_time` | when it arrived, ns |
# | `request.num_uncomputed_tokens` | tokens that it would compute in this step |
# | `request.max_total_tokens` | KV slots that it may come to need |

# %% [markdown] lang="zh"
# ## 6.4 轮到你了：选出批次
#
# 请写出 `select`。引擎在每一步之前调用它，传入 `pool`：所有等待中和运行中的请求，没有特定的顺序；已经结束的不在其中。它返回参加这一步的请求的列表。有三样东西是稀缺的：
#
# | 限制 | 计的是 | 一个请求占用 |
# |---|---|---|
# | `max_num_seqs` | 批次中的位置 | 1 |
# | `max_num_batched_tokens`，即 [[token_budget]] | 这一步计算的 token 数 | 加入时是整个提示词，以后是 1 |
# | `num_slots` | 整个引擎的 KV 槽位 | 提示词加上允许的最长回答，从加入的那一步起，直到结束 |
#
# 最后一条就是[[reserve_maximum]]：这样谁也不会写到一半用尽内存，所以加入之后，它每一步都能参加，直到结束。
#
# 按到达顺序（[[fcfs]]）逐个考虑，**遇到第一个放不下的就停下**，即使它后面有更小的放得下。
#
# 你需要用到请求的这些属性：
#
# | 属性 | 含义 |
# |---|---|
# | `request.status` | `Status.WAITING`（等待）或 `Status.RUNNING`（运行） |
# | `request.arrival_time` | 到达时间，ns |
# | `request.num_uncomputed_tokens` | 它在这一步要计算的 token 数 |
# | `request.max_total_tokens` | 它最多会用到的 KV 槽位数 |

# %% exercise="select"
def select(pool, max_num_seqs, max_num_batched_tokens, num_slots):
    #:en the requests of the next step, a list
    #:zh 下一步的请求，一个列表
    # >>> solution
    reserved = sum(request.max_total_tokens for request in pool if request.status is Status.RUNNING)
    batch, tokens = [], 0
    for request in sorted(pool, key=lambda request: request.arrival_time):
        tokens += request.num_uncomputed_tokens
        if len(batch) == max_num_seqs or tokens > max_num_batched_tokens:
            break
        if request.status is Status.WAITING:
            reserved += request.max_total_tokens
            if reserved > num_slots:
                break
        batch.append(request)
    return batch
    # <<<


# %%
lesson.check(select)

# %% [markdown] lang="en"
# Stuck? Each run of the next cell opens one more hint. The solution lies openly in [solutions](../solutions/en/06_batching.ipynb).

# %% [markdown] lang="zh"
# 卡住了？每运行一次下面的单元格，就多打开一条提示。参考解答就放在 [solutions](../solutions/zh/06_batching.ipynb) 里。

# %%
lesson.hint(select)

# %% [markdown] lang="en"
# ## 6.5 Your code decides
#
# `Selecting(select)` is a `Scheduler` like the engine's own. This is the method that the engine's loop reaches at every step. `plan` takes blocks and writes down the batch; who is in it, you say:

# %% [markdown] lang="zh"
# ## 6.5 由你的代码决定
#
# `Selecting(select)` 是一个 `Scheduler`，与引擎自带的那些一样。下面是引擎循环每一步都会走到的方法。`plan` 负责取用块、记下批次；谁在批次里，由你说了算：

# %%
print(inspect.getsource(Selecting.compose))

# %%
lesson.needs(select)
mine = serve(select, twelve)
lesson.measured("steps", len(mine.steps))

# %% [markdown] lang="en"
# Both on one clock. Follow request 9, the one with the shortest answer:

# %% [markdown] lang="zh"
# 让两者走同一个时钟。请跟着请求 9 看，就是回答最短的那个：

# %%
lesson.needs(select)
lesson.compare(static, mine, height=720, names=["static", _("yours", "你的")])

# %%
lesson.needs(select)
orca = serve("orca", twelve)
RUNS = {"static": static, _("yours", "你的"): mine, _("the engine's orca", "引擎自带的 orca"): orca}
FIGURES = {
    _("mean queue time, ms", "平均排队时间，ms"): "mean_queue_ms",
    _("mean TTFT, ms", "平均 TTFT，ms"): "mean_ttft_ms",
    _("mean E2EL, ms", "平均 E2EL，ms"): "mean_e2el_ms",
    _("output tokens/s", "输出 token/s"): "output_throughput",
}
rows = [
    [_("steps", "步数"), *(len(trace.steps) for trace in RUNS.values())],
    [_("places that wrote nothing, %", "什么也没写的位置，%"), *map(unused, RUNS.values())],
]
for label, name in FIGURES.items():
    rows.append([label, *(trace.metrics()[name] for trace in RUNS.values())])
Table(["", *RUNS], rows)

# %% [markdown] lang="en"
# Yours and the engine's take the same steps: they decide alike, and differ in time as two runs do. How much was won over static?

# %% [markdown] lang="zh"
# 你的和引擎自带的走了同样多的步：两者的决定一样，时间上的差别只是两次运行之间的差别。与静态批处理相比，赢得了多少？

# %%
lesson.needs(select)
steps_won = len(static.steps) / len(mine.steps)
speed_won = mine.metrics()["output_throughput"] / static.metrics()["output_throughput"]
print(_("steps, static / yours:", "步数，静态 / 你的："), round(steps_won, 2))
print(_("throughput, yours / static:", "吞吐量，你的 / 静态："), round(speed_won, 2))

# %% [markdown] lang="en"
# On a CPU the second is smaller than the first: a step with four members takes somewhat longer than one with a single live one. On a GPU it hardly does, because most of the time goes into reading the weights, for one as for four.
#
# Averages hide who gains. Each request by itself, from its arrival to its end:

# %% [markdown] lang="zh"
# 在 CPU 上，第二个数比第一个小：四个成员的一步，比只剩一个成员的一步要久一些。在 GPU 上几乎没有差别，因为时间大多花在读权重上，一个成员和四个成员都一样。
#
# 平均值看不出谁得到了好处。下面是每个请求各自从到达到结束的时间：

# %% picture="requests"
lesson.needs(select)
NUMBER, E2EL, RUN = _("request, in order of arrival", "请求（按到达顺序）"), "E2EL, ms", "run"
line_chart(
    [
        {NUMBER: n, E2EL: (request.finished_at - request.arrival) / 1e6, RUN: name}
        for name, trace in list(RUNS.items())[:2]
        for n, request in enumerate(trace.requests)
    ],
    NUMBER,
    E2EL,
    RUN,
    title=_("From arrival to end, request by request", "每个请求从到达到结束"),
)

# %% [markdown] lang="en"
# The static line has three levels, one for each batch: whatever a request asked for, its batch decides when it ends. In the other line short answers are short. Only request 1, whose answer is the longest of the first batch, gains nothing: it was what the others waited for, and now it shares every one of its steps with three live neighbours.
#
# ### The paper's example
#
# Orca's paper explains the idea with three requests that write 2, 4 and 6 tokens (section 3): computed request by request and iteration by iteration, a static batch takes 18, of which 12 write a token. Here on the real engine:

# %% [markdown] lang="zh"
# 静态的那条线有三级台阶，每个批次一级：不管请求要的是什么，何时结束由批次决定。另一条线上，短的回答就是短的。只有请求 1 什么也没得到，它的回答是第一批里最长的：原先别人等的正是它，而现在它的每一步都要与三个活跃的邻居共用。
#
# ### 论文里的例子
#
# Orca 的论文用三个请求解释这个想法，它们分别写 2、4、6 个 token（第 3 节）：按“请求 × 迭代”计算，静态批次要花 18，其中只有 12 写出了 token。下面是真实引擎上的结果：

# %%
lesson.needs(select)
three = [RequestSpec(prompt_len=16, output_len=length) for length in (2, 4, 6)]
in_static, in_mine = (serve(each, three, places=3) for each in ("static", select))
every_place = 3 * len(in_static.steps)
members = sum(len(step.tokens) for step in in_mine.steps)
Table(
    [_("request-iterations", "请求 × 迭代"), "Orca (OSDI'22)", _("here", "这里")],
    [
        [_("static: every place until the end", "静态：每个位置都到最后"), 18, every_place],
        [_("iteration-level: members of each step", "迭代级：每一步的成员"), 12, members],
    ],
)

# %% [markdown] lang="en"
# ## 6.6 When does it matter?
#
# The gain came from lengths that differ. **If all answers are equally long, and everybody is there from the start, how many times as many steps does static batching take?**

# %% [markdown] lang="zh"
# ## 6.6 什么时候有用？
#
# 好处来自长度的差别。**如果所有回答一样长，而且所有请求一开始就在，静态批处理的步数是多少倍？**

# %%
lesson.predict("equal", ..., unit=_("times", "倍"))

# %% [markdown] lang="en"
# For this your scheduler need not run a model. `simulate` is the same engine with a clock of its own ([[simulated_time]]): only the time of a step is computed and not taken. Here each step takes one second, so that time counts steps. Answers have 50 tokens in the mean and differ more from left to right (standard deviation divided by mean).

# %% [markdown] lang="zh"
# 为此，你的调度器不必运行模型。`simulate` 是同一个引擎，但用它自己的时钟（[[simulated_time]]）：只有一步的时间是算出来的，而不是真的花掉。这里每一步算一秒，所以时间就是步数。回答平均 50 个 token，从左到右差别越来越大（标准差除以平均值）。

# %%
class OneSecond:
    def step_seconds(self, batch):
        return 1.0


def steps_taken(choice, lengths, places):
    #:en 500 tokens are allowed, whatever comes of it
    #:zh 最多允许 500 个 token，不管实际写多少
    workload = [RequestSpec(prompt_len=16, output_len=n, max_tokens=500) for n in lengths]
    return simulate(
        workload,
        scheduler=scheduler_of(choice),
        cost_model=OneSecond(),
        max_num_seqs=places,
        record=False,
    ).num_steps


def drawn(count, spread):
    source = random.Random(6)
    lengths = (50 * source.lognormvariate(-(spread**2) / 2, spread) for _request in range(count))
    return [min(500, max(1, round(length))) for length in lengths]


# %% picture="spread"
lesson.needs(select)
WORD = _("places", "个位置")
SPREAD, GAIN = _("spread of the answers' lengths", "回答长度的离散程度"), _("times as many steps with static", "静态的步数是你的多少倍")
gains = []
for places in (4, 16):
    for spread in (0, 0.25, 0.5, 0.75, 1.0):
        lengths = drawn(16 * places, spread)
        gain = steps_taken("static", lengths, places) / steps_taken(select, lengths, places)
        about = pstdev(lengths) / fmean(lengths)
        gains.append({SPREAD: about, GAIN: gain, RUN: f"{places} {WORD}"})
line_chart(gains, SPREAD, GAIN, RUN, title=_("What differing lengths cost", "长度差别的代价"))

# %%
lesson.needs(select)
lesson.measured("equal", gains[0][GAIN])

# %% [markdown] lang="en"
# The curves begin at 1: where all end together there is nothing to win. Then they rise, because the longest of a batch moves away from the mean, and the larger batch has the longer longest. So the very thing that makes a GPU efficient, a large batch, makes static batching wasteful.
#
# ## 6.7 At datacentre scale
#
# Now the time of a step comes from a cost model: OPT-13B on an A100 with 40 GB. The KV pool has 15,728 slots, as in table 1 of the vLLM paper; prompts and answers are as long as ShareGPT's. First 150 requests all at once. **How many times as many tokens per second does your scheduler write as static?**

# %% [markdown] lang="zh"
# 曲线都从 1 开始：大家同时结束时，没有什么可省的。然后曲线上升，因为批次中最长的离平均值越来越远，而批次越大，其中最长的也越长。所以，正是让 GPU 高效的大批次，使静态批处理格外浪费。
#
# ## 6.7 数据中心的规模
#
# 现在一步的时间来自成本模型：OPT-13B，在一块 40 GB 的 A100 上。KV 池有 15,728 个槽位，与 vLLM 论文的表 1 相同；提示词和回答的长度与 ShareGPT 相同。先让 150 个请求同时到达。**你的调度器每秒写出的 token 是静态的多少倍？**

# %%
lesson.predict("large", ..., unit=_("times", "倍"))

# %%
def at_scale(choice, rate, record=False):
    workload = synthetic(150, "sharegpt", rate=rate, seed=1)
    machine = {"num_blocks": 983, "block_size": 16, "max_model_len": 2048}
    return simulate(
        workload, "opt-13b", "a100-40gb", scheduler_of(choice), record=record, **machine
    )


def per_token(summary):
    """Normalised latency: seconds from arrival to end for each token of the answer, the mean."""
    return fmean((r.finished_at - r.arrival) / 1e9 / r.output_len for r in summary.requests)


# %%
lesson.needs(select)
CHOICES = dict(zip(RUNS, ("static", select, "orca")))
large = {name: at_scale(choice, math.inf, record=True) for name, choice in CHOICES.items()}
SCALE = {
    _("output tokens/s", "输出 token/s"): "output_throughput",
    _("requests at once, at most", "同时的请求数，最多"): "max_concurrent_requests",
    _("mean TTFT, ms", "平均 TTFT，ms"): "mean_ttft_ms",
    _("mean E2EL, ms", "平均 E2EL，ms"): "mean_e2el_ms",
}
figures = {name: trace.metrics() for name, trace in large.items()}
rows = [[label, *(each[name] for each in figures.values())] for label, name in SCALE.items()]
Table(["", *large], rows)

# %%
lesson.needs(select)
speeds = [each["output_throughput"] for each in figures.values()]
lesson.measured("large", speeds[1] / speeds[0])

# %% [markdown] lang="en"
# Users do not come all at once. The papers draw latency over the rate of requests, and divide the latency by the number of tokens, so that long answers do not weigh more:

# %% [markdown] lang="zh"
# 用户并不会同时到来。论文里画的是延迟随请求速率的变化，并把延迟除以 token 数，免得长回答的权重更大：

# %% picture="rates"
lesson.needs(select)
RATE, LATENCY = _("requests per second", "每秒请求数"), _("latency per token, s", "每 token 延迟，s")
line_chart(
    [
        {RATE: rate, LATENCY: per_token(at_scale(choice, rate)), RUN: name}
        for name, choice in list(CHOICES.items())[:2]
        for rate in (0.1, 0.2, 0.4, 0.6, 0.8)
    ],
    RATE,
    LATENCY,
    RUN,
    log=True,
    title=_("Latency and the rate of requests", "延迟与请求速率"),
)

# %% [markdown] lang="en"
# Read the chart *across*: choose a latency that you would still offer, and see at which rate each line passes it. Even at the left, where requests are few, static is the dearer: an answer is held until its batch ends, and one that comes a moment too late waits for the whole of it.
#
# ## 6.8 Where it loses
#
# **Memory.** In the table above your scheduler had no more requests at once than static. There are places for many more, and the GPU could compute them. What is full is memory, or rather, *reserved*: nobody has said how long an answer may be, so each takes room for all 2,048 tokens that the model allows. What were the slots good for while others waited?

# %% [markdown] lang="zh"
# 请*横着*读这张图：选一个你还愿意提供的延迟，看每条线在什么速率越过它。即使在左端，请求很少的时候，静态也更贵：回答要留到批次结束才能交出，晚到一步的请求要等完整个批次。
#
# ## 6.8 它输在哪里
#
# **内存。** 在上面的表里，你的调度器同时服务的请求并不比静态的多。位置还有很多，GPU 也算得过来；满的是内存，准确地说，是*预留*满了：没有人说过回答最长能有多长，所以每个请求都要占下模型允许的全部 2,048 个 token 的空间。在别的请求等待的时候，这些槽位都用来做什么了？

# %% picture="reserved"
lesson.needs(select)
trace = list(large.values())[1]
waited = [end for end, waiting in zip(trace.series.end, trace.series.waiting) if waiting]
shares = trace.memory().shares(end=waited[-1] / 1e9)
SHARE = _("share of the KV slots, %", "占 KV 槽位的比例，%")
KINDS = {
    _("hold a token", "存有 token"): shares["token"],
    _("will hold one later", "以后会存"): shares["reserved"],
    _("reserved in vain", "白白预留"): shares["internal"],
    _("held by nobody", "没有人占用"): sum(shares[kind] for kind in ("external", "cached", "free")),
}
bar_chart(
    [{SHARE: share, "kind": kind} for kind, share in KINDS.items()],
    SHARE,
    "kind",
    title=_("What the slots are good for", "槽位的用途"),
)

# %% [markdown] lang="en"
# The authors of vLLM measured the same of Orca: 20.4 % of the memory held tokens, 13.3 % would later, 57.3 % were reserved in vain, and 8.9 % were too little for one more request (figure 2; their lengths are not these). Memory that is taken only as it is needed brought the first to 96.3 %. The price is that it can run out halfway: lesson 9.
#
# **Long prompts.** Your scheduler lets a prompt join as a whole. Four answers are being written; the shortest ends after 20 tokens, and the request that takes its place brings a prompt of 1,500. The answer beside it, token by token:

# %% [markdown] lang="zh"
# vLLM 的作者对 Orca 做过同样的测量：20.4 % 的内存存有 token，13.3 % 以后会存，57.3 % 白白预留，8.9 % 不够再放一个请求（图 2；他们的长度分布与这里不同）。按需取用内存，把第一个数字提高到 96.3 %。代价是写到一半可能用尽：那是第 9 课的内容。
#
# **长提示词。** 你的调度器让提示词整个加入。四个回答正在写；最短的那个写完 20 个 token 就结束了，接替它的请求带来了 1,500 个 token 的提示词。下面是它旁边的一个回答，逐个 token 来看：

# %% picture="stall"
lesson.needs(select)
writers = [RequestSpec(prompt_len=16, output_len=length) for length in (60, 60, 60, 20)]
stalled = serve(select, [*writers, RequestSpec(prompt_len=1500, output_len=5)], num_blocks=128)
TOKEN, GAP = _("token of the answer", "回答的第几个 token"), _("ms after the one before", "与前一个相隔的 ms")
line_chart(
    [{TOKEN: n, GAP: gap / 1e6} for n, gap in enumerate(stalled.requests[0].itl, 2)],
    TOKEN,
    GAP,
    points=False,
    title=_("A long prompt joins", "长提示词加入"),
)

# %% [markdown] lang="en"
# This is [[interference]]: the step takes as long as all of its work, and whoever shares it waits. Three readers see their answers stop. Static batching has no such gap, since nobody ever joins. Lesson 7 cuts the prompt into pieces.
#
# ## 6.9 What production systems do
#
# They all choose the batch anew at every step, whatever they call it: continuous batching, in-flight batching, iteration-level scheduling. What has changed since Orca are the two things in which your scheduler loses.
#
# | system | who shares a step | memory |
# |---|---|---|
# | FasterTransformer | nobody joins before the batch has ended | the maximum, reserved |
# | Orca (OSDI'22), yours | whole prompts and decodes | the maximum, reserved |
# | vLLM (SOSP'23) | prompts among themselves, or decodes | block by block; when none is free, the last to arrive gives way |
# | Sarathi-Serve (OSDI'24) | decodes, and as much of a prompt as the budget leaves | as vLLM |
#
# This is the engine's own `orca`. Three lines ask; the limits that you have written are in `plan`, for all schedulers alike:

# %% [markdown] lang="zh"
# 这就是[[interference]]：一步的时长由其中的全部工作决定，与它同在一步的都要等。三个读者看到回答停住了。静态批处理没有这样的停顿，因为从来没有人中途加入。第 7 课会把提示词切成小段。
#
# ## 6.9 生产系统的做法
#
# 它们都在每一步重新选择批次，只是叫法不同：连续批处理（continuous batching）、in-flight batching、迭代级调度。Orca 之后改变的，正是你的调度器输掉的那两点。
#
# | 系统 | 谁共用一步 | 内存 |
# |---|---|---|
# | FasterTransformer | 批次结束之前谁也不能加入 | 按最大值预留 |
# | Orca（OSDI'22），以及你的 | 整个提示词与解码 | 按最大值预留 |
# | vLLM（SOSP'23） | 只有提示词，或者只有解码 | 一块一块地取；没有空闲块时，最后到的让位 |
# | Sarathi-Serve（OSDI'24） | 解码，加上预算还容得下的一段提示词 | 与 vLLM 相同 |
#
# 这是引擎自带的 `orca`。三行代码提出要求；你写的那些限制在 `plan` 里，所有调度器共用：

# %%
from minillm.scheduling.batching import IterationLevel

print(inspect.getsource(IterationLevel.compose))

# %% [markdown] lang="en"
# ## 6.10 What you know now
#
# 1. A server scores texts: it reads prompts and writes one token for each. What does iteration-level scheduling win there?
# 2. Somebody doubles `max_num_seqs` of a static server. What happens to the dead slots, to throughput, to the shortest request?
# 3. Your `select` stops at the first that does not fit. Change it so that it looks further, check it, and read what is said. When would you want that all the same, and what would you have to add?
# 4. In 6.7 give every request `max_tokens=512` (a parameter of `synthetic`). What happens to the requests at once, and to throughput? What happens to long answers?
#
# Lesson 7 takes up the long prompt.

# %% [markdown] lang="zh"
# ## 6.10 现在你知道了
#
# 1. 有个服务器给文本打分：读入提示词，每个只写一个 token。迭代级调度在那里能赢得什么？
# 2. 有人把静态服务器的 `max_num_seqs` 加倍。空转槽位、吞吐量、最短的请求各会怎样？
# 3. 你的 `select` 遇到第一个放不下的就停下。把它改成继续往后看，再检查一次，读一读检查的说明。什么时候你还是愿意这样做？那样还要补上什么？
# 4. 在 6.7 里，给每个请求 `max_tokens=512`（`synthetic` 的一个参数）。同时的请求数和吞吐量会怎样？长的回答会怎样？
#
# 第 7 课来对付长提示词。
