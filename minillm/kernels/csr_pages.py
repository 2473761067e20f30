"""Page tables without padding: FlashInfer's (Ye et al. 2025, section 3.1), a sparse matrix's CSR.

The blocks of all sequences stand back to back in `kv_indices`; sequence b owns
`kv_indices[kv_indptr[b]:kv_indptr[b + 1]]`. A padded block table of B sequences takes B times the
longest; this takes the sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class CsrPages:
    """In place of `block_tables` and `seq_lens`. All int32, on one device.

    kv_indptr: [B + 1]; kv_indices: [kv_indptr[B]]; last_page_len: [B], tokens in the last block of
    each sequence, 1 to block_size. A sequence without blocks has no tokens.
    """

    kv_indptr: torch.Tensor
    kv_indices: torch.Tensor
    last_page_len: torch.Tensor

    @classmethod
    def from_padded(
        cls, block_tables: torch.Tensor, seq_lens: torch.Tensor, block_size: int
    ) -> CsrPages:
        """block_tables: [B, max_blocks], padded with anything; seq_lens: [B]. Integers."""
        num_pages = (seq_lens + block_size - 1) // block_size
        if int(num_pages.max()) > block_tables.shape[1]:
            raise ValueError(
                f"a sequence of {int(seq_lens.max())} tokens does not fit {block_tables.shape[1]} "
                f"blocks of {block_size}: widen block_tables."
            )
        columns = torch.arange(block_tables.shape[1], device=block_tables.device)
        indices = block_tables[columns < num_pages[:, None]]
        indptr = torch.cat((num_pages.new_zeros(1), num_pages.cumsum(0)))
        last = (seq_lens - 1) % block_size + 1
        return cls(indptr.int(), indices.int(), last.int())

    def num_pages(self) -> torch.Tensor:
        """[B], blocks of each sequence."""
        return self.kv_indptr.diff()

    def seq_lens(self, block_size: int) -> torch.Tensor:
        """[B], tokens of each sequence: all blocks but the last are full."""
        pages = self.num_pages()
        return torch.where(pages > 0, (pages - 1) * block_size + self.last_page_len, 0)

    def padded(self, block_size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(block_tables [B, longest], padded with 0; seq_lens [B])."""
        pages = self.num_pages()
        longest = max(1, int(pages.max()))
        columns = torch.arange(longest, device=pages.device)
        tables = self.kv_indices.new_zeros(len(pages), longest)
        tables[columns < pages[:, None]] = self.kv_indices
        return tables, self.seq_lens(block_size)
