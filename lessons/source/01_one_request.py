# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown] lang="en"
# # 1 · One request
#
# *English · [简体中文](../zh/01_one_request.ipynb) · about 60 minutes · needs no GPU and no network*
#
# You ask a chatbot something. For a moment nothing happens. Then words appear, one after the other, at a steady pace. **Why the pause, why the pace, and what would make either longer?**
#
# In this lesson you serve one request with a real engine, take its time apart, and write the part that makes it affordable: the KV cache. Your code then serves the engine's own requests.
#
# Run the cells from top to bottom with <kbd>Shift</kbd>+<kbd>Enter</kbd>. The model is small and bundled with minillm, but the engine, its scheduler and its memory are the ones that serve large models on GPUs. Every figure comes from the cell above it, so yours will differ from your neighbour's: compare them.

# %% [markdown] lang="zh"
# # 1 · 一个请求
#
# *[English](../en/01_one_request.ipynb) · 简体中文 · 约 60 分钟 · 不需要 GPU 和网络*
#
# 你向聊天机器人提了一个问题。起初什么也没有发生，然后文字以稳定的速度一个接一个地出现。**为什么先有停顿？为什么是这个速度？什么会让它们变长？**
#
# 这一课里，你将用真实的引擎服务一个请求，把它的时间拆开来看，并亲手写出让这一切变得可行的部分：KV 缓存。然后，你的代码将服务引擎自己的请求。
#
# 用 <kbd>Shift</kbd>+<kbd>Enter</kbd> 从上到下依次运行单元格。模型很小，随 minillm 一起提供；但引擎、调度器和内存管理，与在 GPU 上服务大模型的完全相同。每个数字都来自它上面的单元格，所以你的数字会和别人的不同：不妨比较一下。

# %%
from minillm.lesson import begin

lesson = begin("01_one_request", language=_("en", "zh"))
lesson

# %% setup=true
import random
from statistics import median

import torch

from minillm import LLM, SamplingParams
from minillm.lesson.attention import llm_with, masked_attention
from minillm.lesson.charts import bar_chart, line_chart
from minillm.lesson.note import Table

# %% [markdown] lang="en"
# ## 1.1 Two phases
#
# A language model reads and writes [[token]]s, pieces of words. It serves a [[request]] in two phases:
#
# - [[prefill]]: it reads the whole [[prompt]], all tokens at once, and at the end it knows the first token of the answer;
# - [[decode]]: it writes the answer. Each pass through the model gives one token, which goes in again to give the next.
#
# Both phases do the same arithmetic for each token. So: **how many times as long does one token of the answer take as one token of the prompt?** Put a number in place of `...` before you go on. Being wrong costs nothing; the lesson keeps your guess and will come back to it.

# %% [markdown] lang="zh"
# ## 1.1 两个阶段
#
# 语言模型读和写的单位是 [[token]]，即词的片段。它分两个阶段服务一个[[request]]：
#
# - [[prefill]]：一次读入整个[[prompt]]的所有 token，结束时就知道了回答的第一个 token；
# - [[decode]]：写出回答。每通过模型一次，得到一个 token；把它再送进去，得到下一个。
#
# 两个阶段对每个 token 所做的算术是一样的。那么：**回答里的一个 token，要花提示词里一个 token 多少倍的时间？** 继续之前，请用一个数字替换 `...`。猜错没有任何损失；你的猜测会被记下来，后面再作比较。

# %%
lesson.predict("token", ..., unit=_("times", "倍"))

# %% [markdown] lang="en"
# ## 1.2 One request in the engine
#
# The prompt is the beginning of a story; the model is to go on with it for 64 tokens. `temperature=0` means that it always takes the most likely token, so that the answer is the same on every machine.

# %% [markdown] lang="zh"
# ## 1.2 引擎里的一个请求
#
# 提示词是一个故事的开头，让模型接着写 64 个 token。`temperature=0` 表示总是取最可能的 token，所以在每台机器上回答都一样。

# %%
from minillm.pocket import stories

