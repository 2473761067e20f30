"""One model over several processes: each has its share of every layer's heads and of the MLP.

The process that asked is rank 0: it has the engine, the tokenizer, the sampler and the recorder.
The others follow its orders (`worker`). In a forward the ranks meet twice a layer, to add up what
each computed (Megatron-LM, arXiv:1909.08053), as transformers' plan for the family says.

    seats     which process is which rank, and the control line between rank 0 and each other
    group     rank 0's end: an order to all, its own part, their replies; how it ends
    worker    the other ends
    rows      what the others must know of a step's batch
    loading   from a checkpoint to this rank's share of it; what is refused
    executor  a step, on all ranks at once
    reference the unsplit model's logits, to check the split one against
"""