source = random.Random(5)
told, begun = (stories.write_story(source, "long", "fox", "lamp") for _story in range(2))
beginning = told + " " + begun[: len(begun) // 2]

llm = LLM(enable_prefix_caching=False)
greedy = SamplingParams(temperature=0, max_tokens=64, ignore_eos=True)
#:en the first run warms up; we look at the second
#:zh 第一次运行是热身；我们看第二次
llm.generate(beginning, greedy)
(output,) = llm.generate(beginning, greedy)
print(beginning[-160:], "⟶", output.outputs[0].text)

# %% [markdown] lang="en"
# The engine has written down every [[step]] it took: the [[trace]]. Everything that we measure or draw comes from it. A step is one pass through the model. Time starts when the request arrives, and each token has the time at which it was ready (in nanoseconds of the engine's clock).

# %% [markdown] lang="zh"
# 引擎把它走过的每一[[step]]都写了下来：这就是[[trace]]。我们测量的、画出的一切都来自它。一步就是通过模型一次。时间从请求到达时开始，每个 token 都记有它就绪的时刻（引擎时钟的纳秒）。

# %%
request = llm.trace.requests[-1]
times = [(time - request.arrival) / 1e6 for time in request.token_times]  # ms
written = len(times)

ttft = times[0]
tpot = (times[-1] - times[0]) / (written - 1)
e2el = times[-1]

Table(
    [_("indicator", "指标"), _("of this request", "这个请求")],
    [
        [_("prompt tokens", "提示词 token 数"), request.prompt_len],
        [_("answer tokens", "回答 token 数"), written],
        [_("TTFT: time to the first token, ms", "TTFT：首 token 时间，ms"), ttft],
        [_("TPOT: time per output token, ms", "TPOT：每输出 token 时间，ms"), tpot],
        [_("E2EL: end-to-end latency, ms", "E2EL：端到端延迟，ms"), e2el],
        [_("TTFT + (answer tokens − 1) × TPOT, ms", "TTFT +（回答 token 数 − 1）× TPOT，ms"), ttft + (written - 1) * tpot],
        [_("output tokens per second", "每秒输出 token 数"), 1000 * written / e2el],
    ],
)

# %% [markdown] lang="en"
# These are the indicators of serving, and the last two lines are how they hang together:
#
# - [[ttft]] is the pause that you notice: waiting in the queue (here nobody else is there), and the prefill;
# - [[tpot]] is the pace: the mean time between two tokens, *without* the first one, which belongs to the prefill;
# - [[e2el]] is the whole: one TTFT, and one TPOT for every further token;
# - [[throughput]] counts tokens per second. For one request it is no more than the pace seen from the other side; with many at once it becomes something of its own.
#
# Now see it. The stage plays the trace; press play, or step with the arrow keys. Look for three things: the **hatched** bar of the prefill in the first step, all of the prompt at once; then **solid** single tokens; and in the KV blocks, how the request's memory is filled at once by the prefill and then by one [[slot]] for each token.

# %% [markdown] lang="zh"
# 这些就是服务的指标，最后几行说明了它们之间的关系：
#
# - [[ttft]] 是你感觉到的停顿：排队的时间（这里没有别人），加上预填充；
# - [[tpot]] 是速度：两个 token 之间的平均时间，*不含*第一个，因为它属于预填充；
# - [[e2el]] 是全部：一个 TTFT，再加上其余每个 token 各一个 TPOT；
# - [[throughput]]是每秒的 token 数。只有一个请求时，它不过是速度的另一种说法；许多请求同时进行时，它才有自己的意义。
#
# 现在来看看它。舞台会播放运行记录：按播放，或用方向键单步。请注意三点：第一步里**带斜线**的预填充，一次读完整个提示词；然后是**实心**的单个 token；以及在 KV 块里，请求的内存如何先被预填充一下子填满，再每个 token 填一个[[slot]]。

# %% picture="stage" stage="single.trace" for_students=true
single = LLM(llm.loaded, enable_prefix_caching=False, num_blocks=64)
single.generate(beginning, greedy)
lesson.show(single.trace, height=560)

# %% [markdown] lang="en"
# ## 1.3 What a token costs
#
# Prompts of many lengths, made of random tokens: the time of a prefill does not depend on what they say. Each request is served three times, and of each token the fastest time counts: the machine has other things to do as well, and they only ever make it slower.

# %% [markdown] lang="zh"
# ## 1.3 一个 token 的代价
#
# 用随机 token 组成各种长度的提示词：预填充的时间与内容无关。每个请求服务三次，对每个 token 取最快的一次：机器还有别的事要做，而那只会让它变慢。

# %%
def random_prompt(length):
    return [source.randrange(3, 1500) for _ in range(length)]


def serve(prompt, answer_tokens, engine=llm, rounds=3):
    """How long each token of the answer took, ms; of several rounds, the fastest."""
    params = SamplingParams(temperature=0, max_tokens=answer_tokens, ignore_eos=True)
    measured = []
    for _round in range(rounds):
        engine.generate([prompt], params)
        request = engine.trace.requests[-1]
        times = [request.arrival, *request.token_times]
        measured.append([(after - before) / 1e6 for before, after in zip(times, times[1:])])
    return [min(each) for each in zip(*measured)]


LENGTHS = (32, 64, 128, 256, 384, 512)
prefill = {length: serve(random_prompt(length), 1)[0] for length in LENGTHS}

# %% picture="prefill"
PROMPT, PREFILL = _("prompt tokens", "提示词 token 数"), _("prefill, ms", "预填充，ms")
line_chart(
    [{PROMPT: length, PREFILL: ms} for length, ms in prefill.items()],
    PROMPT,
    PREFILL,
    title=_("The pause before the answer", "回答之前的停顿"),
)

# %% [markdown] lang="en"
# And a token of the answer? The pace, after a prompt of 256 tokens:

# %% [markdown] lang="zh"
# 那么回答里的一个 token 呢？看看在 256 个 token 的提示词之后的速度：

# %%
first, *others = serve(random_prompt(256), 64)
per_answer_token = sum(others) / len(others)
per_prompt_token = prefill[512] / 512
print(_("ms per prompt token", "每个提示词 token 的 ms"), round(per_prompt_token, 3))
print(_("ms per answer token", "每个回答 token 的 ms"), round(per_answer_token, 3))
lesson.measured("token", per_answer_token / per_prompt_token)

# %% [markdown] lang="en"
# The same arithmetic, and yet one is several times as dear as the other. The reason is what has to be fetched: every pass reads *all weights of the model* from memory. In a prefill hundreds of tokens share that reading; in a decode one token pays for it alone. On a GPU, which computes much faster than it reads, the ratio is a hundred and more. Lesson 2 turns this into numbers.
#
# So the pause is a long prompt's work, and the pace is the price of a pass. **What would each do if the prompt were twice as long?** Read it off the chart; then check yourself with `serve`.

# %% [markdown] lang="zh"
# 算术相同，其中一种却贵好几倍。原因在于要读取什么：每一次通过模型，都要从内存读取*模型的全部权重*。预填充时，几百个 token 分摊这次读取；解码时，一个 token 独自承担。GPU 的计算远快于读取，所以这个倍数会超过一百。第 2 课会把它变成数字。
#
# 所以，停顿是长提示词的工作量，速度是通过模型一次的价格。**如果提示词长一倍，两者各会怎样？** 从图上读出来，再用 `serve` 自己验证。

# %% [markdown] lang="en"
# ## 1.4 What is kept
#
# In [[attention]], each token looks at all tokens before it: it has a *query*, which is compared with their *keys*, and takes a weighted mean of their *values*. The key and the value of a token follow from that token and those before it alone. Later tokens do not change them. So they are computed once and kept: that is the [[kv_cache]].
#
# Suppose that we kept nothing. Then every token of the answer would need a pass over the *whole* text so far. **How many times as long would an answer of 64 tokens after a prompt of 256 take?**

# %% [markdown] lang="zh"
# ## 1.4 保留什么
#
# 在[[attention]]中，每个 token 都要看它前面的所有 token：它用自己的*查询*（query）与它们的*键*（key）比较，再取它们的*值*（value）的加权平均。一个 token 的键和值只取决于它自己和它前面的 token，后来的 token 不会改变它们。所以它们只算一次，然后保留下来：这就是 [[kv_cache]]。
#
# 假如什么都不保留，那么回答的每个 token 都要把到目前为止的*整个*文本通过模型一遍。**在 256 个 token 的提示词之后，一个 64 个 token 的回答要花多少倍的时间？**

# %%
lesson.predict("without", ..., unit=_("times", "倍"))

# %% [markdown] lang="en"
# The engine can be made to forget: ask it for one token, 64 times, each time with the whole text so far as the prompt.

# %% [markdown] lang="zh"
# 可以让引擎“遗忘”：向它要一个 token，重复 64 次，每次都把到目前为止的整个文本作为提示词。

# %%
prompt = random_prompt(256)
kept = serve(prompt, 64)

#:en which token is appended does not matter to the time
#:zh 追加哪个 token 都不影响时间
text, forgetful = list(prompt), []
for _step in range(64):
    forgetful += serve(text, 1)
    text.append(5)

lesson.measured("without", sum(forgetful) / sum(kept))

# %% picture="without"
TOKEN, MS, RUN = _("token of the answer", "回答的第几个 token"), _("ms", "毫秒"), "run"
runs = {_("with a KV cache", "有 KV 缓存"): kept, _("without", "没有"): forgetful}
line_chart(
    [{TOKEN: i + 1, MS: ms, RUN: run} for run, each in runs.items() for i, ms in enumerate(each)],
    TOKEN,
    MS,
    RUN,
    points=False,
    title=_("Without a cache, each token is a prefill", "没有缓存，每个 token 都是一次预填充"),
)

# %% [markdown] lang="en"
# With the cache the first token is dear and all others are cheap. Without it every one is dear, and each is a little dearer than the one before: an answer of *n* tokens after a prompt of *p* computes *n·p + n²/2* tokens in place of *p + n*.
#
# ### What it costs
#
# Time is bought with memory. For each token a model keeps one key and one value, per layer and per KV head:
#
# $$\text{bytes per token} = 2 \times \text{layers} \times \text{KV heads} \times \text{head size} \times \text{bytes per number}$$
#
# In the vLLM paper a server has 12 GiB for the cache of OPT-13B (40 layers, 40 heads of 128, 2 bytes per number). **How many requests of 2,048 tokens fit in?**

# %% [markdown] lang="zh"
# 有了缓存，第一个 token 贵，其余的都便宜。没有缓存，每一个都贵，而且一个比一个贵：提示词 *p* 个 token、回答 *n* 个 token 时，要计算的不是 *p + n* 个，而是 *n·p + n²/2* 个 token。
#
# ### 它的代价
#
# 时间是用内存换来的。对每个 token，模型在每一层、每个 KV 头都要保留一个键和一个值：
#
# $$\text{每 token 字节数} = 2 \times \text{层数} \times \text{KV 头数} \times \text{头大小} \times \text{每个数的字节数}$$
#
# 在 vLLM 的论文里，一台服务器有 12 GiB 留给 OPT-13B 的缓存（40 层，40 个大小为 128 的头，每个数 2 字节）。**能放下多少个 2,048 个 token 的请求？**

# %%
lesson.predict("requests", ..., unit=_("requests", "个请求"))

# %%
def kv_bytes(layers, kv_heads, head_size, number=2):
    return 2 * layers * kv_heads * head_size * number


pocket = kv_bytes(layers=5, kv_heads=2, head_size=64, number=4)
assert pocket == llm.loaded.kv_bytes_per_token

tokens = 12 * 2**30 // kv_bytes(layers=40, kv_heads=40, head_size=128)
print(_("tokens that fit:", "能放下的 token 数："), tokens)
lesson.measured("requests", tokens // 2048)

# %% picture="memory"
from minillm.costs import get_model

MODELS = ("opt-13b", "llama-2-7b", "llama-2-70b", "mistral-7b")
KIB = _("KiB of KV cache per token, fp16", "每 token 的 KV 缓存 KiB，fp16")
bar_chart(
    [{KIB: get_model(name).kv_bytes_per_token() / 1024, "name": name} for name in MODELS],
    KIB,
    "name",
    title=_("What one token keeps", "一个 token 要保留多少"),
)

# %% [markdown] lang="en"
# The paper says 800 KB for OPT-13B (Kwon et al., vLLM, SOSP'23, section 3). Llama-2-70B is five times as large and keeps less, since eight of its query heads share one KV head ([[gqa]]). With seven requests the GPU is full, whatever it could compute: this is why memory decides how many can be served at once, and why several of these lessons are about it.

# %% [markdown] lang="zh"
# 论文里 OPT-13B 的数字是 800 KB（Kwon et al., vLLM, SOSP'23，第 3 节）。Llama-2-70B 是它的五倍大，保留的却更少，因为它每八个查询头共用一个 KV 头（[[gqa]]）。七个请求就占满了 GPU，不管它还能算多少：这就是为什么内存决定了能同时服务多少请求，也是为什么有好几课都在讲它。

# %% [markdown] lang="en"
# ## 1.5 Your turn: attention with a KV cache
#
# Write `attend`. The engine calls it once for each layer, in each step, with the tokens that are new in this step: a whole prompt, or a single token, or a part of a prompt.
#
# It gets the request's own `cache`, a dict that is empty when the request begins and in which you keep what you like, and returns what the new tokens get from attention.
#
# `masked_attention(q, k, v, visible)` is given: the softmax, the scale and the shared heads are in it. It wants the keys and values of *all* tokens, and for each new token a row of `visible` that says which of them it may see: itself and those before it.

# %% [markdown] lang="zh"
# ## 1.5 轮到你了：带 KV 缓存的注意力
#
# 请写出 `attend`。在每一步里，引擎对每一层调用它一次，传入这一步里新的 token：可能是整个提示词、单个 token，或提示词的一部分。
#
# 它得到请求自己的 `cache`：一个字典，请求开始时是空的，你可以在里面保留任何东西。它返回新 token 从注意力得到的结果。
#
# `masked_attention(q, k, v, visible)` 已经给出：softmax、缩放和共用的头都在里面。它需要*所有* token 的键和值，以及对每个新 token 的一行 `visible`，说明它能看到哪些 token：它自己和它前面的。

# %% exercise="attend"
def attend(cache, layer, q, k, v):
    #:en q [T, query heads, size]; k, v [T, KV heads, size]: of the T new tokens, in their order
    #:zh q [T, 查询头数, 大小]；k, v [T, KV 头数, 大小]：T 个新 token，按顺序排列
    # >>> solution
    if layer in cache:
        k = torch.cat([cache[layer][0], k])
        v = torch.cat([cache[layer][1], v])
    cache[layer] = k, v
    past = len(k) - len(q)
    rows = torch.arange(len(q), device=q.device)[:, None] + past
    visible = torch.arange(len(k), device=q.device) <= rows
    return masked_attention(q, k, v, visible)
    # <<<


# %%
lesson.check(attend)

# %% [markdown] lang="en"
# Stuck? Each run of the next cell opens one more hint. The solution lies openly in [solutions](../solutions/en/01_one_request.ipynb), but an hour with a wrong mask teaches more.

# %% [markdown] lang="zh"
# 卡住了？每运行一次下面的单元格，就多打开一条提示。参考解答就放在 [solutions](../solutions/zh/01_one_request.ipynb) 里，但和一个错误的掩码较劲一小时，收获更多。

# %%
lesson.hint(attend)

# %% [markdown] lang="en"
# ## 1.6 Your code serves
#
# `llm_with(attend)` is the same engine as before, with your function in place of its attention. Two requests at once, so that your cache has to keep them apart:

# %% [markdown] lang="zh"
# ## 1.6 你的代码在服务
#
# `llm_with(attend)` 与之前的引擎相同，只是注意力换成了你的函数。让两个请求同时进行，你的缓存必须把它们分开：

# %%
lesson.needs(attend)
mine = llm_with(attend, model=llm.loaded, num_blocks=64)
questions = [beginning, "Once upon a time"]
answers = mine.generate(questions, greedy)
own = llm.generate(questions, greedy)
for yours, engines in zip(answers, own):
    same = yours.outputs[0].token_ids == engines.outputs[0].token_ids
    print(yours.outputs[0].text[:80].strip(), "…")
    print(_("the same tokens as the engine's own:", "与引擎自己的 token 相同："), same)

# %%
lesson.needs(attend)
lesson.show(mine.trace, height=560)

# %% [markdown] lang="en"
# ## 1.7 Where it loses
#
# Now let it write for longer, beside the engine's own attention.

# %% [markdown] lang="zh"
# ## 1.7 它输在哪里
#
# 现在让它写得更久一些，与引擎自己的注意力并排比较。

# %% picture="yours"
lesson.needs(attend)
YOURS, ENGINES = _("yours", "你的"), _("the engine's", "引擎的")
prompt, rows = random_prompt(32), []
for name, engine in ((YOURS, mine), (ENGINES, llm)):
    first, *others = serve(prompt, 601, engine)
    #:en one point for 40 tokens, their median
    #:zh 每 40 个 token 一个点，取中位数
    for start in range(0, 600, 40):
        rows.append({TOKEN: start + 20, MS: median(others[start : start + 40]), RUN: name})
line_chart(
    rows,
    TOKEN,
    MS,
    RUN,
    title=_("Each token of a long answer", "长回答里的每个 token"),
)

# %%
lesson.needs(attend)
copied = sum(length * pocket for length in range(32, 632))
needed = 632 * pocket
Table(["", "MiB"], [[_("copied", "复制的"), copied / 2**20], [_("to keep", "要保留的"), needed / 2**20]])

# %% [markdown] lang="en"
# The first is what `torch.cat` copied for one answer, the second what there is to keep: to add one token, it makes a new tensor and copies everything that was there. Some of the slope belongs to attention itself, which does read the whole cache for each token. The rest is yours, and there are three ways out:
#
# | how | what it costs |
# |---|---|
# | reserve room for the longest possible answer at the start | most of it is never used: in the vLLM paper's measurement 20.4 % of the memory held tokens (Orca, maximum reserved) |
# | grow by doubling | copies now and then, and up to half is empty |
# | keep [[block]]s of 16 tokens anywhere, and a [[block_table]] that says where | nothing is ever copied; 96.3 % of the memory holds tokens (vLLM) |
#
# The third is [[paged_attention]]. The engine's own attention does it, as vLLM does; you will write the allocator in lesson 4 and the kernel in lesson 3.
#
# The other loss: your function is called once for each request, so that ten requests are ten small calls. What does the engine win by taking them together?

# %% [markdown] lang="zh"
# 第一个是 `torch.cat` 为一个回答所复制的，第二个是真正需要保留的：每加一个 token，它都新建一个张量，把原有的全部复制过去。斜率的一部分属于注意力本身，因为它确实要为每个 token 读取整个缓存；其余的就是你的代码造成的。有三条出路：
#
# | 怎么做 | 代价 |
# |---|---|
# | 一开始就按最长的回答预留空间 | 大部分永远用不到：在 vLLM 论文的测量中，只有 20.4 % 的内存存有 token（Orca，按最大值预留） |
# | 每次不够时加倍 | 偶尔要复制，最多一半是空的 |
# | 把 16 个 token 的[[block]]放在任何地方，用[[block_table]]记下位置 | 从不复制；96.3 % 的内存存有 token（vLLM） |
#
# 第三种就是[[paged_attention]]。引擎自己的注意力就是这样做的，与 vLLM 相同；第 4 课里你会写分配器，第 3 课里你会写内核。
#
# 另一个损失：你的函数对每个请求各调用一次，十个请求就是十次小的调用。引擎把它们放在一起，能赢得什么？

# %% [markdown] lang="en"
# ## 1.8 Many at once
#
# Eight requests, each with a prompt of 64 tokens and an answer of 64. **If all eight are served together, how many times as long is TPOT as for one alone?** (One after the other would be 8.)

# %% [markdown] lang="zh"
# ## 1.8 许多请求同时
#
# 八个请求，每个的提示词和回答各 64 个 token。**如果八个一起服务，TPOT 是单独一个时的多少倍？**（一个接一个就是 8。）

# %%
lesson.predict("eight", ..., unit=_("times", "倍"))

# %%
FIGURES = ("mean_ttft_ms", "mean_tpot_ms", "output_throughput")
rows = []
for count in (1, 2, 4, 8, 16):
    rounds = []
    for _round in range(3):
        batch = LLM(llm.loaded, enable_prefix_caching=False, max_num_seqs=16)
        batch.generate([random_prompt(64) for _prompt in range(count)], greedy)
        metrics = batch.trace.metrics()
        rounds.append([count, *(metrics[name] for name in FIGURES)])
    rows.append(max(rounds, key=lambda row: row[-1]))

by_count = {row[0]: row for row in rows}
lesson.measured("eight", by_count[8][2] / by_count[1][2])

# %%
Table([_("requests at once", "同时的请求数"), "TTFT, ms", "TPOT, ms", _("output tokens/s", "输出 token/s")], rows)

# %% picture="batch"
COUNT, TIMES = _("requests at once", "同时的请求数"), _("times as much as with one", "是一个请求时的多少倍")
line_chart(
    [
        {COUNT: row[0], TIMES: row[column] / rows[0][column], RUN: name}
        for column, name in ((3, _("throughput", "吞吐量")), (2, "TPOT"))
        for row in rows
    ],
    COUNT,
    TIMES,
    RUN,
    title=_("Throughput and TPOT of many at once", "许多请求同时进行时的吞吐量与 TPOT"),
)

# %% [markdown] lang="en"
# All requests of a [[batch]] share one reading of the weights. Throughput grows several times over while each reader waits a little longer for the next word. This trade, throughput against [[latency]], is the one that every scheduler makes; lessons 6 to 8 are about making it well.
#
# ## 1.9 The same on a large GPU
#
# The authors of DistServe (OSDI'24) measured OPT-13B on an A100. Their profile, fitted: a prefill of *l* tokens takes 18.10 + 0.10191·*l* + 7.12·10⁻⁶·*l*² ms, and a decode step with one request over *c* tokens 19.93 + 6.27·10⁻⁴·*c* + 0.0385 ms. Beside it, your machine with the pocket model:

# %% [markdown] lang="zh"
# 一个[[batch]]里的所有请求共享一次权重读取。吞吐量成倍增长，而每个读者等下一个词的时间只略有增加。吞吐量与[[latency]]之间的这种取舍，是每个调度器都要做的；第 6 到 8 课讲的就是如何做好它。
#
# ## 1.9 在大型 GPU 上也是如此
#
# DistServe（OSDI'24）的作者在 A100 上测量了 OPT-13B。对他们的数据拟合后：*l* 个 token 的预填充用时 18.10 + 0.10191·*l* + 7.12·10⁻⁶·*l*² ms；一个请求、上下文 *c* 个 token 的解码步用时 19.93 + 6.27·10⁻⁴·*c* + 0.0385 ms。把你的机器和口袋模型放在旁边：

# %% picture="paper"
def a100_prefill(tokens):
    return 18.10 + 0.10191 * tokens + 7.12e-6 * tokens**2


def a100_decode(context):
    return 19.93 + 6.27e-4 * context + 0.0385


here = per_answer_token / per_prompt_token
there = a100_decode(512) / (a100_prefill(512) / 512)
RATIO = _("prompt tokens that cost as much as one answer token", "一个回答 token 抵得上多少个提示词 token")
bar_chart(
    [
        {RATIO: here, "where": _("pocket, this machine", "口袋模型，本机")},
        {RATIO: there, "where": _("OPT-13B, A100 (DistServe)", "OPT-13B，A100（DistServe）")},
    ],
    RATIO,
    "where",
    title=_("What an answer token costs, in prompt tokens", "一个回答 token 的代价，以提示词 token 计"),
)

# %% [markdown] lang="en"
# The shape is the same and the gap is wider, because a GPU is more one-sided: it computes far faster than it reads. On the A100 a prompt of 512 tokens is read in less than the time of four answer tokens. Therefore production systems
#
# - never compute a key twice: vLLM, SGLang and TensorRT-LLM keep KV in blocks, and share those of equal beginnings between requests;
# - decode many requests in one step, as many as the memory for their caches allows;
# - keep a long prefill from holding up those who decode: in chunks (Sarathi-Serve), or on other GPUs (DistServe, Splitwise).
#
# ## 1.10 What you know now
#
# 1. Your answer is too slow to start. Which indicator is that, and which of these helps: a shorter prompt, a shorter answer, a smaller batch?
# 2. It starts at once but flows slowly. The same question.
# 3. Somebody halves the number of KV heads of a model. What happens to TTFT, to TPOT and to the number of requests that fit?
# 4. Go back to the stage in 1.6 and stop it at any step. Say for every mark that you see what it stands for.
#
# Lesson 2 asks what bounds all this: operations, or bytes?

# %% [markdown] lang="zh"
# 形状相同，差距更大，因为 GPU 更加“偏科”：它的计算远快于读取。在 A100 上，读 512 个 token 的提示词用不到四个回答 token 的时间。因此，生产系统会
#
# - 从不重复计算一个键：vLLM、SGLang 和 TensorRT-LLM 把 KV 保存在块里，开头相同的请求共享这些块；
# - 在一步里为许多请求解码，多到缓存的内存所允许的程度；
# - 不让长的预填充拖住正在解码的请求：把它分块（Sarathi-Serve），或放到别的 GPU 上（DistServe、Splitwise）。
#
# ## 1.10 现在你知道了
#
# 1. 你的回答开始得太慢。这是哪个指标？下面哪一个有帮助：更短的提示词、更短的回答、更小的批次？
# 2. 它立刻开始，但流得很慢。同样的问题。
# 3. 有人把模型的 KV 头数减半。TTFT、TPOT 和能放下的请求数各会怎样？
# 4. 回到 1.6 的舞台，停在任意一步。说出你看到的每个标记代表什么。
#
# 第 2 课要问：这一切受什么限制，是运算，还是字节？
